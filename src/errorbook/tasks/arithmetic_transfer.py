"""A guard task outside the domain of `arithmetic`: larger numbers, unseen wordings and combined skills.

A target that only memorised the wordings or the sizes of `arithmetic` gains nothing here; one that was damaged loses.
It plays the part of the paper's out-of-domain tests. No problem of it can occur in `arithmetic`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from errorbook.records import Example, Split
from errorbook.tasks import arithmetic_splits
from errorbook.tasks.arithmetic_problems import Problem
from errorbook.tasks.arithmetic_steps import (
    Sketch,
    Tree,
    add_parts,
    borrows,
    carries,
    partial_products,
    subtract_parts,
    tree_key,
    tree_steps,
    value,
)

LEVEL = 4
"""The difficulty of all transfer problems: above the levels of `arithmetic`."""


@dataclass(frozen=True)
class ArithmeticTransfer:
    """Eight combined or enlarged skills. The options are each split's size where no number is asked for."""

    train: int = 800
    dev: int = 240
    test: int = 240

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


def _large_multiply(rng: random.Random) -> Sketch:
    a, b = rng.randint(31, 69), rng.randint(3, 9)
    question = f"A hall has {a} rows of chairs, {b} chairs to a row. Give the number of chairs."
    return Sketch(question, str(a * b), partial_products(a, b), tree_key(("*", a, b)))


def _percent_of_sum(rng: random.Random) -> Sketch:
    percent = rng.choice((10, 20, 30, 50))
    total = 10 * rng.randint(2, 20)
    a = rng.randint(1, total - 1)
    b, tenth, part = total - a, total // 10, total * percent // 100
    question = f"A farm keeps {a} sheep and {b} goats; {percent}% of all these animals are young. How many are young?"
    steps = (f"{a} + {b} = {total}", f"{total} / 10 = {tenth}", f"{tenth} * {percent // 10} = {part}")
    return Sketch(question, str(part), steps, f"percent:{percent}:({tree_key(('+', a, b))})")


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


def _discounted_total(rng: random.Random) -> Sketch:
    percent = rng.choice((10, 20, 30, 50))
    a, b = 10 * rng.randint(1, 9), rng.randint(2, 9)
    total, tenth, part = a * b, a * b // 10, a * b * percent // 100
    question = f"Chairs cost {a} dollars apiece. A cafe orders {b} and gets {percent}% off the bill. What does it pay?"
    steps = (
        f"{a} * {b} = {total}",
        f"{total} / 10 = {tenth}",
        f"{tenth} * {percent // 10} = {part}",
        f"{total} - {part} = {total - part}",
    )
    return Sketch(question, str(total - part), steps, f"percent-down:{percent}:({tree_key(('*', a, b))})")


def _fraction_then_add(rng: random.Random) -> Sketch:
    bottom = rng.randint(3, 6)
    share = Fraction(rng.randint(1, bottom - 1), bottom)
    unit, more = rng.randint(2, 9), rng.randint(2, 30)
    n = unit * share.denominator
    gone = unit * share.numerator
    question = f"A tank of {n} litres loses {share} of its water. Then {more} litres flow in. What does it hold now?"
    steps = (
        f"{n} / {share.denominator} = {unit}",
        f"{unit} * {share.numerator} = {gone}",
        f"{n} - {gone} = {n - gone}",
        f"{n - gone} + {more} = {n - gone + more}",
    )
    return Sketch(question, str(n - gone + more), steps, f"add:(sub:{n}:(mul:{share}:{n})):{more}")


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
    "large_add": _large_add,
    "large_subtract": _large_subtract,
    "large_multiply": _large_multiply,
    "percent_of_sum": _percent_of_sum,
    "add_then_convert": _add_then_convert,
    "discounted_total": _discounted_total,
    "fraction_then_add": _fraction_then_add,
    "four_operations": _four_operations,
}

TRANSFER_SKILLS: tuple[str, ...] = tuple(_MAKERS)
