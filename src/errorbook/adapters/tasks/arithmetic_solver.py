"""Recomputes the answer of an arithmetic question from its text alone, in exact rational arithmetic.

Verification trusts this module, so it shares nothing with the generator: it has its own grammar of expressions, its
own readings of stories and its own table of units. A reading must cover the whole question, and every quantity in a
story must come out as a whole number of things; otherwise the answer is None. It does not try to understand English.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache

Numbers = dict[str, int]
Reading = tuple[str, Callable[[Numbers], tuple[Fraction | int, ...]]]

_ASK = r"(?:calculate|compute|evaluate|work out|find|find the value of|what is|how much is) "
_END = r"\s*[.?]?"
# Typographic times, dot, division, minus and dash.
_SYMBOLS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"})
_LARGEST_TEXT = 600

# Length in millimetres, mass in milligrams, volume in millilitres, time in seconds; calendar months stand apart.
_UNITS: dict[str, tuple[str, int]] = {
    "millimetre": ("length", 1),
    "centimetre": ("length", 10),
    "metre": ("length", 1_000),
    "kilometre": ("length", 1_000_000),
    "milligram": ("mass", 1),
    "gram": ("mass", 1_000),
    "kilogram": ("mass", 1_000_000),
    "millilitre": ("volume", 1),
    "litre": ("volume", 1_000),
    "second": ("time", 1),
    "minute": ("time", 60),
    "hour": ("time", 3_600),
    "day": ("time", 86_400),
    "week": ("time", 604_800),
    "month": ("calendar", 1),
    "year": ("calendar", 12),
}


def solve(question: str) -> str | None:
    """The answer: a whole number, a reduced fraction as `3/4`, or `7 remainder 5`; None if it is not understood."""
    text = " ".join(question.translate(_SYMBOLS).split())
    if len(text) > _LARGEST_TEXT:
        return None
    for read in (_calculation, _remainder, _conversion, _story):
        answer = read(text)
        if answer is not None:
            return answer
    return None


def _calculation(text: str) -> str | None:
    """A bare calculation, in symbols or in words."""
    number = r"(\d{1,12})"
    share = re.fullmatch(rf"{_ASK}(\d+/\d+|\d+%) of {number}{_END}", text, re.IGNORECASE)
    if share:
        part = _fraction(share[1])
        return None if part is None else str(part * int(share[2]))
    for pattern, template in (
        (rf"add {number} (?:and|to) {number}", r"\1 + \2"),
        (rf"what is the sum of {number} and {number}", r"\1 + \2"),
        (rf"subtract {number} from {number}", r"\2 - \1"),
        (rf"multiply {number} (?:by|and) {number}", r"\1 * \2"),
        (rf"what is the product of {number} and {number}", r"\1 * \2"),
        (rf"divide {number} by {number}", r"\1 / \2"),
        (rf"{_ASK}{number} plus {number}", r"\1 + \2"),
        (rf"{_ASK}{number} minus {number}", r"\1 - \2"),
        (rf"{_ASK}{number} times {number}", r"\1 * \2"),
        (rf"{_ASK}{number} divided by {number}", r"\1 / \2"),
        (rf"increase {number} by {number}%", r"\1 + \1 * \2 / 100"),
        (rf"decrease {number} by {number}%", r"\1 - \1 * \2 / 100"),
        (rf"{_ASK}([\d+*/() -]+)", r"\1"),
    ):
        match = re.fullmatch(pattern + _END, text, re.IGNORECASE)
        if match:
            value = evaluate(match.expand(template))
            return None if value is None else str(value)
    difference = re.fullmatch(rf"what is the difference between {number} and {number}{_END}", text, re.IGNORECASE)
    return str(abs(int(difference[1]) - int(difference[2]))) if difference else None


def evaluate(expression: str) -> Fraction | None:
    """The exact value of an expression of whole numbers, + - * / and brackets; None if it is malformed.

    There is no unary minus, juxtaposition is not multiplication, and a division by a tight fraction, as in
    `3/4 / 1/2`, is refused: it is read in two ways.
    """
    if re.fullmatch(r"(?:\s|\d{1,12}(?!\d)|[-+*/()])+", expression) is None or re.search(r"/ +\d+/\d", expression):
        return None
    tokens = re.findall(r"\d+|[-+*/()]", expression)
    try:
        value, rest = _sum(tokens)
    except (ValueError, ZeroDivisionError, RecursionError):
        return None
    return value if not rest else None


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        operator = tokens[0]
        term, tokens = _product(tokens[1:])
        value = value + term if operator == "+" else value - term
    return value, tokens


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _atom(tokens)
    while tokens and tokens[0] in "*/":
        operator = tokens[0]
        factor, tokens = _atom(tokens[1:])
        value = value * factor if operator == "*" else value / factor
    return value, tokens


def _atom(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens and tokens[0] == "(":
        value, rest = _sum(tokens[1:])
        if not rest or rest[0] != ")":
            raise ValueError("unclosed bracket")
        return value, rest[1:]
    if not tokens or not tokens[0].isdigit():
        raise ValueError("a number was expected")
    return Fraction(tokens[0]), tokens[1:]


def _fraction(text: str) -> Fraction | None:
    """`3/4` or `15%` as a fraction."""
    if text.endswith("%"):
        return Fraction(int(text[:-1]), 100)
    top, bottom = text.split("/")
    return Fraction(int(top), int(bottom)) if int(bottom) else None


def _remainder(text: str) -> str | None:
    for pattern in (
        r"(?:calculate|compute|work out) (\d+) / (\d+) with (?:a )?remainder",
        r"divide (\d+) by (\d+) and give the quotient and (?:the )?remainder",
        r"what are the quotient and (?:the )?remainder of (\d+) divided by (\d+)",
        r"(?-i:[A-Z][a-z]+) packs (\d+) [a-z]+ into boxes of (\d+)\. How many boxes are full, with what remainder",
    ):
        match = re.fullmatch(pattern + _END, text, re.IGNORECASE)
        if match and int(match[2]):
            quotient, rest = divmod(int(match[1]), int(match[2]))
            return f"{quotient} remainder {rest}"
    return None


def _conversion(text: str) -> str | None:
    """An amount in one or more units of one dimension, wanted in another unit of it."""
    amount, unit = r"(?P<amount>\d+ [a-z]+(?:(?:,| and) \d+ [a-z]+)*)", r"(?P<unit>[a-z]+)"
    for pattern in (
        rf"(?:convert|change) {amount} (?:in)?to {unit}",
        rf"express {amount} in {unit}",
        rf"how many {unit} are (?:there )?(?:in )?{amount}",
    ):
        match = re.fullmatch(pattern + _END, text, re.IGNORECASE)
        if match:
            return _converted(match["amount"], match["unit"])
    return None


def _converted(amount: str, wanted: str) -> str | None:
    dimension, size = _unit(wanted)
    total = 0
    for count, name in re.findall(r"(\d+) ([a-z]+)", amount, re.IGNORECASE):
        other, factor = _unit(name)
        if not size or other != dimension:
            return None
        total += int(count) * factor
    return str(Fraction(total, size))


def _unit(name: str) -> tuple[str, int]:
    """Dimension and size; ("", 0) if it is unknown."""
    return _UNITS.get(name.lower().removesuffix("s"), ("", 0))


def _story(text: str) -> str | None:
    for story, quantities in _STORIES:
        match = _pattern(story).fullmatch(text)
        if not match:
            continue
        groups = match.groupdict()
        if groups.get("N") is not None and groups.get("N") == groups.get("O"):
            return None
        try:
            results = quantities({name: int(found) for name, found in groups.items() if name.islower() and name != "t"})
        except ZeroDivisionError:
            return None
        whole = all(result >= 0 and Fraction(result).denominator == 1 for result in results)
        return str(results[-1]) if whole else None
    return None


@cache
def _pattern(story: str) -> re.Pattern[str]:
    """A story as a pattern: <a> is a number, <N> and <O> are people, <t> a thing; a repeated mark must repeat."""
    seen: set[str] = set()

    def mark(found: re.Match[str]) -> str:
        name = found[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        shape = "[A-Z][a-z]+" if name.isupper() else "[a-z]+" if name == "t" else r"\d{1,12}"
        return f"(?P<{name}>{shape})"

    return re.compile(re.sub(r"<(\w)>", mark, re.sub(r"([.?])", r"\\\1", story)))


def _over(number: int, divisor: int) -> Fraction:
    return Fraction(number, divisor)


# Each reading gives every quantity that its story mentions or implies; the last one answers the question.
_STORIES: tuple[Reading, ...] = (
    ("<N> has <a> <t> and gets <b> more. How many <t> does <N> have now?", lambda v: (v["a"] + v["b"],)),
    (
        "One box holds <a> <t> and another box holds <b> <t>. How many <t> are there in total?",
        lambda v: (v["a"] + v["b"],),
    ),
    ("<N> has <a> <t> and gives away <b>. How many <t> are left?", lambda v: (v["a"] - v["b"],)),
    (
        "<N> has <a> <t> and <O> has <b> <t>. How many more <t> does <N> have than <O>?",
        lambda v: (v["a"] - v["b"],),
    ),
    ("There are <a> <t> in each of <b> boxes. How many <t> are there in total?", lambda v: (v["a"] * v["b"],)),
    ("A ticket costs <a> dollars. How many dollars do <b> tickets cost?", lambda v: (v["a"] * v["b"],)),
    (
        "<N> shares <a> <t> equally among <b> children. How many <t> does each child get?",
        lambda v: (_over(v["a"], v["b"]),),
    ),
    ("<N> packs <a> <t> into boxes of <b>. How many boxes does <N> fill?", lambda v: (_over(v["a"], v["b"]),)),
    (
        "<N> has <a> <t> and gives away <b>/<c> of them. How many <t> does <N> give away?",
        lambda v: (v["a"] - _over(v["a"] * v["b"], v["c"]), _over(v["a"] * v["b"], v["c"])),
    ),
    (
        "A class collects <a> <t>, and <b>% of them are red. How many <t> are red?",
        lambda v: (100 - v["b"], _over(v["a"] * v["b"], 100)),
    ),
    (
        "<N> has <a> dollars and saves <b>% of them. How many dollars does <N> save?",
        lambda v: (100 - v["b"], _over(v["a"] * v["b"], 100)),
    ),
    (
        "A price of <a> dollars rises by <b>%. What is the new price in dollars?",
        lambda v: (_over(v["a"] * (100 + v["b"]), 100),),
    ),
    (
        "Last year a club had <a> members. This year it has <b>% more. How many members does it have this year?",
        lambda v: (_over(v["a"] * (100 + v["b"]), 100),),
    ),
    (
        "A price of <a> dollars falls by <b>%. What is the new price in dollars?",
        lambda v: (_over(v["a"] * (100 - v["b"]), 100),),
    ),
    (
        "A bag costs <a> dollars and is sold at <b>% off. How many dollars does it cost now?",
        lambda v: (_over(v["a"] * (100 - v["b"]), 100),),
    ),
    (
        "<N> has <a> <t>, buys <b> more and then gives away <c>. How many <t> does <N> have now?",
        lambda v: (v["a"] + v["b"] - v["c"],),
    ),
    (
        "<N> buys <a> boxes with <b> <t> in each box and then finds <c> more. How many <t> does <N> have in total?",
        lambda v: (v["c"] + v["a"] * v["b"],),
    ),
    (
        "A shop has <a> boxes with <b> <t> in each box. It sells <c> <t>. How many <t> are left?",
        lambda v: (v["a"] * v["b"] - v["c"],),
    ),
    (
        "<N> has <a> red <t> and <b> blue <t> and shares them equally among <c> children. "
        "How many <t> does each child get?",
        lambda v: (_over(v["a"] + v["b"], v["c"]),),
    ),
    (
        "<N> has <a> <t>, keeps <b> and packs the rest into boxes of <c>. How many boxes does <N> fill?",
        lambda v: (v["a"] - v["b"], _over(v["a"] - v["b"], v["c"])),
    ),
    (
        "Every day <N> walks <a> minutes in the morning and <b> minutes in the evening. "
        "How many minutes does <N> walk in <c> days?",
        lambda v: (v["a"] * v["c"] + v["b"] * v["c"],),
    ),
    (
        "<N> has <a> dollars and buys <b> tickets at <c> dollars each. How many dollars are left?",
        lambda v: (v["a"] - v["b"] * v["c"],),
    ),
    (
        "<N> has <a> <t>. <O> has <b> more <t> than <N>. How many <t> do they have together?",
        lambda v: (2 * v["a"] + v["b"],),
    ),
    (
        "<N> buys <a> pens at <b> dollars each and <c> books at <d> dollars each. How many dollars does <N> spend?",
        lambda v: (v["a"] * v["b"] + v["c"] * v["d"],),
    ),
    (
        "<N> has <a> dollars, buys <b> tickets at <c> dollars each and then a meal for <d> dollars. "
        "How many dollars are left?",
        lambda v: (v["a"] - v["b"] * v["c"] - v["d"],),
    ),
    (
        "A baker fills <a> trays with <b> rolls each, eats <c> of the rolls and packs the rest into bags of <d>. "
        "How many bags does the baker fill?",
        lambda v: (v["a"] * v["b"] - v["c"], _over(v["a"] * v["b"] - v["c"], v["d"])),
    ),
    (
        "Every week <N> earns <a> dollars for cleaning and <b> dollars for cooking. After <c> weeks <N> "
        "spends <d> dollars. How many dollars does <N> have then?",
        lambda v: (v["c"] * v["a"] + v["c"] * v["b"] - v["d"],),
    ),
    (
        "A bus starts with <a> people. At the first stop <b> get on, at the second stop <c> get off, and at the "
        "third stop <d> get on. How many people are on the bus now?",
        lambda v: (v["a"] + v["b"] - v["c"], v["a"] + v["b"] - v["c"] + v["d"]),
    ),
    (
        "<N> has <a> <t> and gives away <b>. <O> has <c> times as many as <N> has left, and then "
        "gets <d> more. How many <t> does <O> have?",
        lambda v: (v["a"] - v["b"], (v["a"] - v["b"]) * v["c"] + v["d"]),
    ),
    (
        "<N> picks <a> <t> on Monday, <b> on Tuesday and <c> on Wednesday and shares them equally among "
        "<d> friends. How many <t> does each friend get?",
        lambda v: (_over(v["a"] + v["b"] + v["c"], v["d"]),),
    ),
)
