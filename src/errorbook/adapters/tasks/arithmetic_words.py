"""Wordings of arithmetic problems: bare calculations, short stories, and stories of two or three operations.

A wording is a template; a story of several operations pairs one with an expression over the letters a to d. Ranges
follow from the level and from the place of a letter in the expression. Splits, and the check of answers, are elsewhere.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TypeAlias

from errorbook.adapters.tasks.arithmetic_steps import Sketch, Tree, apply, infix, tree_key, tree_steps, value

Form: TypeAlias = "str | tuple[str, Form, Form]"
"""An expression over the letters a to d."""

_PEOPLE = ("Anna", "Ben", "Carla", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jack", "Lena", "Omar", "Priya")
_THINGS = ("apples", "books", "cards", "coins", "cookies", "eggs", "marbles", "pencils", "shells", "stamps", "stickers")

ADD = (
    "Calculate {a} + {b}.",
    "What is {a} + {b}?",
    "{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
)
SUBTRACT = (
    "Calculate {a} - {b}.",
    "What is {a} - {b}?",
    "{name} has {a} {things} and gives away {b}. How many {things} are left?",
)
MULTIPLY = (
    "Calculate {a} * {b}.",
    "What is {a} * {b}?",
    "There are {a} {things} in each of {b} boxes. How many {things} are there in total?",
)
DIVIDE = (
    "Calculate {a} / {b}.",
    "What is {a} / {b}?",
    "{name} shares {a} {things} equally among {b} children. How many {things} does each child get?",
)
REMAINDER = (
    "Calculate {a} / {b} with remainder.",
    "Divide {a} by {b} and give the quotient and the remainder.",
)
EXPRESSION = ("Calculate {e}.", "What is {e}?")
FRACTION_OF = (
    "Calculate {f} of {n}.",
    "What is {f} of {n}?",
    "{name} has {n} {things} and gives away {f} of them. How many {things} does {name} give away?",
)
PERCENT_OF = (
    "Calculate {p}% of {n}.",
    "What is {p}% of {n}?",
    "A class collects {n} {things}, and {p}% of them are red. How many {things} are red?",
)
PERCENT_UP = ("A price of {n} dollars rises by {p}%. What is the new price in dollars?",)
PERCENT_DOWN = ("A price of {n} dollars falls by {p}%. What is the new price in dollars?",)
CONVERT = (
    "Convert {amount} to {unit}.",
    "How many {unit} are {amount}?",
)

_TWO_STEP: tuple[tuple[str, Form], ...] = (
    (
        "{name} has {a} {things}, buys {b} more and then gives away {c}. How many {things} does {name} have now?",
        ("-", ("+", "a", "b"), "c"),
    ),
    (
        "{name} buys {a} boxes with {b} {things} in each box and then finds {c} more. "
        "How many {things} does {name} have in total?",
        ("+", ("*", "a", "b"), "c"),
    ),
    (
        "{name} has {a} red {things} and {b} blue {things} and shares them equally among {c} children. "
        "How many {things} does each child get?",
        ("/", ("+", "a", "b"), "c"),
    ),
    (
        "{name} has {a} dollars and buys {b} tickets at {c} dollars each. How many dollars are left?",
        ("-", "a", ("*", "b", "c")),
    ),
)
_THREE_STEP: tuple[tuple[str, Form], ...] = (
    (
        "{name} buys {a} pens at {b} dollars each and {c} books at {d} dollars each. "
        "How many dollars does {name} spend?",
        ("+", ("*", "a", "b"), ("*", "c", "d")),
    ),
    (
        "{name} has {a} dollars, buys {b} tickets at {c} dollars each and then a meal for {d} dollars. "
        "How many dollars are left?",
        ("-", ("-", "a", ("*", "b", "c")), "d"),
    ),
    (
        "A bus starts with {a} people. At the first stop {b} get on, at the second stop {c} get off, and at the "
        "third stop {d} get on. How many people are on the bus now?",
        ("+", ("-", ("+", "a", "b"), "c"), "d"),
    ),
)
_CALCULATIONS: dict[int, tuple[Form, ...]] = {
    1: (("+", "a", ("*", "b", "c")), ("*", ("+", "a", "b"), "c")),
    2: (("-", "a", ("*", "b", "c")), ("/", ("+", "a", "b"), "c"), ("*", ("-", "a", "b"), "c")),
    3: (("+", ("*", "a", "b"), ("*", "c", "d")), ("-", ("*", "a", "b"), "c")),
}
# (whole range of an addend, of a first factor or dividend, of a second factor or divisor), by level
_RANGES = {1: ((2, 12), (2, 5), (2, 5)), 2: ((4, 20), (2, 6), (2, 5)), 3: ((4, 40), (2, 9), (2, 5))}
_LARGEST = {1: 25, 2: 40, 3: 80}


def fill(templates: tuple[str, ...], rng: random.Random, **values: object) -> str:
    """One of the templates, with two different people and one kind of thing drawn at random."""
    name, other = rng.sample(_PEOPLE, 2)
    return rng.choice(templates).format(name=name, other=other, things=rng.choice(_THINGS), **values)


def order_of_operations(level: int, rng: random.Random) -> Sketch:
    """A bare expression of two or, at level 3, up to three operations in which their order matters."""
    _, tree = _draw(rng.choice(_CALCULATIONS[level]), level, rng)
    return _sketch(fill(EXPRESSION, rng, e=infix(tree)), tree)


def word_two_step(level: int, rng: random.Random) -> Sketch:
    """A story of two operations."""
    return _story(_TWO_STEP, level, rng)


def word_three_step(level: int, rng: random.Random) -> Sketch:
    """A story of three operations."""
    return _story(_THREE_STEP, level, rng)


def _story(stories: tuple[tuple[str, Form], ...], level: int, rng: random.Random) -> Sketch:
    template, form = rng.choice(stories)
    numbers, tree = _draw(form, level, rng)
    return _sketch(fill((template,), rng, **numbers), tree)


def _sketch(question: str, tree: Tree) -> Sketch:
    return Sketch(question, str(value(tree)), tree_steps(tree), tree_key(tree))


def _draw(form: Form, level: int, rng: random.Random) -> tuple[dict[str, int], Tree]:
    """Numbers for the form's letters such that every intermediate result is a positive whole number of fair size."""
    ranges = [(letter, *_RANGES[level][role]) for letter, role in _roles(form, 0).items()]
    while True:  # hundreds of times for some: nothing is made here that is not looked at
        numbers = {letter: rng.randint(low, high) for letter, low, high in ranges}
        found = _measure(form, numbers)
        if found is not None and found[0] > 1 and found[1] <= _LARGEST[level]:
            return numbers, _bind(form, numbers)


def _measure(form: Form, numbers: dict[str, int]) -> tuple[int, int] | None:
    """What a form comes to and its largest intermediate result; None if one is not a positive whole number."""
    if isinstance(form, str):
        return numbers[form], numbers[form]
    left, right = _measure(form[1], numbers), _measure(form[2], numbers)
    if left is None or right is None:
        return None
    result = apply(form[0], left[0], right[0])
    return None if result is None else (result, max(result, left[1], right[1]))


@cache
def _roles(form: Form, role: int) -> dict[str, int]:
    """For each letter which of the level's three ranges it is drawn from."""
    if isinstance(form, str):
        return {form: role}
    # A dividend must be large enough to be worth dividing, so it is drawn like an addend.
    left, right = {"*": (1, 2), "/": (0, 2)}.get(form[0], (0, 0))
    return _roles(form[1], left) | _roles(form[2], right)


def _bind(form: Form, numbers: dict[str, int]) -> Tree:
    if isinstance(form, str):
        return numbers[form]
    return (form[0], _bind(form[1], numbers), _bind(form[2], numbers))
