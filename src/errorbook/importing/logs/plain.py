"""Plain JSON Lines: a question, a response and, where known, a gold answer and a label, under the names in use.

Many programs log just that. It covers one response a row; see `recorded` for several models in one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errorbook.errors import DataError
from errorbook.importing.logs.content import ANSWERS, QUESTIONS, content
from errorbook.importing.logs.entry import Label, Logged, Row, label_of

NAME = "plain rows (question, response, label)"
RESPONSES = (
    "response",
    "completion",
    "prediction",
    "model_prediction",
    "output",
    "model_output",
    "model_response",
    "generation",
    "generated_text",
    "model_answer",
)
LABELS = (
    "is_correct",
    "correct",
    "passed",
    "label",
    "verdict",
    "exact_match",
    "acc",
    "score",
    "result",
)


def fits(columns: Mapping[str, Any]) -> bool:
    """Whether a row has a question and a response."""
    return any(name in columns for name in QUESTIONS) and any(name in columns for name in RESPONSES)


def read(rows: Sequence[Row], stem: str) -> list[Logged]:
    """One entry a row. The first row decides which column is the response and which the label."""
    first = rows[0].columns
    response = next(name for name in RESPONSES if name in first)
    label = next((name for name in LABELS if name in first and label_of(first[name]) is not None), "")
    return [_entry(row, stem, response, label) for row in rows]


def text_of(row: Row, column: str) -> str:
    """The response in a column; empty text is a response, nothing is not. Raises DataError."""
    value = row.columns.get(column)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"There is no response in '{column}' on {row.place}; write it as text, or remove the row.")
    return value


def question_of(row: Row) -> str:
    """The question of a row. Raises DataError where it is missing or empty."""
    found = content(row.columns).question
    if not found.strip():
        raise DataError(f"There is no question on {row.place}; fill it in, or remove the row.")
    return found


def _entry(row: Row, stem: str, response: str, label: str) -> Logged:
    there, model = content(row.columns), row.columns.get("model")
    return Logged(
        id=there.id or f"{stem}:{row.number}",
        place=row.place,
        question=question_of(row),
        text=text_of(row, response),
        label=_label(row, label),
        answer=there.answer,
        choices=there.choices,
        tests=there.tests,
        solution=there.solution,
        skill=there.skill,
        model=model if isinstance(model, str) else "",
    )


def _label(row: Row, column: str) -> Label:
    if not column:
        return ""
    found = label_of(row.columns.get(column))
    if found is None:
        raise DataError(
            f"The label {row.columns[column]!r} in '{column}' on {row.place} is not known; write right or wrong."
        )
    return found


def described() -> str:
    """What a row needs, in words, for the message about an unknown format."""
    return (
        f"a question ({', '.join(QUESTIONS[:4])}), a response ({', '.join(RESPONSES[:3])}) and, where known,"
        f" an answer ({', '.join(ANSWERS[:3])}) and a label ({', '.join(LABELS[:4])})"
    )
