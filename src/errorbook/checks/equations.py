"""Equations in worked solutions: find each one in a text and check it exactly.

Understands what `expressions` reads, chains (`3 * 5 = 10 + 5 = 15`), two lines with one label (`cost = 3 * 5`, then
`cost = 15`), calculator annotations (`<<48/2=24>>`), division with remainder (`17 / 5 = 3 remainder 2`), percent as a
number or a share, and rounding: a decimal may be rounded or cut at the places that it shows, a whole number only where
the text speaks of rounding, and a rounded result may be carried on with its full precision. What cannot be read with
certainty (labels such as `Day 2 - 5`, unit conversions, clock times) is passed over, never judged. It is independent
of every generator and instructor. Whether the equations are the right ones for the question is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from errorbook.checks.expressions import (
    Number,
    Operation,
    Parsed,
    Token,
    Tree,
    evaluate,
    is_operator,
    is_plain,
    numbers_in,
    parse_expression,
    tokenize,
)
from errorbook.checks.rounding import compute_tolerance, find_thirds, is_excused, is_measure

_LINE = re.compile(r"[^\n]*(?:\n[ \t&]*(?:[=≈]|\\approx)[^\n]*)*")
_ANNOTATION = re.compile(r"<<([^<>\n]{1,300})>>")
_EQUALS = re.compile(r"[=≈]|\\approx")
_DIGIT = re.compile(r"\d")
_WINDOW = 60
_LONGEST = 5_000
_GROUP = 3
# Before a number these make it a part of something that the tree does not hold: "5 more than 3 * 2", "Day 2 - 5".
_HOLDS_BACK = frozenset(
    "of than twice double triple thrice half quarter third times by from to minus plus sqrt root power"  # noqa: SIM905
    " log per"
    " squared cubed sum product difference ratio average mean less fewer more every after before until"
    " day week month year hour minute step box bag group part question friend person number option level round team"
    " case store shop room class student child tier phase stage period section trip type table equation"
    " line row column set page chapter item lesson attempt test quiz no version"
    " days weeks months years hours minutes first last next".split()
)


class Equation(NamedTuple):
    """One equation as it stands in the text, and whether it holds."""

    text: str
    holds: bool


class _Said(NamedTuple):
    """What the lines so far have said: unrounded values by their rounded ones, and the last label with its value."""

    exact: dict[Fraction, Fraction]
    label: tuple[str, ...] = ()
    value: Tree | None = None


def find_equations(text: str) -> Iterator[Equation]:
    """Every equation that can be read with certainty, in order."""
    said = _Said({})
    for found in _LINE.finditer(text):
        line = found[0]
        if not _DIGIT.search(line) or not _EQUALS.search(line):
            said = _Said(said.exact) if line.strip() else said
            continue
        if len(line) > _LONGEST:  # no solution has such a line
            continue
        near = text[max(0, found.start() - 200) : found.end() + 300]
        if "<<" in line:
            for inside in _ANNOTATION.finditer(line):
                yield from _check_line(inside[1], tokenize(inside[1]), near, said.exact)
        # Blanks keep every place: what is shown is always cut from the text itself.
        cut = tokenize(_ANNOTATION.sub(lambda match: " " * len(match[0]), line) if "<<" in line else line)
        labelled = _read_label(cut)
        if labelled.label and labelled.label == said.label and said.value is not None:
            yield from _check_label(line, cut, near, said)
        yield from _check_line(line, cut, near, said.exact)
        said = _Said(said.exact, labelled.label, labelled.value)


def find_wrong_equation(text: str) -> str:
    """The first equation that does not hold, or an empty string."""
    return next((equation.text for equation in find_equations(text) if not equation.holds), "")


def _check_line(line: str, cut: Sequence[Token], near: str, exact: dict[Fraction, Fraction]) -> Iterator[Equation]:
    for place, token in enumerate(cut):
        if token.kind != "equals":
            continue
        right = parse_expression(cut, place + 1)
        if right is None or not _is_whole(cut, right):
            continue
        found = _before(cut, place)
        if found is None:
            continue
        start, left = found
        holds = _holds(left.tree, cut, right, near, exact)
        if holds is not None:
            yield Equation(line[cut[start].start : cut[right.end - 1].end], holds)


def _read_label(cut: Sequence[Token]) -> _Said:
    """The words before the only or first equals sign of a line, and what the last one gives them as a value."""
    places = [place for place, token in enumerate(cut) if token.kind == "equals"]
    label = cut[: places[0]] if places else []
    if not label or any(token.kind not in {"word", "other"} or token.value for token in label):
        return _Said({})
    right = parse_expression(cut, places[-1] + 1)
    if right is None or not (right.end == len(cut) or cut[right.end].kind == "break"):
        return _Said({})
    return _Said({}, tuple(token.text.lower() for token in label), right.tree)


def _check_label(line: str, cut: Sequence[Token], near: str, said: _Said) -> Iterator[Equation]:
    """A line that gives the label of the line before it a plain value: "cost = 3 * 5", then "cost = 15"."""
    place = next(place for place, token in enumerate(cut) if token.kind == "equals")
    right = parse_expression(cut, place + 1)
    if right is None or said.value is None or not _is_whole(cut, right):
        return
    if not isinstance(right.tree, Number) or not isinstance(said.value, Operation):
        return
    holds = _holds(said.value, cut, right, near, said.exact)
    if holds is not None:
        yield Equation(line[: cut[right.end - 1].end].strip(), holds)


def side_before(line: Sequence[Token], place: int) -> tuple[int, Parsed] | None:
    """Where the longest expression that ends at an equals sign starts, and its tree; a sign before it is left out."""
    for start in range(_floor(line, place), place):
        if line[start].kind in {"number", "fraction", "open"}:
            read = parse_expression(line, start)
            if read is not None and read.end == place:
                return start, read
    return None


def _before(line: Sequence[Token], place: int) -> tuple[int, Parsed] | None:
    """The side before an equals sign, if nothing else can belong to it."""
    found = side_before(line, place)
    if found is None:
        return None
    (start, read), floor = found, _floor(line, place)
    if start > floor and line[start - 1].text in {"-", "−", "–"}:
        return _with_sign(line, start, read, floor)
    chained = start > 0 and line[start - 1].kind == "equals"
    return found if (chained or _computes(read.tree)) and _may_start(line, start) else None


def _floor(line: Sequence[Token], place: int) -> int:
    for start in range(place - 1, max(0, place - _WINDOW) - 1, -1):
        if line[start].kind in {"equals", "break"}:
            return start + 1
    return max(0, place - _WINDOW)


def _computes(tree: Tree) -> bool:
    """Whether there is anything to compute: "1/4 cup" is a quantity."""
    return isinstance(tree, Operation) and not (tree.unit and tree.sign == "/" and len(numbers_in(tree)) == 2)


def _with_sign(line: Sequence[Token], start: int, read: Parsed, floor: int) -> tuple[int, Parsed] | None:
    """A side after a dash: a sign if it is glued to the number or follows an equals sign, a bullet elsewhere."""
    dash = start - 1
    after_equals = floor > 0 and dash == floor and line[floor - 1].kind == "equals"
    if not line[start].glued and not after_equals:
        return (start, read) if dash == floor and _computes(read.tree) else None
    if dash > floor and (line[dash].glued or line[dash - 1].kind != "word"):
        return None
    negative = parse_expression(line, dash)
    return (dash, negative) if negative and _may_start(line, dash) else None


def _may_start(line: Sequence[Token], start: int) -> bool:
    """Whether nothing before the first number belongs to the calculation."""
    if start == 0 or _is_split(line, start) or _is_measured(line, start):
        return start == 0
    return _may_follow(line, start, line[start - 1], line[start - 2] if start > 1 else None)


def _may_follow(line: Sequence[Token], start: int, before: Token, earlier: Token | None) -> bool:
    """Whether a calculation may begin behind these two tokens."""
    if before.text in {"\\(", "\\)"}:
        return earlier is None or earlier.kind in {"word", "break", "equals"}
    if before.kind == "word":
        counted = earlier is not None and earlier.kind in {"number", "fraction"}
        joins = before.text.lower() == "and" and counted and line[start].kind == "fraction"
        return not joins and before.text.lower() not in _HOLDS_BACK and len(before.text) > 1 and not line[start].glued
    if before.kind == "open":
        return earlier is None or earlier.kind in {"break", "equals"} or not before.glued
    if before.kind == "break" and line[start].glued and before.text in {":", ",", "."}:
        return earlier is None or earlier.kind not in {"number", "other"}
    return before.kind in {"equals", "break"}


def _is_split(line: Sequence[Token], start: int) -> bool:
    """Whether a number is the end of one that is written with a space: "14, 400" or "$. 84"."""
    before = line[start - 1]
    earlier = line[start - 2] if start > 1 else None
    if earlier is None or line[start].glued or line[start].kind != "number":
        return False
    thousands = before.text == "," and before.glued and earlier.kind == "number" and len(line[start].text) == _GROUP
    return thousands or (before.text == "." and earlier.text in {"$", "\u20ac", "\u00a3"})


def _is_measured(line: Sequence[Token], start: int) -> bool:
    """Whether an amount in a larger unit stands before: the 50 cents of "5 dollars 50 cents + 1" are not all of it."""
    words = [token for token in line[max(0, start - 3) : start] if token.text.lower() not in {"and", ","}]
    if len(words) < 2 or words[-1].kind != "word" or words[-2].kind not in {"number", "fraction"}:
        return False
    after = line[start + 1].text.lower() if start + 1 < len(line) else ""
    return is_measure(words[-1].text) and is_measure(after)


def _is_range(left: Tree, cut: Sequence[Token], right: Parsed, value: Fraction, stated: Fraction) -> bool:
    """Whether "25-45 = 12 people" stands here: a range and what it holds, because its end is larger than its start."""
    if not isinstance(left, Operation) or left.sign != "-" or len(numbers_in(left)) != 2:
        return False
    signs = [
        place
        for place in range(max(0, right.end - _WINDOW), right.end)
        if cut[place].kind == "sign" and cut[place].text in "-\u2013\u2212"
    ]
    glued = any(cut[place].glued and cut[place + 1].glued for place in signs if place + 1 < len(cut))
    return value < 0 <= stated and glued


def _is_whole(line: Sequence[Token], right: Parsed) -> bool:
    """Whether the side after an equals sign ends where the tree does: at a result, or at the next equals sign."""
    following = line[right.end] if right.end < len(line) else None
    if isinstance(right.tree, Operation) and not is_plain(right.tree):
        return following is not None and following.kind == "equals"
    if following is None:
        return True
    if is_operator(line, right.end) or following.kind in {"other", "open"}:
        return False
    if following.text == "\\(" and following.glued:
        return False  # a coefficient
    if following.kind == "break" and following.glued and _goes_on_glued(line, right.end + 1):
        return False
    return following.kind != "word" or len(following.text) > 1 or following.text.lower() in {"r", "a"}


def _goes_on_glued(line: Sequence[Token], place: int) -> bool:
    """Whether a number goes on behind a mark: a LaTeX command, as in a repeating decimal, or "14, 400"."""
    if place >= len(line):
        return False
    return (line[place].glued and line[place].kind == "other") or _is_split(line, place)


def _holds(left: Tree, cut: Sequence[Token], right: Parsed, near: str, exact: dict[Fraction, Fraction]) -> bool | None:
    """Whether two sides are equal; None if that cannot be said with certainty."""
    value, stated = evaluate(left, False, {}), evaluate(right.tree, False, {})
    if value is not None and stated is not None and _is_range(left, cut, right, value, stated):
        return None
    about = any(token.kind == "equals" and not token.text.startswith("=") for token in cut)
    if value is None or stated is None or _mixes_percent(left):
        return None
    rest = remainder_after(cut, right)
    if rest is not None and isinstance(rest.value, Number):
        return _divides(left, right.tree, int(rest.value.value))
    if value == stated:
        return True
    last_place = compute_tolerance(right.tree, near)
    for known in ({}, exact, exact | find_thirds(left) | find_thirds(right.tree)):
        for one, other, unit in _readings(left, right.tree, known):
            slack = max(last_place * unit, abs(one) / 1000 if about else Fraction(0))
            if one == other or abs(one - other) < slack:
                exact.setdefault(stated, one)
                return True
    slack = max(last_place, abs(value) / 1000 if about else Fraction(0))
    return None if is_excused(left, right.tree, value, stated, slack) or _goes_on(cut, right.end) else False


def _readings(
    left: Tree, right: Tree, known: dict[Fraction, Fraction]
) -> Iterator[tuple[Fraction, Fraction, Fraction]]:
    """The values of both sides, with percent as a number and as a share, and what 1 of the second side is worth."""
    for scaled in (False, True) if any(number.percent for number in numbers_in(left)) else (False,):
        one = evaluate(left, scaled, known)
        for scaled_too in (False, True) if any(number.percent for number in numbers_in(right)) else (False,):
            other = evaluate(right, scaled_too, known if isinstance(right, Operation) else {})
            if one is not None and other is not None:
                yield one, other, Fraction(1, 100) if scaled_too and _shares(right) else Fraction(1)


def _mixes_percent(tree: Tree) -> bool:
    """Whether a percentage is added to a plain number, as in "50 + 20%": of what, the text does not say."""
    if isinstance(tree, Number):
        return False
    if tree.sign in "+-" and _shares(tree.left) != _shares(tree.right):
        return not (isinstance(tree.left, Number) and tree.left.value in (0, 1, 100))
    return _mixes_percent(tree.left) or _mixes_percent(tree.right)


def _shares(tree: Tree) -> bool:
    if isinstance(tree, Number):
        return tree.percent
    if tree.sign in "+-":
        return _shares(tree.left) or _shares(tree.right)
    return _shares(tree.left) and _shares(tree.right)


def remainder_after(line: Sequence[Token], right: Parsed) -> Token | None:
    """The number that is stated as a remainder after the result, if one is."""
    for place in range(right.end - 1, min(right.end + 3, len(line))):
        if line[place].kind == "word" and line[place].text.lower() in {"remainder", "r", "rem"}:
            return next((token for token in line[place + 1 : place + 4] if isinstance(token.value, Number)), None)
        if place >= right.end and line[place].value is not None:
            return None
    return None


def _divides(left: Tree, right: Tree, remainder: int) -> bool | None:
    if not isinstance(left, Operation) or left.sign != "/" or not isinstance(right, Number):
        return None
    dividend, divisor = evaluate(left.left, False, {}), evaluate(left.right, False, {})
    if dividend is None or not divisor:
        return None
    return right.value * divisor + remainder == dividend and 0 <= remainder < divisor


def _goes_on(line: Sequence[Token], place: int) -> bool:
    """Whether another number follows at once, as in "1 hour 30 minutes" or "2 dollars and 50 cents"."""
    after = place + 1 if place < len(line) and line[place].text.lower() in {"and", ","} else place
    return after < len(line) and line[after].kind in {"number", "fraction"}
