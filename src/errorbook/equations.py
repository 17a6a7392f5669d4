"""Equations in worked solutions: find each `expression = number` in a text and check it exactly.

Understands + - * / x × ÷ between plain numbers (thousands separators, decimals, a leading $), with the usual
precedence, and division with remainder (`17 / 5 = 3 remainder 2`). What it cannot read is passed over, never judged.
It is independent of every generator and instructor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

_NUMBER = r"\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_EQUATION = re.compile(
    rf"(?<![\w.)/%*+=-])(?P<left>{_NUMBER}(?: ?[-+*/x×÷] ?{_NUMBER}){{1,12}}) ?= ?(?P<right>-?{_NUMBER})"
    r"(?P<rest> remainder \d+| r ?\d+)?(?! ?[-+*/x×÷] ?\d|[\d%/])"
)
_TOKEN = re.compile(rf"{_NUMBER}|[-+*/x×÷]")


class Equation(NamedTuple):
    """One equation as it stands in the text, and whether it holds."""

    text: str
    holds: bool


def equations(text: str) -> Iterator[Equation]:
    """Every equation that can be read, in order."""
    for found in _EQUATION.finditer(text):
        left = _TOKEN.findall(found["left"])
        rest = re.search(r"\d+", found["rest"] or "")
        if rest:
            yield Equation(found[0], _divides(left, _number(found["right"]), int(rest[0])))
        else:
            value = _evaluate(left)
            if value is not None:
                yield Equation(found[0], _equal(value, found["right"]))


def first_wrong(text: str) -> str:
    """The first equation that does not hold, or an empty string."""
    return next((equation.text for equation in equations(text) if not equation.holds), "")


def _evaluate(tokens: list[str]) -> Fraction | None:
    """Value by precedence, left to right; None for a division by zero."""
    terms = [_number(tokens[0])]
    signs = [1]
    for operator, operand in zip(tokens[1::2], tokens[2::2], strict=True):
        number = _number(operand)
        if operator in "+-":
            terms.append(number)
            signs.append(1 if operator == "+" else -1)
        elif operator in "/÷":
            if number == 0:
                return None
            terms[-1] /= number
        else:
            terms[-1] *= number
    return sum((sign * term for sign, term in zip(signs, terms, strict=True)), Fraction(0))


def _equal(value: Fraction, stated: str) -> bool:
    """Exact for whole numbers; a decimal may be rounded to the places that it shows."""
    number = _number(stated)
    places = len(stated.partition(".")[2])
    return value == number if not places else abs(value - number) <= Fraction(1, 2 * 10**places)


def _divides(left: list[str], quotient: Fraction, remainder: int) -> bool:
    if len(left) != 3 or left[1] not in "/÷" or _number(left[2]) == 0:
        return False
    divisor = _number(left[2])
    return quotient * divisor + remainder == _number(left[0]) and 0 <= remainder < divisor


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("$", ""))
