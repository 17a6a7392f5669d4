"""Plain JSON Lines: a question, a response and, if known, a gold answer and a label, under the names in use.

Many programs log just that. It covers one response a row; see `published` for several models in one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errorbook.errors import DataError
from errorbook.files import Row
from errorbook.importing.logs.columns import ANSWER, LABEL, QUESTION, RESPONSE, find_columns, list_names
from errorbook.importing.logs.dataset_row import counts_from, read_content
from errorbook.importing.logs.entry import Label, Logged, read_label

NAME = "plain rows (question, response, label)"


def fits(columns: Mapping[str, Any]) -> bool:
    """Whether a row has a question and a response."""
    return bool(find_columns(columns, QUESTION) and find_columns(columns, RESPONSE))


def read(rows: Sequence[Row], stem: str) -> list[Logged]:
    """One entry a row. The first row decides which column is the response and which the label."""
    first = rows[0].values
    response = find_columns(first, RESPONSE)[0]
    label = next((column for column in find_columns(first, LABEL) if read_label(first[column]) is not None), "")
    start = counts_from(row.values for row in rows)
    return [_entry(row, stem, (response, label), start) for row in rows]


def read_response(row: Row, column: str) -> str:
    """The response in a column; empty text is a response, nothing is not. Raises DataError."""
    value = row.values.get(column)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"There is no response in '{column}' on {row.place}; write it as text, or remove the row.")
    return value


def read_question(row: Row) -> str:
    """The question of a row. Raises DataError if it is missing or empty."""
    question = read_content(row.values).question
    if not question.strip():
        raise DataError(f"There is no question on {row.place}; fill it in, or remove the row.")
    return question


def _entry(row: Row, stem: str, columns: tuple[str, str], start: int) -> Logged:
    response, label = columns
    there, model = read_content(row.values, start), row.values.get("model")
    return Logged(
        id=there.id or f"{stem}:{row.number}",
        place=row.place,
        question=read_question(row),
        text=read_response(row, response),
        label=_label(row, label),
        answer=there.answer,
        accepted=there.accepted,
        choices=there.choices,
        tests=there.tests,
        solution=there.solution,
        skill=there.skill,
        model=model if isinstance(model, str) else "",
    )


def _label(row: Row, column: str) -> Label:
    if not column:
        return ""
    found = read_label(row.values.get(column))
    if found is None:
        raise DataError(
            f"The label {row.values[column]!r} in '{column}' on {row.place} is not known; write right or wrong."
        )
    return found


def describe_row() -> str:
    """What a row needs, in words, for the message about an unknown format."""
    return (
        f"a question ({list_names(QUESTION)}), a response ({list_names(RESPONSE, 3)}) and, if known,"
        f" an answer ({list_names(ANSWER, 3)}) and a label ({list_names(LABEL)})"
    )
