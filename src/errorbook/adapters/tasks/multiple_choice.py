"""Options and the letter of the right one, out of the shapes in which benchmarks write them.

Also the two ways to answer: `text` asks for reasoning that ends with a letter; `likelihood` takes the letter that the
target finds likeliest as the first word of its reply. What is asked and what a sample teaches change together: if
the first word counts, a sample with the reasoning first would teach nothing that is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errorbook.adapters.tasks.benchmark import BenchmarkOptions, Spec, field, loader, style_of
from errorbook.adapters.tasks.collection import Quiz
from errorbook.adapters.tasks.wording import LETTERS
from errorbook.errors import ConfigError, DataError

ALONE = "Answer with the letter of the right option alone."


def quiz(spec: Spec, options: BenchmarkOptions, answer: str) -> Quiz:
    """The task that a spec describes, answered in one of the two ways.

    Raises:
        ConfigError: There is no such way.
    """
    if answer not in {"text", "likelihood"}:
        raise ConfigError(f"The option answer of '{spec.name}' is '{answer}'; write \"text\" or \"likelihood\".")
    weighed = answer == "likelihood"
    if weighed:
        spec = spec._replace(instruction=ALONE, completion=_letter_alone)
    return Quiz(style_of(spec, options), loader(spec, options), by_likelihood=weighed)


def _letter_alone(_: str, answer: str) -> str:
    return answer


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
