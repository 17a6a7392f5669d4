"""The columns of a dataset's row -> question, gold answer, options and tests, in the spellings that are in use.

Shared by all formats, because a log carries the row of the dataset that it asked about. It decides by the columns
alone, never by the task's name or the file's. It does not read responses or labels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from errorbook.importing.logs.columns import ANSWER, CHOICES, ID, LETTERS, PROGRAM, QUESTION, SKILL, first_value

_LAST_LINE = re.compile(r"A: ?(?P<answer>\S.*)")


class Content(NamedTuple):
    """What a dataset's row says; empty if it does not."""

    id: str
    question: str
    answer: str
    choices: tuple[str, ...]
    tests: str
    solution: str
    skill: str
    accepted: tuple[str, ...] = ()


class Gold(NamedTuple):
    """A gold answer, its worked solution if it has one, and the answers that are as right."""

    answer: str
    solution: str
    accepted: tuple[str, ...] = ()


def counts_from(rows: Iterable[Mapping[str, Any]]) -> int:
    """The number of the first option if answers are numbers of options: 1 if one of them shows it, else 0."""
    golds = [(first_value(row, ANSWER), len(read_options(row)[0])) for row in rows]
    numbers = [(gold, options) for gold, options in golds if options and type(gold) is int]
    return int(any(gold == options for gold, options in numbers) and all(gold > 0 for gold, _ in numbers))


def read_content(row: Mapping[str, Any], start: int = 0) -> Content:
    """Read a row by its columns; `start` is the number of the first option, see `counts_from`."""
    choices, labels = read_options(row)
    value = first_value(row, (*ANSWER, *PROGRAM))
    gold = read_gold(value - start if choices and type(value) is int else value, choices, labels)
    return Content(
        id=_plain(first_value(row, ID)),
        question=_plain(first_value(row, QUESTION)),
        answer=gold.answer,
        choices=choices,
        tests=_tests(row),
        solution=gold.solution,
        skill=_plain(first_value(row, SKILL)),
        accepted=gold.accepted,
    )


def read_options(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options' texts and their labels in the row: a list, columns A, B, C, ..., or texts with labels."""
    listed = first_value(row, CHOICES)
    if isinstance(listed, dict) and isinstance(listed.get("text"), list):
        texts = tuple(_plain(item) for item in listed["text"])
        labels = listed.get("label")
        return texts, tuple(_plain(item) for item in labels) if isinstance(labels, list) else tuple(LETTERS)
    if isinstance(listed, list) and all(isinstance(item, str | int) for item in listed) and len(listed) > 1:
        return tuple(_plain(item) for item in listed), tuple(LETTERS[: len(listed)])
    letters = []
    for letter in LETTERS:
        if letter not in row:
            break
        letters.append(letter)
    if len(letters) < 2:
        return (), ()
    return tuple(_plain(row[letter]) for letter in letters), tuple(letters)


def read_gold(value: object, choices: Sequence[str], labels: Sequence[str], *, every: bool = True) -> Gold:
    """The gold answer, its worked solution and other accepted answers; of options the letter of the right one.

    A list means that each of its texts is accepted; of options it means all of them, unless `every` is false.
    """
    if isinstance(value, list):
        found = [read_gold(item, choices, labels) for item in value] or [Gold("", "")]
        answers = tuple(dict.fromkeys(one.answer for one in found if one.answer))
        if choices and every and len(answers) > 1:
            return Gold(", ".join(answers), "")
        return Gold(found[0].answer, found[0].solution, answers[1:])
    if choices:
        place = labels.index(text) if (text := _plain(value)) in labels else -1
        if isinstance(value, int) and not isinstance(value, bool):
            place = value
        if 0 <= place < min(len(choices), len(LETTERS)):
            return Gold(LETTERS[place], "")
    return Gold(*split_solution(_plain(value)))


def split_solution(text: str) -> tuple[str, str]:
    """A worked solution that ends in "#### 18", or whose last line is "A: 18", as ("18", the steps)."""
    steps, mark, answer = text.rpartition("####")
    if mark and answer.strip():
        return answer.strip(), steps.strip()
    steps, _, last = text.strip().rpartition("\n")
    found = _LAST_LINE.fullmatch(last.strip())
    return (found["answer"], steps.strip()) if steps and found else (text, "")


def call_check(test: str, entry_point: str) -> str:
    """A test program that defines `check(candidate)`, with its call."""
    return f"{test}\ncheck({entry_point})"


def _tests(row: Mapping[str, Any]) -> str:
    test, entry, listed = row.get("test"), row.get("entry_point"), row.get("test_list")
    if isinstance(test, str) and isinstance(entry, str):
        return call_check(test, entry)
    if isinstance(listed, list):
        return "\n".join(_plain(line) for line in (row.get("test_setup_code", ""), *listed) if line)
    return ""


def _plain(value: object) -> str:
    """Text and numbers as text; what has parts is nothing that can be shown as a question or an answer."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, str | int | float) else ""
