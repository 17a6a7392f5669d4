"""Procedural arithmetic problems with worked steps: thirteen skills at three levels.

`make` draws one problem; equal random states give equal problems. The steps are short equations that a model of
135 million parameters can imitate (a solution is at most about 60 of its tokens). Splits and prompts are the
task's (`arithmetic`), and the recomputation of answers from the text is `arithmetic_solver`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import lcm

import msgspec

from errorbook.adapters.tasks import arithmetic_words as words
from errorbook.adapters.tasks.arithmetic_steps import (
    Sketch,
    add_parts,
    borrows,
    carries,
    division,
    partial_products,
    subtract_parts,
    tree_key,
)

LEVELS = (1, 2, 3)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem with its answer and worked steps.

    `key` is what is calculated, whatever the wording and the skill: problems with equal keys are the same problem.
    `answer` is a whole number, a reduced fraction as in `3/4`, or a quotient with remainder as in `7 remainder 5`.
    """

    skill: str
    level: int
    question: str
    answer: str
    steps: tuple[str, ...]
    key: str


def make(skill: str, level: int, rng: random.Random) -> Problem:
    """Draw one problem of a skill (one of `SKILLS`) and level (one of `LEVELS`)."""
    sketch = _MAKERS[skill](level, rng)
    return Problem(skill=skill, level=level, **sketch._asdict())


_TERMS = (((2, 29), (2, 9)), ((20, 89), (2, 9)), ((21, 79), (11, 39)))
"""Ranges of the two numbers of an addition or subtraction, by level."""


def _pair(level: int, rng: random.Random) -> tuple[int, int]:
    first, second = _TERMS[level - 1]
    return rng.randint(*first), rng.randint(*second)


def _add(level: int, rng: random.Random, wanted: range) -> Sketch:
    while True:
        a, b = _pair(level, rng)
        if carries(a, b) in wanted:
            return Sketch(words.fill(words.ADD, rng, a=a, b=b), str(a + b), add_parts(a, b), tree_key(("+", a, b)))


def _subtract(level: int, rng: random.Random, wanted: range) -> Sketch:
    while True:
        a, b = _pair(level, rng)
        if a > b + 1 and borrows(a, b) in wanted:
            question = words.fill(words.SUBTRACT, rng, a=a, b=b)
            return Sketch(question, str(a - b), subtract_parts(a, b), tree_key(("-", a, b)))


def _add_no_carry(level: int, rng: random.Random) -> Sketch:
    return _add(level, rng, range(1))


def _add_carry(level: int, rng: random.Random) -> Sketch:
    return _add(level, rng, range(1, 3))


def _subtract_no_borrow(level: int, rng: random.Random) -> Sketch:
    return _subtract(level, rng, range(1))


def _subtract_borrow(level: int, rng: random.Random) -> Sketch:
    return _subtract(level, rng, range(1, 3))


def _multiply(level: int, rng: random.Random) -> Sketch:
    low, high, first, last = ((2, 12, 2, 9), (11, 19, 2, 5), (13, 29, 2, 6))[level - 1]
    a, b = rng.randint(low, high), rng.randint(first, last)
    return Sketch(words.fill(words.MULTIPLY, rng, a=a, b=b), str(a * b), partial_products(a, b), tree_key(("*", a, b)))


def _division(level: int, rng: random.Random) -> tuple[int, int]:
    """A quotient and a divisor."""
    low, high, first, last = ((2, 12, 2, 9), (10, 16, 2, 6), (13, 25, 2, 6))[level - 1]
    return rng.randint(low, high), rng.randint(first, last)


def _divide(level: int, rng: random.Random) -> Sketch:
    quotient, b = _division(level, rng)
    a = quotient * b
    return Sketch(words.fill(words.DIVIDE, rng, a=a, b=b), str(quotient), division(a, b), tree_key(("/", a, b)))


def _divide_remainder(level: int, rng: random.Random) -> Sketch:
    quotient, b = _division(level, rng)
    remainder = rng.randint(1, b - 1)
    a = quotient * b + remainder
    question = words.fill(words.REMAINDER, rng, a=a, b=b)
    return Sketch(question, f"{quotient} remainder {remainder}", division(a, b), f"divmod:{a}:{b}")


def _fractions(level: int, rng: random.Random) -> Sketch:
    """Fractions of numbers and sums of one denominator; level 3 also has products and sums of unlike fractions."""
    if rng.random() < 1 / 2:
        return _fraction_of(level, rng)
    if level == 3 and rng.random() < 1 / 2:
        return _fraction_product(level, rng)
    return _fraction_sum(level, rng)


def _fraction_of(level: int, rng: random.Random) -> Sketch:
    bottom = rng.randint(3, (5, 6, 9)[level - 1])
    top = rng.randint(2, bottom - 1)
    part = Fraction(top, bottom)
    unit = rng.randint(2, (6, 9, 12)[level - 1])
    n = unit * part.denominator
    question = words.fill(words.FRACTION_OF, rng, f=part, n=n)
    steps = (f"{n} / {part.denominator} = {unit}", f"{unit} * {part.numerator} = {part * n}")
    return Sketch(question, str(part * n), steps, f"mul:{part}:{n}")


