"""Options and the letter of the right one, out of the shapes in which benchmarks write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errorbook.errors import DataError
from errorbook.tasks.benchmark import field
from errorbook.tasks.wording import LETTERS


def options(row: Mapping[str, Any], labels: Sequence[str]) -> tuple[str, ...]:
    """The options that stand in columns of their own, one a label."""
    return tuple(field(row, label).strip() for label in labels)


def letter(gold: str, labels: Sequence[str]) -> str:
    """The gold option's letter by its place among the labels, which may be letters or numbers.

    Raises:
        DataError: The gold answer is none of the labels.
    """
    if gold not in labels:
        raise DataError(f"has the answer '{gold}', which is none of {', '.join(labels)}; correct it")
    return LETTERS[list(labels).index(gold)]
