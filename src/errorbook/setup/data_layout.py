"""What a file of questions holds, from its columns' names and its first rows: which column is what, and who can judge.

Names go first; what they leave open is told by the contents, if they leave one reading. It reads and decides nothing
else: whether the gold answers can be judged is `gold`'s to say.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.adapters.tasks import wording
from errorbook.adapters.tasks.file_table import READERS, choose_kind
from errorbook.errors import DataError
from errorbook.importing.logs import columns as named
from errorbook.importing.logs.columns import find_columns
from errorbook.records import looks_like_messages

SAMPLED = 1000
"""Rows that are looked at."""
_MARK = "####"
_MOSTLY = 0.9
"""Share of numbers among the answers from which the others are taken for mistakes."""
_LABELS = 20
_LABEL_WORDS = 5
_EACH = 3
_ONE_OPTION = re.compile(r"(?:option|choice)s?[ _-]?([a-z]|[0-9]{1,2})", re.IGNORECASE)
_BESIDE = ("split", "difficulty", "level", "source", "group", "language", "date", "url")
"""Columns that are neither question nor answer, besides those that have a name of their own."""
_WORD = 'Reply with one line: "Answer: " and one of these alone: {labels}.'
_ALONE = 'End with a line "Answer: " and the answer alone.'


class Layout(NamedTuple):
    """Which columns of a file hold what, how its answers are compared, and what its questions are asked with.

    `messages` is the one with a conversation in place of a question; it may hold the answer as well. `choices` may be a
    column each, `count_from` the number of the first. `asked` follows every question; empty if the task words it.
    """

    question: str
    answer: str
    choices: str | tuple[str, ...]
    scorer: str
    messages: str = ""
    after: str = ""
    solution: str = ""
    skill: str = ""
    tests: str = ""
    count_from: int | None = None
    asked: str = ""
    max_new_tokens: int = 256


def inspect_data(data: Path, question: str = "", answer: str = "") -> Layout:
    """Find the columns of a JSON Lines, CSV or Parquet file; `question` and `answer` name those that are known.

    Raises:
        DataError: The file is missing, empty, none of these, or leaves open which column holds question or answer.
    """
    rows = [row.values for row in itertools.islice(READERS[choose_kind(data)](data), SAMPLED)]
    for name in filter(None, (question, answer)):
        if name not in rows[0]:
            raise DataError(f"'{data}' has no column '{name}' (it has: {', '.join(rows[0])}); name one of these.")
    question = question or _first(rows[0], named.QUESTION)
    if not question and (talks := _find_talks(rows)):
        told = answer or _first(rows[0], (*named.ANSWER_OR_LABEL, *named.RESPONSE))
        return talks._replace(answer=told)
    choices = _find_choices(rows)
    tests = _first(rows[0], named.TESTS)
    answer = answer or _first(rows[0], named.PROGRAM if tests else (*named.ANSWER_OR_LABEL, *named.RESPONSE))
    question, answer = _by_contents(data, rows, question, answer, choices, with_tests=bool(tests))
    found = Layout(question, answer, choices, "exact", tests=tests, **_find_beside(rows, question, answer))
    return found._replace(scorer="code", asked=wording.PROGRAM, max_new_tokens=512) if tests else _judged(found, rows)


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return next(iter(find_columns(row, names)), "")


def _find_talks(rows: Sequence[Mapping[str, Any]]) -> Layout | None:
    """The layout of rows that hold conversations, if they all do."""
    for column in find_columns(rows[0], named.MESSAGES):
        if all(looks_like_messages(row.get(column)) for row in rows):
            return Layout(question="", answer="", choices="", scorer="exact", messages=column)
    return None


def _find_choices(rows: Sequence[Mapping[str, Any]]) -> str | tuple[str, ...]:
    """The column with lists of options, or the columns with one option each; empty if there are none."""
    column = _first(rows[0], named.CHOICES)
    if column and all(isinstance(row.get(column), list | Mapping) for row in rows):
        return column
    single = [name for name in rows[0] if _ONE_OPTION.fullmatch(name)]
    letters = [letter for letter in named.LETTERS if letter in rows[0]]
    each = letters if letters[:2] == ["A", "B"] else single
    return tuple(each) if len(each) > 1 else ""


def _find_beside(rows: Sequence[Mapping[str, Any]], question: str, answer: str) -> dict[str, Any]:
    """The columns of the worked solution and of the skill, and the mark that ends a solution within the answer."""
    marked = bool(answer) and all(_MARK in str(row.get(answer, "")) for row in rows)
    solution = _first(rows[0], ("solution", "rationale", "explanation", "reasoning"))
    skill = _first(rows[0], named.SKILL)
    kept = {"solution": solution, "skill": skill}
    taken = {question, answer, "" if marked else None}
    return {
        "after": _MARK if marked else "",
        **{key: name for key, name in kept.items() if name not in taken and _is_filled(rows, name)},
    }


def _is_filled(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    return bool(column) and all(str(row.get(column) or "").strip() for row in rows)


def _by_contents(
    data: Path,
    rows: Sequence[Mapping[str, Any]],
    question: str,
    answer: str,
    choices: str | tuple[str, ...],
    *,
    with_tests: bool,
) -> tuple[str, str]:
    """Question and answer as far as names tell them, the rest by what the columns hold.

    The question is the longest text that hardly repeats, the answer is the only column that is left.
    """
    known = {*named.ID, *named.SKILL, *named.TESTS, *named.CHOICES, "solution", "rationale", *_BESIDE}
    taken = {question, answer, *([choices] if isinstance(choices, str) else choices)}
    left = [name for name in rows[0] if name not in taken and name.casefold() not in known and _is_filled(rows, name)]
    if not question and left:
        texts = {name: [str(row[name]) for row in rows] for name in left}
        free = [name for name in left if len(set(texts[name])) > _MOSTLY * len(rows) and " " in " ".join(texts[name])]
        if free:
            question = max(free, key=lambda name: sum(map(len, texts[name])))
            left.remove(question)
    if not answer and not with_tests:
        left = left or [name for name in find_columns(rows[0], named.SKILL) if name != question]
        answer = left[0] if len(left) == 1 else ""
    if question and (answer or with_tests):
        return question, answer
    lacks = " and ".join(what for what, name in (("a question", question), ("an answer", answer)) if not name)
    raise DataError(
        f"'{data}' has no columns that look like {lacks} (it has: {', '.join(rows[0])}); name them with --question"
        " COLUMN and --answer COLUMN, or rename them to 'question' and 'answer'."
    )


def _judged(found: Layout, rows: Sequence[Mapping[str, Any]]) -> Layout:
    """The layout with the scorer that fits its answers, and with the words that ask for them."""
    cells = [row.get(found.answer) for row in rows]
    if any(isinstance(cell, list | Mapping) for cell in cells):  # several answers: of words, whatever they are
        return found._replace(asked=_ALONE)
    answers = [str(cell).rpartition(found.after)[2].strip() if found.after else str(cell).strip() for cell in cells]
    if found.choices:
        numbered = None if _are_texts(found.choices, rows, answers) else _count_from(answers)
        return found._replace(scorer="choice", asked=wording.LETTER, count_from=numbered)
    if sum(map(_is_number, answers)) > _MOSTLY * len(answers):
        return found._replace(scorer="numeric", asked=wording.NUMBER)
    if labels := _find_labels(answers):
        return found._replace(asked=_WORD.format(labels=", ".join(labels)), max_new_tokens=32)
    return found._replace(asked=_ALONE)


def _are_texts(choices: str | tuple[str, ...], rows: Sequence[Mapping[str, Any]], answers: Sequence[str]) -> bool:
    """Whether the answers are the options' own texts or labels, which may be numbers, too."""
    for row, answer in zip(rows, answers, strict=True):
        options = row[choices] if isinstance(choices, str) else [row.get(column) for column in choices]
        if isinstance(options, Mapping):
            options = [*options.get("text", ()), *options.get("label", ())]
        if answer not in map(str, options):
            return False
    return True


def _count_from(answers: Sequence[str]) -> int | None:
    """The number of the first option if answers are numbers of options; None if they are letters or texts."""
    if not all(text.isascii() and text.isdigit() and len(text) < _EACH for text in answers):
        return None
    return min(1, *map(int, answers)) if len(answers) > 1 else None


def _find_labels(answers: Sequence[str]) -> list[str]:
    """The labels that the answers are, if they are few short ones that come again and again."""
    labels = sorted(set(answers))
    short = all(0 < len(label.split()) <= _LABEL_WORDS for label in labels)
    return labels if 1 < len(labels) <= _LABELS and short and len(answers) >= _EACH * len(labels) else []


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").replace("/", "", 1).strip("$%€£ "))
    except ValueError:
        return False
    return True
