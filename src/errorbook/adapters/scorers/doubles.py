"""One amount written in two units: "0.5 hours (30 minutes)", "3 feet 6 inches (42 inches)", "180 minutes, or 3 hours".

`join_doubles` makes one reading of the two, so that either is met by a gold answer; the question's "how many hours"
picks one of them. Units are converted only to see that the two are the same amount; amounts that are given once, or in
two units together ("5 hours 30 minutes"), are left alone.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from errorbook.adapters.scorers.numbers import Reading

_SIZES = {
    "time": {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800},
    "calendar": {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200},
    "length": {"inch": 1, "foot": 12, "yard": 36, "mile": 63_360},
    "metres": {"millimeter": 1, "centimeter": 10, "meter": 1000, "kilometer": 1_000_000},
    "weight": {"ounce": 1, "pound": 16, "ton": 32_000},
    "grams": {"milligram": 1, "gram": 1000, "kilogram": 1_000_000, "tonne": 1_000_000_000},
    "volume": {"tablespoon": 1, "cup": 16, "pint": 32, "quart": 64, "gallon": 256},
    "litres": {"milliliter": 1, "liter": 1000},
    "money": {"cent": 1, "dime": 10, "quarter": 25, "dollar": 100},
    "count": {"piece": 1, "pair": 2, "dozen": 12},
}
_KIND = {unit: kind for kind, sizes in _SIZES.items() for unit in sizes}
_NAMES = {"feet": "foot", "inches": "inch", "hr": "hour", "min": "minute", "sec": "second", "h": "hour", "ft": "foot"}
_NAMES |= {"in": "inch", "yd": "yard", "lb": "pound", "oz": "ounce", "kg": "kilogram", "g": "gram", "mg": "milligram"}
_NAMES |= {"km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "l": "liter", "ml": "milliliter"}
_NAMES |= {"metre": "meter", "litre": "liter", "kilometre": "kilometer", "centimetre": "centimeter", "penny": "cent"}
_NAMES |= {"pennies": "cent", "centuries": "century", "kilo": "kilogram", "wk": "week", "yr": "year", "mo": "month"}
_UNIT = re.compile(r"[- ]?(?P<unit>[a-z]{1,12})\b", re.IGNORECASE)
_TOGETHER = re.compile(r",? ?(?:and )?", re.IGNORECASE)
_SAME = re.compile(
    r"(?: [a-z]{1,12}){0,2},? ?(?P<open>\()?(?:(?P<or>or)|= ?|\u2248 ?|i\.e\.,?|that is,?|which (?:is|equals)"
    r"|equal to|equivalent to|also"
    r"|equals|is)?(?: about| approximately| just| exactly| simply)? ?(?:\()?",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\b(?:how many((?: [a-z'-]+){1,3})|(?:how much|number of|in)((?: [a-z'-]+){1,2}))", re.IGNORECASE)
_NO_THINGS = frozenset(
    "more the of in all each total additional extra other doe do did will would is are wa were can could he she"  # noqa: SIM905
    " they it we you i a an his her their to for left have ha need".split()
)


class _Amount(NamedTuple):
    """One or two readings that stand together ("3 feet 6 inches"), up to where their unit ends."""

    readings: tuple[Reading, ...]
    unit: str
    base: Fraction
    end: int

    @property
    def kind(self) -> str:
        return _KIND.get(self.unit, "")


def read_unit(word: str) -> str:
    """The singular of a unit's name or sign; any other word as it is, without its plural."""
    word = word.lower()
    return _NAMES.get(word) or _NAMES.get(word.removesuffix("s")) or word.removesuffix("s")


def asked_units(question: str) -> set[str]:
    """The units, and other things, that a question asks for a number of."""
    asked = (first or second for first, second in _ASKED.findall(question))
    return {read_unit(word) for words in asked for word in words.split()} - _NO_THINGS


def join_doubles(text: str, found: list[Reading], question: str) -> list[Reading]:
    """`found` with one reading for each amount that is written twice; its `also` holds the other value."""
    if len(found) < 2:
        return found
    amounts, asked = _amounts(text, found), asked_units(question)
    joined: list[Reading] = []
    at = 0
    while at < len(amounts):
        one = amounts[at]
        other = amounts[at + 1] if at + 1 < len(amounts) else None
        both = _join(text, one, other, asked) if other else None
        joined += [both] if both else one.readings
        at += 2 if both else 1
    return joined


def _amounts(text: str, found: list[Reading]) -> list[_Amount]:
    amounts: list[_Amount] = []
    for reading in found:
        amount = _amount(text, reading)
        last = amounts[-1] if amounts else None
        if last and len(last.readings) == 1 and _stand_together(text, last, amount):
            both = (*last.readings, reading)
            amounts[-1] = _Amount(both, last.unit, last.base + amount.base, amount.end)
        else:
            amounts.append(amount)
    return amounts


def _amount(text: str, reading: Reading) -> _Amount:
    word = _UNIT.match(text, reading.end)
    unit = read_unit(word["unit"]) if word else ""
    end = word.end() if word and unit in _KIND else reading.end
    if unit not in _KIND and reading.text[:1] in "$\u20ac\u00a3":
        unit = "dollar"
    value = reading.quantity.value if reading.quantity else Fraction(0)
    return _Amount((reading,), unit, value * _SIZES[_KIND[unit]][unit] if unit in _KIND else value, end)


def _stand_together(text: str, large: _Amount, small: _Amount) -> bool:
    if not large.kind or large.kind != small.kind or large.readings[0].text[:1] == "$":
        return False
    sizes = _SIZES[large.kind]
    gap = text[large.end : small.readings[0].start]
    return sizes[large.unit] > sizes[small.unit] and _TOGETHER.fullmatch(gap) is not None


def _join(text: str, one: _Amount, other: _Amount, asked: set[str]) -> Reading | None:
    """The one reading of two amounts that are the same in two units, or None."""
    if not one.kind or one.kind != other.kind or (one.unit == other.unit and len(one.readings) == len(other.readings)):
        return None
    link = _SAME.fullmatch(text[one.end : other.readings[0].start])
    equal = one.base == other.base
    if not link or not (equal or (link["or"] and len(one.readings) == len(other.readings) == 1)):
        return None
    if not equal and not link["open"]:
        return None
    single = [amount for amount in (one, other) if len(amount.readings) == 1]
    wanted = [amount for amount in single if amount.unit in asked]
    chosen = wanted if len(wanted) == 1 else single
    if not chosen:
        return None
    first = chosen[0].readings[0]
    also = tuple(amount.readings[0].quantity for amount in chosen[1:] if amount.readings[0].quantity)
    start, end = one.readings[0].start, other.readings[-1].end
    return first._replace(start=start, end=end, also=also)
