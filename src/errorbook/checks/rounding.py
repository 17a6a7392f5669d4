"""When two unequal sides of an equation are still no mistake: rounding, unit conversion, and other honest shorthand.

Errs on the side of passing over: an excused equation is not judged at all. It decides nothing else.
"""

from __future__ import annotations

import re
from fractions import Fraction

from errorbook.checks.expressions import Number, Operation, Tree, evaluate, is_plain, numbers_in, units_in

_ROUNDED = re.compile(
    r"round|approx|about|nearest|rough|whole|integer|at least|≈|~|nearly|almost|partial|estimat|fraction of"
    r"|can(?:'t|no)t? |close to|up to|full ",
    re.IGNORECASE,
)
# How many of one make another: if a wrong result is off by one of these, units may have been converted on the way.
_FACTORS = [
    Fraction(text)
    for text in "2 3 4 5 7 8 10 12 14 15 16 20 24 25 30 31 36 48 50 52 60 64 100 128 144 168 365 366"  # noqa: SIM905
    " 1000 1440 1760"
    " 2000 3600 5280 10000 86400 1000000".split()
]
_CONVERTED = re.compile(
    r"%|[$¢€£]|\b(?:second|minute|hour|day|week|month|year|decade|centur|dozen|pair|couple|score|foot|feet|inch|yard"
    r"|mile|meter|metre|kilo|centi|milli|gram|kg|km|cm|mm|ml|lb|oz|ounce|pound|ton|cup|pint|quart|gallon|lit(?:er|re)"
    r"|table|tea|cent|dollar|penn|nickel|dime|quarter|thousand|million|billion|hundred|percent|half|halves|min|hr|sec|mega|giga|bit|byte"
    r"|ft\b|in\b|watt)"
)
_MOST_PLACES = 12  # a machine's number has 15 to 17 digits, and the last of them are not exact
_CLOCK = re.compile(r"\b(?:am|pm|a|p|o'clock|o’clock)\b")
_SYMBOL = re.compile(r"(?<!\w)[a-z](?!\w)")  # one letter is a variable as often as a unit


def is_measure(word: str) -> bool:
    """Whether a word is a unit of time, length, weight, volume or money."""
    return _CONVERTED.match(word.lower()) is not None


def compute_tolerance(right: Tree, near: str) -> Fraction:
    """One unit of the last place shown (rounded or cut); none for a whole number if nothing near says rounding."""
    numbers = numbers_in(right)
    places = min(_MOST_PLACES, max(number.places for number in numbers))
    if places:
        return Fraction(1, 10**places)
    return Fraction(1) if len(numbers) == 1 and _ROUNDED.search(near) else Fraction(0)


def find_thirds(tree: Tree) -> dict[Fraction, Fraction]:
    """For 0.33, 66.67 and their kin, the third that they were rounded from."""
    found = {}
    for number in numbers_in(tree):
        if number.places >= 2:
            nearest = Fraction(round(number.value * 3), 3)
            if nearest.denominator == 3 and abs(nearest - number.value) < Fraction(1, 10**number.places):
                found[number.value] = nearest
    return found


def is_excused(left: Tree, right: Tree, value: Fraction, stated: Fraction, slack: Fraction) -> bool:
    """Whether two unequal sides may both be meant as they stand.

    Args:
        left: The calculation.
        right: What it is said to give.
        value: The value of `left`.
        stated: The value of `right`.
        slack: What rounding allows.
    """
    mine, other = units_in(left), units_in(right)
    units = f"{mine} {other}"
    if _reads_on(left) == stated:
        return True
    if _CLOCK.search(units) or _SYMBOL.search(units) or _divides_twice(left) or _adds_measures(left):
        return True
    if isinstance(right, Operation) and not is_plain(
        right
    ):  # a run-on chain, or a substitution that changes what is counted
        return numbers_in(right)[0].value == value or set(mine.split()) != set(other.split())
    if isinstance(left, Number) and mine != other:
        return True
    return _CONVERTED.search(units) is not None and _is_converted(value, stated, slack)


def _is_converted(value: Fraction, stated: Fraction, slack: Fraction) -> bool:
    return any(abs(scaled - stated) <= slack for factor in _FACTORS for scaled in (value * factor, value / factor))


def _reads_on(tree: Tree) -> Fraction | None:
    """The value of "500 / 2/5" read from left to right, if the tree has its end as a fraction."""
    if isinstance(tree, Number) or tree.sign != "/" or isinstance(tree.right, Number) or tree.right.sign != "/":
        return None
    parts = [evaluate(part, False, {}) for part in (tree.left, tree.right.left, tree.right.right)]
    top, first, second = parts
    return top / first / second if top is not None and first and second else None


def _divides_twice(tree: Tree) -> bool:
    """Whether "500 / 2/5" stands here: two readings."""
    if isinstance(tree, Number):
        return False
    twice = tree.sign == "/" and isinstance(tree.left, Operation) and tree.left.sign == "/"
    return twice or _divides_twice(tree.left) or _divides_twice(tree.right)


def _adds_measures(tree: Tree) -> bool:
    """Whether "2 hours + 45 minutes" stands here."""
    if isinstance(tree, Number):
        return False
    if tree.sign in "+-" and evaluate(tree.left, False, {}) != 0:
        measures = [{match[0] for match in _CONVERTED.finditer(units_in(side))} for side in (tree.left, tree.right)]
        if measures[0] and measures[1] and measures[0] != measures[1]:
            return True
    return _adds_measures(tree.left) or _adds_measures(tree.right)
