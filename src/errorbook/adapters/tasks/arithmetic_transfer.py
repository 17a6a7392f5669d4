"""A guard task outside the domain of `arithmetic`: larger numbers, unseen wordings and combined skills.

A target that only memorised the wordings or the sizes of `arithmetic` gains nothing here; one that was damaged loses:
four of the eight skills are single steps that a very small model often gets right before any training, so that there
is something to lose, and four are beyond it at first.
It plays the part of the paper's out-of-domain tests. No problem of it can occur in `arithmetic`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from errorbook.adapters.tasks import arithmetic_splits
from errorbook.adapters.tasks.arithmetic_problems import Problem
from errorbook.adapters.tasks.arithmetic_steps import (
    Sketch,
    Tree,
    add_parts,
    borrows,
    carries,
    subtract_parts,
    tree_key,
    tree_steps,
    value,
)
from errorbook.plugins import Count
from errorbook.records import Example, Split

LEVEL = 4
"""The difficulty of all transfer problems: above the levels of `arithmetic`."""


@dataclass(frozen=True)
class ArithmeticTransfer:
    """Eight reworded, enlarged or combined skills. The options are each split's size if no number is asked for."""

    train: Count = 800
    dev: Count = 240
    test: Count = 240

    name: ClassVar[str] = "arithmetic_transfer"
    scorer: ClassVar[str] = "numeric"
    max_new_tokens: ClassVar[int] = 96

    def examples(self, split: Split, n: int | None, seed: int) -> Sequence[Example]:
        """The split's first `n` examples; any multiple of eight has all skills equally often. Raises DataError."""
        size = {"train": self.train, "dev": self.dev, "test": self.test}[split] if n is None else n
        rng = random.Random(f"{self.name}:{split}:{seed}:order")  # noqa: S311 (not for secrets)
        cells = [(skill, LEVEL) for skill in rng.sample(TRANSFER_SKILLS, len(TRANSFER_SKILLS))]
        return arithmetic_splits.draw(self.name, split, size, seed, cells, make_transfer)

    def prompt(self, question: str, choices: Sequence[str] = ()) -> str:
        """The same format as that of `arithmetic`."""
        return arithmetic_splits.prompt(question)

    def completion(self, solution: str, answer: str) -> str:
        """The steps, and a last line `Answer: ...`."""
        return arithmetic_splits.completion(solution, answer)


def make_transfer(skill: str, level: int, rng: random.Random) -> Problem:
    """Draw one problem of a skill (one of `TRANSFER_SKILLS`); the only level is `LEVEL`."""
    return Problem(skill=skill, level=level, **_MAKERS[skill](rng)._asdict())


def _large_add(rng: random.Random) -> Sketch:
    while True:
        a, b = rng.randint(90, 399), rng.randint(11, 99)
        if a > 99 and carries(a, b):
            question = f"A library owns {a} novels and orders {b} new ones. What is its stock after the delivery?"
            return Sketch(question, str(a + b), add_parts(a, b), tree_key(("+", a, b)))


def _large_subtract(rng: random.Random) -> Sketch:
    while True:
        a, b = rng.randint(101, 399), rng.randint(11, 99)
        if borrows(a, b):
            question = f"Of the {a} seats in a stadium, {b} are taken. How many are free?"
            return Sketch(question, str(a - b), subtract_parts(a, b), tree_key(("-", a, b)))


def _round_sum(rng: random.Random) -> Sketch:
    a, b = 100 * rng.randint(1, 12), 100 * rng.randint(1, 9)
    return Sketch(f"How much is {a} plus {b}?", str(a + b), add_parts(a, b), tree_key(("+", a, b)))


def _round_story(rng: random.Random) -> Sketch:
    a, b = 50 * rng.randint(4, 18), 100 * rng.randint(1, 6)
    question = f"A baker made {a} rolls yesterday and {b} more today. Give the number of rolls on both days together."
    return Sketch(question, str(a + b), add_parts(a, b), tree_key(("+", a, b)))


def _round_product(rng: random.Random) -> Sketch:
    a, b = rng.choice((10, 100)) * rng.randint(3, 9), rng.randint(2, 5)
    return Sketch(f"How much is {a} times {b}?", str(a * b), (f"{a} * {b} = {a * b}",), tree_key(("*", a, b)))


def _large_less_small(rng: random.Random) -> Sketch:
    a, b = 10 * rng.randint(10, 19) + rng.randint(5, 9), rng.randint(1, 4)
    return Sketch(f"How much is {a} minus {b}?", str(a - b), subtract_parts(a, b), tree_key(("-", a, b)))


def _add_then_convert(rng: random.Random) -> Sketch:
    verb, large, small, factor = rng.choice(
        (
            ("runs for", "hours", "minutes", 60),
            ("waits for", "minutes", "seconds", 60),
            ("unrolls", "metres", "centimetres", 100),
            ("carries", "kilograms", "grams", 1000),
        )
    )
    a, b = rng.randint(2, 15), rng.randint(2, 15)
    question = f"A robot {verb} {a} {large} before noon and {b} {large} after noon. Give the day's total in {small}."
    tree: Tree = ("*", ("+", a, b), factor)
    return Sketch(question, str(value(tree)), tree_steps(tree), f"convert:({tree_key(('+', a, b))}):{large}:{small}")


def _four_operations(rng: random.Random) -> Sketch:
    while True:
        a, b, c, d = (rng.randint(2, 9) for _ in range(4))
        e = rng.randint(2, 30)
        tree: Tree = ("-", ("+", ("*", a, b), ("*", c, d)), e)
        if value(tree) is not None:
            question = (
                f"A school orders {a} crates of {b} balls and {c} crates of {d} hoops. "
                f"Of everything delivered, {e} pieces are broken. How many pieces are usable?"
            )
            return Sketch(question, str(value(tree)), tree_steps(tree), tree_key(tree))


_MAKERS: dict[str, Callable[[random.Random], Sketch]] = {
    "round_sum": _round_sum,
    "round_product": _round_product,
    "large_less_small": _large_less_small,
    "round_story": _round_story,
    "large_add": _large_add,
    "large_subtract": _large_subtract,
    "add_then_convert": _add_then_convert,
    "four_operations": _four_operations,
}

TRANSFER_SKILLS: tuple[str, ...] = tuple(_MAKERS)
