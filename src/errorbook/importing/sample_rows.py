"""Training samples and held-out questions out of JSON Lines files, whatever their columns are called.

A sample needs a question and a solution, an answer, or both; where the answer is not apart, the scorer reads it from
the solution, as it would from a response. Lines are read one by one, so a file may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from errorbook.checks.final_number import conclusion
from errorbook.checks.hedging import unfinished
from errorbook.errors import DataError
from errorbook.interfaces import Scorer
from errorbook.records import Draft, Example

QUESTION = ("question", "prompt", "instruction", "input", "problem")
SOLUTION = ("solution", "response", "completion", "output", "rationale")
ANSWER = ("answer", "final_answer", "target", "label")
CHOICES = ("choices", "options")
TESTS = ("tests", "test")


class Line(NamedTuple):
    """One sample of a file: its line number, the object as it stands there, and the draft that it makes."""

    number: int
    row: Mapping[str, Any]
    draft: Draft


class RecordedTask:
    """The format of samples that belong to no task: the solution, then the answer unless the solution states it."""

    name = "samples"
    max_new_tokens = 512

    def __init__(self, scorer: str) -> None:
        self.scorer = scorer

    def examples(self, split: str, n: int | None, seed: int) -> Sequence[Example]:
        """None: the samples are all there is."""
        return ()

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The question and its options."""
        return "\n".join([question, *choices])

    def completion(self, solution: str, answer: str) -> str:
        """The solution and the answer on a line of its own."""
        return f"{solution}\nAnswer: {answer}" if answer else solution


def read_samples(path: Path, task: str, scorer: Scorer) -> Iterator[Line]:
    """The samples of a file, line by line.

    Raises:
        DataError: The file is missing, empty or malformed; the line is named.
    """
    for number, row in _rows(path):
        question = _text(row, QUESTION, path, number)
        if question is None:
            raise DataError(f"Line {number} of {path} has no question; name a column {_listed(QUESTION)}.")
        solution, answer = _text(row, SOLUTION, path, number), _text(row, ANSWER, path, number)
        if solution is None and answer is None:
            columns = _listed((*SOLUTION, *ANSWER))
            raise DataError(f"Line {number} of {path} has neither solution nor answer; name a column {columns}.")
        choices = _choices(row, path, number)
        tests = _text(row, TESTS, path, number) or ""
        worked = solution if solution is not None else answer or ""
        apart = answer if solution is not None and answer is not None else None
        draft = Draft(
            assignment="",
            diagnosis="",
            index=number,
            task=task,
            question=question,
            answer=apart or ("" if tests else _read_answer(worked, choices, scorer)),
            solution=worked,
            choices=choices,
            tests=tests,
        )
        yield Line(number, row, draft)


def read_questions(path: Path, name: str) -> Iterator[Example]:
    """The questions of a benchmark's file as held-out examples.

    Raises:
        DataError: The file is missing, empty or malformed, or a line has no question.
    """
    for number, row in _rows(path):
        question = _text(row, QUESTION, path, number)
        if question is None:
            raise DataError(f"Line {number} of {path} has no question; name a column {_listed(QUESTION)}.")
        yield Example(id=str(number), task=name, split="test", question=question, answer="")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, decoder.decode(line)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}; check the path (now in {Path.cwd()}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a JSON Lines file.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"Line {number} of {path} is not a JSON object ({error}); write one object a line.") from error
    if not number:
        raise DataError(f"{path} is empty; give it one JSON object a line.")


def _text(row: Mapping[str, Any], columns: Sequence[str], path: Path, number: int) -> str | None:
    for column in columns:
        value = row.get(column)
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            kind = type(value).__name__
            raise DataError(f"Line {number} of {path}: the column '{column}' holds a {kind}; give it text.")
    return None


def _choices(row: Mapping[str, Any], path: Path, number: int) -> tuple[str, ...]:
    found: Any = next((row[column] for column in CHOICES if row.get(column) is not None), [])
    try:
        return msgspec.convert(found, tuple[str, ...])
    except msgspec.ValidationError as error:
        raise DataError(f"Line {number} of {path}: the options are no list of texts ({error}).") from error


def _read_answer(solution: str, choices: tuple[str, ...], scorer: Scorer) -> str:
    """What the scorer reads, unless it reads numbers and the last calculation says which of several it is."""
    unknown = Example(id="", task="", split="train", question="", answer="A" if choices else "0", choices=choices)
    read = scorer.score(unknown, solution)
    if scorer.name != "numeric" or read.method in {"marker", "boxed"} or unfinished(solution):
        return read.extracted
    return conclusion(solution) or read.extracted


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns[:-1]) + f" or '{columns[-1]}'"