def _fraction_product(level: int, rng: random.Random) -> Sketch:
    x, y = (_proper(rng, 4 + level) for _ in range(2))
    top, bottom = x.numerator * y.numerator, x.denominator * y.denominator
    steps = [
        f"{x.numerator} * {y.numerator} = {top}",
        f"{x.denominator} * {y.denominator} = {bottom}",
        f"{x} * {y} = {top}/{bottom}",
    ]
    return _fraction_sketch(("*", x, y), (top, bottom), steps, rng)


def _fraction_sum(level: int, rng: random.Random) -> Sketch:
    operator = rng.choice("+-")
    while True:
        x, y = _proper(rng, (9, 15, 8)[level - 1]), _proper(rng, (9, 15, 8)[level - 1])
        bottom = lcm(x.denominator, y.denominator)
        result = x + y if operator == "+" else x - y
        related = bottom in (x.denominator, y.denominator)
        same = x.denominator == y.denominator
        fits = {1: same, 2: same, 3: related and not same}
        if not fits[level] or bottom > 60 or result <= 0 or result.denominator == 1:
            continue
        tops = [part.numerator * (bottom // part.denominator) for part in (x, y)]
        top = tops[0] + tops[1] if operator == "+" else tops[0] - tops[1]
        scaled = [f"{part} = {t}/{bottom}" for part, t in zip((x, y), tops, strict=True) if part.denominator != bottom]
        steps = [*scaled, f"{tops[0]}/{bottom} {operator} {tops[1]}/{bottom} = {top}/{bottom}"]
        return _fraction_sketch((operator, x, y), (top, bottom), steps, rng)


def _fraction_sketch(
    operation: tuple[str, Fraction, Fraction], raw: tuple[int, int], steps: list[str], rng: random.Random
) -> Sketch:
    """Add the reducing step if the raw result is not yet in lowest terms."""
    operator, x, y = operation
    result = Fraction(*raw)
    if result.denominator != raw[1]:
        steps = [*steps, f"{raw[0]}/{raw[1]} = {result}"]
    operands = [str(x), str(y)] if operator == "-" else sorted((str(x), str(y)))
    key = ":".join(({"+": "add", "-": "sub", "*": "mul"}[operator], *operands))
    return Sketch(words.fill(words.EXPRESSION, rng, e=f"{x} {operator} {y}"), str(result), tuple(steps), key)


def _proper(rng: random.Random, largest: int) -> Fraction:
    bottom = rng.randint(2, largest)
    return Fraction(rng.randint(1, bottom - 1), bottom)


def _percentages(level: int, rng: random.Random) -> Sketch:
    percent = rng.choice(((10, 20, 50), tuple(range(10, 100, 10)), (10, 20, 30, 50))[level - 1])
    n = 10 * rng.randint(1, (20, 40, 30)[level - 1])
    tenth, part = n // 10, percent * n // 100
    steps: tuple[str, ...] = (f"{n} / 10 = {tenth}", f"{tenth} * {percent // 10} = {part}")
    if level < 3:
        return Sketch(words.fill(words.PERCENT_OF, rng, p=percent, n=n), str(part), steps, f"percent:{percent}:{n}")
    if rng.random() < 0.5:
        question, sign, result, name = words.fill(words.PERCENT_UP, rng, p=percent, n=n), "+", n + part, "up"
    else:
        question, sign, result, name = words.fill(words.PERCENT_DOWN, rng, p=percent, n=n), "-", n - part, "down"
    return Sketch(question, str(result), (*steps, f"{n} {sign} {part} = {result}"), f"percent-{name}:{percent}:{n}")


_UNITS = (
    ("hours", "minutes", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("years", "months", 12),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
)


def _unit_conversion(level: int, rng: random.Random) -> Sketch:
    """Level 1 goes to the smaller unit, level 2 to the larger one, level 3 starts from an amount in both."""
    large, small, factor = rng.choice(_UNITS)
    n = rng.randint(2, 99 if factor in (10, 100) else 12)
    total = n * factor
    if level == 1:
        question = words.fill(words.CONVERT, rng, amount=f"{n} {large}", unit=small)
        return Sketch(question, str(total), (f"{n} * {factor} = {total}",), f"convert:{n}:{large}:{small}")
    if level == 2:
        question = words.fill(words.CONVERT, rng, amount=f"{total} {small}", unit=large)
        return Sketch(question, str(n), (f"{total} / {factor} = {n}",), f"convert:{total}:{small}:{large}")
    rest = rng.randint(2, factor - 1)
    question = words.fill(words.CONVERT, rng, amount=f"{n} {large} and {rest} {small}", unit=small)
    steps = (f"{n} * {factor} = {total}", f"{total} + {rest} = {total + rest}")
    return Sketch(question, str(total + rest), steps, f"convert:{n}:{large}:{rest}:{small}")


_MAKERS: dict[str, Callable[[int, random.Random], Sketch]] = {
    "add_no_carry": _add_no_carry,
    "add_carry": _add_carry,
    "subtract": _subtract_no_borrow,
    "subtract_borrow": _subtract_borrow,
    "multiply": _multiply,
    "divide": _divide,
    "divide_remainder": _divide_remainder,
    "order_of_operations": words.order_of_operations,
    "fractions": _fractions,
    "percentages": _percentages,
    "unit_conversion": _unit_conversion,
    "word_two_step": words.word_two_step,
    "word_three_step": words.word_three_step,
}

SKILLS: tuple[str, ...] = tuple(_MAKERS)
