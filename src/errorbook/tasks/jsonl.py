"""The user's own questions: a JSON Lines file, one object a line.

Only `question` and `answer` are needed. A `split` column ("train", "dev" or "test") decides where it is present;
otherwise a stable hash of the question does, so that equal questions never fall into different splits and adding
lines never moves the others. It does not depend on the run's seed either: whatever was tested on stays unseen in every
run. This module does not look for near-duplicates across splits, and reads no other format.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from errorbook.errors import ConfigError, DataError
from errorbook.records import Example, Split, digest

_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Which column of the file holds what; empty means that there is none."""

    question: str
    answer: str
    choices: str
    id: str
    skill: str


class Jsonl:
    """Examples from a JSON Lines file of the user's."""

    def __init__(  # noqa: PLR0913 - the options of a run file, each a keyword
        self,
        path: str,
        *,
        name: str = "jsonl",
        question: str = "question",
        answer: str = "answer",
        choices: str = "",
        id: str = "",
        skill: str = "",
        scorer: str = "numeric",
        dev: float = 0.2,
        test: float = 0.2,
        max_new_tokens: int = 256,
        prompt: str = "{question}",
    ) -> None:
        """Describe the file; it is read at the first call of `examples`.

        Args:
            path: The file, relative to the working directory or absolute.
            name: What the task is called in the ledger; give two files two names.
            question: Column with the question.
            answer: Column with the gold answer (text or number).
            choices: Column with a list of options, or empty.
            id: Column with an identifier that is unique in the file, or empty: then it is made from the content.
            skill: Column with the kind of question, or empty.
            scorer: Name of the scorer plugin.
            dev: Share of the questions for the gate, where the file has no `split` column.
            test: Share of the questions for the report, where the file has no `split` column.
            max_new_tokens: Cap on one response, in tokens.
            prompt: The user message, with "{question}" and, if wanted, "{choices}" in it.

        Raises:
            ConfigError: Where the shares, the prompt or `max_new_tokens` make no sense.
        """
        _check_options(dev, test, max_new_tokens, prompt)
        self.name = name
        self.scorer = scorer
        self.max_new_tokens = max_new_tokens
        self._path = Path(path)
        self._columns = Columns(question=question, answer=answer, choices=choices, id=id, skill=skill)
        self._shares = (dev, test)
        self._prompt = prompt
        self._found: list[Example] | None = None

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's examples, the first `n` in an order that the seed shuffles; the splits do not depend on it.

        Raises:
            DataError: Where the file is missing, empty or malformed, naming the line, or the split has no example.
        """
        if self._found is None:
            self._found = self._parse()
        chosen = [example for example in self._found if example.split == split]
        if not chosen:
            raise DataError(f"{self._path} has no example in the {split} split; add lines, or change the split sizes.")
        chosen.sort(key=lambda example: digest("order", str(seed), example.question, example.id))
        return chosen[:n]

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The user message; options become lines "A. ...", after the question where the prompt does not place them."""
        listed = "\n".join(
            f"{letter}. {choice}" for letter, choice in zip(string.ascii_uppercase, choices, strict=False)
        )
        text = self._prompt if not listed or "{choices}" in self._prompt else self._prompt + "\n{choices}"
        # Not str.format: a question may hold braces, and so may the rest of the prompt.
        head, _, tail = text.partition("{question}")
        return head.replace("{choices}", listed) + question + tail.replace("{choices}", listed)

    def completion(self, solution: str, answer: str) -> str:
        """The worked solution, then the answer on a line of its own."""
        return f"{solution}\nAnswer: {answer}"

    def _parse(self) -> list[Example]:
        rows = _rows(self._path)
        seen: dict[str, int] = {}
        found: list[Example] = []
        for line, row in rows:
            example = self._example(line, row)
            if example.id in seen:
                if self._columns.id:
                    raise DataError(
                        f"{self._path} has the id '{example.id}' on line {seen[example.id]} and on line {line}; "
                        "make ids unique."
                    )
                raise DataError(f"{self._path} repeats line {seen[example.id]} on line {line}; remove one of them.")
            seen[example.id] = line
            found.append(example)
        _check_splits(self._path, found)
        return found

    def _example(self, line: int, row: Mapping[str, Any]) -> Example:
        columns, place = self._columns, f"line {line} of {self._path}"
        question = _text(row, columns.question, place)
        answer = _text(row, columns.answer, place)
        choices = _choices(row, columns.choices, place) if columns.choices else ()
        return Example(
            id=_text(row, columns.id, place) if columns.id else digest(question, answer, *choices)[:16],
            task=self.name,
            split=_split(row, place) if "split" in row else self._hashed(question),
            question=question,
            answer=answer,
            choices=choices,
            skill=_text(row, columns.skill, place) if columns.skill else "",
        )

    def _hashed(self, question: str) -> Split:
        """The split of a question by a hash that ignores case and spacing."""
        place = int(digest("split", " ".join(question.casefold().split()))[:12], 16) / 16**12
        dev, test = self._shares
        return "dev" if place < dev else "test" if place < dev + test else "train"


