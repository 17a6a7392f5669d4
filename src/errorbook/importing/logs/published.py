"""Two shapes in which published responses lie: several models in one row, and programs with their tests.

The first is that of OpenAI's GSM8K solutions (each model's column holds `solution` and `is_correct`), the second
that of HumanEval-like records (`prompt`, `test`, `entry_point` and the `completion` that was run). What has one plain
response a row is read by `plain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errorbook.errors import DataError
from errorbook.files import Row
from errorbook.importing.logs import plain
from errorbook.importing.logs.columns import QUESTION, find_columns
from errorbook.importing.logs.dataset_row import read_content
from errorbook.importing.logs.entry import Logged, read_label


class Solutions:
    """One row a question, one column a model."""

    NAME = "solutions of several models a row (solution, is_correct)"

    @staticmethod
    def fits(columns: Mapping[str, Any]) -> bool:
        """Whether a row has a question and a model's column."""
        return bool(find_columns(columns, QUESTION)) and any(_is_solution(value) for value in columns.values())

    @staticmethod
    def read(rows: Sequence[Row], stem: str) -> list[Logged]:
        """One entry for each row and model; the first row says which models there are."""
        models = [name for name, value in rows[0].values.items() if _is_solution(value)]
        return [_solution(row, stem, model) for row in rows for model in models]


class Programs:
    """One row a program; the program that was run is `completion`, what the model wrote around it `response`."""

    NAME = "programs with tests (prompt, test, entry_point, completion)"

    @staticmethod
    def fits(columns: Mapping[str, Any]) -> bool:
        """Whether a row has a prompt, its tests and a program."""
        return {"prompt", "test", "entry_point"} <= columns.keys() and any(
            name in columns for name in ("completion", "response")
        )

    @staticmethod
    def read(rows: Sequence[Row], stem: str) -> list[Logged]:
        """One entry a row, labelled by `passed` if there is such a column."""
        # The label in the log was found by running the completion, so the completion is what is judged again.
        trimmed = [
            row._replace(values={key: value for key, value in row.values.items() if key != "response"})
            if "completion" in row.values
            else row
            for row in rows
        ]
        return plain.read(trimmed, stem)


def _is_solution(value: object) -> bool:
    return isinstance(value, dict) and {"solution", "is_correct"} <= value.keys()


def _solution(row: Row, stem: str, model: str) -> Logged:
    there, value = read_content(row.values), row.values.get(model)
    if not isinstance(value, dict) or not isinstance(value.get("solution"), str):
        raise DataError(f"There is no response of '{model}' on {row.place}; write its solution, or remove the row.")
    label = read_label(value.get("is_correct"))
    if label is None:
        raise DataError(f"The label {value['is_correct']!r} of '{model}' on {row.place} is not true or false.")
    return Logged(
        id=f"{there.id or f'{stem}:{row.number}'}:{model}",
        place=row.place,
        question=plain.read_question(row),
        text=value["solution"],
        label=label,
        answer=there.answer,
        accepted=there.accepted,
        solution=there.solution,
        choices=there.choices,
        model=model,
    )
