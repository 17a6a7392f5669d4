"""Training samples and held-out questions out of JSON Lines files, whatever their columns are called.

A sample needs a question and a solution, an answer, or both; or a conversation that the assistant ends. If the answer
is not apart, the scorer reads it from the solution, as it would from a response. Lines are read one by one, so a file
may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from errorbook.checks.final_number import find_conclusion
from errorbook.checks.hedging import find_break
from errorbook.checks.tokens import numbers
from errorbook.errors import DataError
from errorbook.files import Row, read_json_lines
from errorbook.importing.logs.columns import (
    ANSWER,
    ANSWER_OR_LABEL,
    CHOICES,
    MESSAGES,
    QUESTION,
    SOLUTION,
    TESTS,
    find_columns,
    first_value,
    list_names,
)
from errorbook.interfaces import NumberReader, Scorer
from errorbook.records import Draft, Example, Talk, read_talk


class SampleRow(NamedTuple):
    """One sample of a file: the row as it stands there, and the draft that it makes."""

    row: Row
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


def read_samples(path: Path, task: str, scorer: Scorer) -> Iterator[SampleRow]:
    """The samples of a file, line by line.

    Raises:
        DataError: The file is missing, empty or malformed; the line is named.
    """
    for row in read_json_lines(path, spelt=False):
        talk = _talk(row)
        question, answer = talk.question, _text(row, ANSWER_OR_LABEL)
        solution = _text(row, SOLUTION) if talk.answer is None else talk.answer
        if solution is None and answer is None:
            raise DataError(
                f"There is neither solution nor answer on {row.place}; name a column {list_names(SOLUTION)}"
                f" or {list_names(ANSWER)}."
            )
        choices = _choices(row)
        tests = _text(row, TESTS) or ""
        worked = solution if solution is not None else answer or ""
        apart = answer if solution is not None and answer is not None else None
        draft = Draft(
            assignment="",
            diagnosis="",
            index=row.number,
            task=task,
            question=question,
            answer=apart or ("" if tests else _read_answer(question, worked, choices, scorer)),
            solution=worked,
            choices=choices,
            tests=tests,
            before=talk.before,
        )
        yield SampleRow(row, draft)


def read_questions(path: Path, name: str) -> Iterator[Example]:
    """The questions of a benchmark's file as held-out examples.

    Raises:
        DataError: The file is missing, empty or malformed, or a line has no question.
    """
    for row in read_json_lines(path):
        talk = _talk(row)
        yield Example(
            id=str(row.number), task=name, split="test", question=talk.question, answer="", before=talk.before
        )


def _talk(row: Row) -> Talk:
    """The row's question, alone or as the last one of a conversation, which may hold its answer."""
    columns = find_columns(row.values, MESSAGES)
    if not columns or find_columns(row.values, QUESTION):
        return Talk((), _question(row), None)
    try:
        return read_talk(row.values[columns[0]])
    except ValueError as error:
        raise DataError(
            f"The column '{columns[0]}' on {row.place} {error}; give messages with role and content."
        ) from None


def _question(row: Row) -> str:
    question = _text(row, QUESTION)
    if question is None:
        raise DataError(f"There is no question on {row.place}; name a column {list_names(QUESTION)}.")
    return question


def _text(row: Row, names: Sequence[str]) -> str | None:
    value = first_value(row.values, names)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    column = next(column for column in find_columns(row.values, names) if row.values[column] is value)
    raise DataError(f"The column '{column}' on {row.place} holds a {type(value).__name__}; give it text.")


def _choices(row: Row) -> tuple[str, ...]:
    try:
        return msgspec.convert(first_value(row.values, CHOICES) or (), tuple[str, ...])
    except msgspec.ValidationError as error:
        raise DataError(f"The options on {row.place} are no list of texts ({error}).") from error


def _read_answer(question: str, solution: str, choices: tuple[str, ...], scorer: Scorer) -> str:
    """What the scorer reads or, if that is only a number of the question, what the last calculation comes to."""
    unknown = Example(id="", task="", split="train", question=question, answer="A" if choices else "0", choices=choices)
    read = scorer.score(unknown, solution)
    if not isinstance(scorer, NumberReader) or scorer.is_marked(read) or find_break(solution):
        return read.extracted
    given = numbers(question)
    repeats = not read.extracted or set(numbers(read.extracted)) <= set(given)
    concluded = find_conclusion(solution) if repeats else ""
    return concluded if concluded and not set(numbers(concluded)) <= set(given) else read.extracted