def _check_options(dev: float, test: float, max_new_tokens: int, prompt: str) -> None:
    if dev < 0 or test < 0 or dev + test > 1:
        raise ConfigError(f"The shares dev = {dev} and test = {test} must not be negative or exceed 1 together.")
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens = {max_new_tokens} leaves no room for an answer; set it to 1 or more.")
    if prompt.count("{question}") != 1:
        raise ConfigError("The task's prompt must contain '{question}' exactly once; add it where the question goes.")


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of the file with their line numbers; blank lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}; check the task's 'path' (now in {Path.cwd()}).") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); give a JSON Lines file.") from error
    rows = [(number, _row(number, line, path)) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{path} is empty; give it one JSON object a line.")
    return rows


def _row(number: int, line: str, path: Path) -> dict[str, Any]:
    try:
        # Numbers stay as they are written: an answer of 25 digits, or 0.10, must not pass through a float.
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"Line {number} of {path} is not JSON ({error}); write one object a line.") from error
    if not isinstance(row, dict):
        raise DataError(f"Line {number} of {path} is not a JSON object; write one {{...}} a line.")
    return row


def _value(row: Mapping[str, Any], column: str, place: str) -> Any:
    if column not in row:
        there = ", ".join(row) or "none"
        raise DataError(f"There is no column '{column}' on {place}; it has {there}; set the task's column names.")
    return row[column]


def _text(row: Mapping[str, Any], column: str, place: str) -> str:
    value = _value(row, column, place)
    if not isinstance(value, str):
        raise DataError(f"Column '{column}' on {place} is not text or a number; write it as a string.")
    if not value.strip():
        raise DataError(f"Column '{column}' on {place} is empty; fill it or remove the line.")
    return value.strip()


def _choices(row: Mapping[str, Any], column: str, place: str) -> tuple[str, ...]:
    value = _value(row, column, place)
    if not isinstance(value, list) or not 2 <= len(value) <= len(string.ascii_uppercase):
        raise DataError(f'Column \'{column}\' on {place} is not a list of 2 to 26 options; write ["...", "..."].')
    return tuple(_text({column: choice}, column, place) for choice in value)


def _split(row: Mapping[str, Any], place: str) -> Split:
    for split in _SPLITS:
        if row["split"] == split:
            return split
    raise DataError(f'The split {row["split"]!r} on {place} is not known; use "train", "dev" or "test".')


def _check_splits(path: Path, found: Sequence[Example]) -> None:
    """Refuse a file whose own `split` column puts one question into two splits."""
    seen: dict[str, Split] = {}
    for example in found:
        question = " ".join(example.question.casefold().split())
        if seen.setdefault(question, example.split) != example.split:
            raise DataError(
                f"{path} has the question '{example.question[:60]}' in the splits {seen[question]} "
                f"and {example.split}; keep it in one."
            )
