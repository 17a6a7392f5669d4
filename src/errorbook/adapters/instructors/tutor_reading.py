"""Finds the equations in a piece of arithmetic prose and says of each whether it holds.

Reads symbols ("47 + 38 = 85"), chains ("3 + 4 * 2 = 3 + 8 = 11"), words ("add 47 and 38 to get 85"), remainders
("17 / 5 = 3 remainder 2") and columns ("7 + 8 = 15, write 5, carry 1"). It never raises on odd text: what it cannot
read it leaves out. It does not cover algebra, powers, or numbers written as words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import msgspec

_NUMBER = r"\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?%)?"
_TOKEN = re.compile(
    rf"(?P<number>{_NUMBER})"
    r"|(?P<operator>\\times|\\div|\\cdot|multiplied\s+by\b|divided\s+by\b|(?:plus|minus|times|of)\b|[-+*/×÷·−–])"
    r"|(?P<relation>=|(?:is\s+equal\s+to|equals|equal|is|gives|makes)\b)"
    r"|(?P<open>\()|(?P<close>\))|(?P<word>[A-Za-z]+)|(?P<stop>\n|\S)",
    re.IGNORECASE,
)
_OPERATORS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "plus": "+", "minus": "-", "times": "*", "of": "*"}
_OPERATORS |= {"\\times": "*", "\\div": "/", "\\cdot": "*", "multiplied by": "*", "divided by": "/", "x": "*"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_COLUMN = re.compile(r"[\s,;]*(?:and\s+|so\s+|we\s+|I\s+)*write\s+(?:down\s+)?(?:the\s+)?(\d)(?!\d)", re.IGNORECASE)
_CARRY = re.compile(r"[\s,;]*(?:and\s+|we\s+|I\s+)*carry\s+(?:over\s+)?(?:the\s+)?(\d{1,3})(?!\d)", re.IGNORECASE)
_BORROW = re.compile(r"[\s,;]*(?:and\s+|we\s+|I\s+)*borrow\s+(?:the\s+)?(\d)(?!\d)", re.IGNORECASE)
_REMAINDER = re.compile(
    r"[\s,;]*(?:with\s+|and\s+)?(?:a\s+)?(?:remainder|rem|r)\.?\s*(?:of\s+|is\s+|=\s*|:\s*)?(\d{1,9})(?!\d)",
    re.IGNORECASE,
)
_RESULT = rf"[^.\n=+*/×÷\d]{{0,40}}?\b(?:get|gives?|is|makes?|equals?|have|=)\W{{0,3}}(?P<c>{_NUMBER})"
_UNITS = r"(?:\s+[A-Za-z]{1,14}){0,2}"
_VERBS = (
    ("+", r"\badd(?:ing|s)?", "and|to|with", False),
    ("+", r"\bsum\s+of", "and", False),
    ("-", r"\bsubtract(?:ing|s)?", "from", True),
    ("-", r"\btak(?:e|ing)", r"(?:away\s+)?from", True),
    ("-", r"\bdifference\s+(?:between|of)", "and", False),
    ("*", r"\bmultiply(?:ing)?", "by|and|with|times", False),
    ("*", r"\bproduct\s+of", "and", False),
    ("/", r"\bdivid(?:e|ing|es)", "by", False),
)
_PROSE = tuple(
    (
        operator,
        swapped,
        re.compile(
            rf"{verb}\s+(?P<a>{_NUMBER}){_UNITS}\s+(?:{link})\s+(?P<b>{_NUMBER}){_UNITS}\W{{0,2}}{_RESULT}",
            re.IGNORECASE,
        ),
    )
    for operator, verb, link, swapped in _VERBS
)
_STEMS = re.compile("add|sum|subtract|tak|difference|multipl|product|divid", re.IGNORECASE)
_MAX_ITEMS = 40
_MAX_DEPTH = 8


class Equation(msgspec.Struct, frozen=True, kw_only=True):
    """One equation as written: `text` is the exact quotation, `value` what its left side is really worth.

    `flat` is the left side worked strictly from left to right; None where it has brackets. `written` and `carried`
    are the digits of "write 5, carry 1"; `remainder` that of a division.
    """

    text: str
    start: int
    end: int
    numbers: tuple[Fraction, ...]
    operators: tuple[str, ...]
    value: Fraction
    flat: Fraction | None
    stated: Fraction
    remainder: int | None = None
    written: int | None = None
    carried: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the right side is the left side's value, rounding and remainders allowed for."""
        return self._result_holds and self.columns_hold

    @property
    def columns_hold(self) -> bool:
        """Whether the digits said to be written and carried are those of the stated result."""
        if self.written is None:
            return True
        return self.stated == 10 * (self.carried or 0) + self.written or (
            self.carried is None and self.stated < 10 and self.stated == self.written
        )

    @property
    def _result_holds(self) -> bool:
        if self.remainder is not None:
            divisor = self.numbers[-1]
            whole = self.stated.denominator == 1 and 0 <= self.remainder < divisor
            return whole and self.stated + self.remainder / divisor == self.value
        if self.stated == self.value:
            return True
        endless = 10**6 % self.value.denominator != 0
        rounded = 100 % self.stated.denominator == 0 and self.stated.denominator > 1
        return endless and rounded and abs(self.stated - self.value) <= Fraction(1, 20)


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    start: int
    end: int


def number(text: str) -> Fraction | None:
    """The value of "1,204", "$3.50", "25%" or "3/4" alone; None for anything else, or more than 12 digits."""
    bare = text.strip().replace(",", "").replace("$", "").rstrip(".")
    percent = bare.endswith("%")
    bare = bare.rstrip("% ")
    if not re.fullmatch(r"-?\d{1,12}(?:\.\d{1,12}|\s*/\s*\d{1,12})?", bare, re.ASCII):
        return None
    try:
        value = Fraction(bare.replace(" ", ""))
    except ZeroDivisionError:
        return None
    return value / 100 if percent else value


def numbers_in(text: str) -> list[Fraction]:
    """Every number in the text, in order; "25%" counts as 25."""
    found = (number(match.group().rstrip("% ")) for match in re.finditer(_NUMBER, text))
    return [value for value in found if value is not None]


def read(text: str) -> list[Equation]:
    """The equations of a text in the order in which they stand."""
    signs = list(_symbolic(text))
    prose = [found for found in _prose(text) if not any(found.start < e.end and e.start < found.end for e in signs)]
    return sorted([*signs, *prose], key=lambda equation: equation.start)


def expression(text: str) -> tuple[tuple[Fraction, ...], tuple[str, ...]]:
    """Numbers and operators of the longest expression in a question, without an equals sign; empty where none is."""
    tokens = _tokens(text)
    best: list[_Token] = []
    index = 0
    while index < len(tokens):
        side, following = _side(tokens, index)
        best = max(best, side, key=len)
        index = max(following, index + 1)
    return _parts(best)


def _symbolic(text: str) -> Iterator[Equation]:
    tokens = _tokens(text)
    index = 0
    while index < len(tokens):
        sides, following = _chain(tokens, index)
        if len(sides) > 1:
            yield from _equations(text, sides)
        index = max(following, index + 1) if len(sides) > 1 else index + 1


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "stop"
        word = re.sub(r"\s+", " ", match.group().lower())
        if word == "x" and tokens and tokens[-1].kind in ("number", "close"):
            kind = "operator"
        if kind == "operator":
            word = _OPERATORS.get(word, word)
        tokens.append(_Token(kind, word, match.start(), match.end()))
    return tokens


def _chain(tokens: Sequence[_Token], index: int) -> tuple[list[list[_Token]], int]:
    """The sides of `a + b = c = d` that start at `index`, each a list of tokens, and where the next token is."""
    side, index = _side(tokens, index)
    sides = [side]
    if not any(token.kind == "operator" for token in side):
        return sides, index
    while side:
        after = _skip_words(tokens, index)
        if after >= len(tokens) or tokens[after].kind != "relation":
            break
        side, following = _side(tokens, after + 1)
        if side:
            sides.append(side)
            index = following
    return sides, index


def _side(tokens: Sequence[_Token], index: int) -> tuple[list[_Token], int]:
    """The longest expression at `index`; units may follow each number ("5 apples + 3 apples")."""
    items: list[_Token] = []
    good, end, depth = 0, index, 0
    while index < len(tokens) and len(items) < _MAX_ITEMS:
        while index < len(tokens) and tokens[index].kind == "open" and depth < _MAX_DEPTH:
            items.append(tokens[index])
            depth, index = depth + 1, index + 1
        if not items and _is_sign(tokens, index):
            items.append(tokens[index])
            index += 1
        if index >= len(tokens) or tokens[index].kind != "number":
            break
        items.append(tokens[index])
        index += 1
        while index < len(tokens) and tokens[index].kind == "close" and depth > 0:
            items.append(tokens[index])
            depth, index = depth - 1, index + 1
        if depth == 0:
            good, end = len(items), index
        index = _skip_words(tokens, index)
        if index >= len(tokens) or tokens[index].kind != "operator":
            break
        items.append(tokens[index])
        index += 1
    return items[:good], end


def _is_sign(tokens: Sequence[_Token], index: int) -> bool:
    """Whether a minus stands right before a number: with a space between it is the dash of a list."""
    pair = tokens[index : index + 2]
    return len(pair) == 2 and pair[0].text == "-" and pair[1].kind == "number" and pair[0].end == pair[1].start


def _skip_words(tokens: Sequence[_Token], index: int) -> int:
    """Past at most two words that name a unit."""
    for _ in range(2):
        if index < len(tokens) and tokens[index].kind == "word":
            index += 1
    return index


def _equations(text: str, sides: Sequence[Sequence[_Token]]) -> Iterator[Equation]:
    for left, right in pairwise(sides):
        value, stated = _value(left), _value(right)
        numbers, operators = _parts(left)
        if value is None or stated is None or not operators or len(numbers) != len(operators) + 1:
            continue
        running = _parts(right)[0][0]
        if stated != value == running:
            stated = running  # "2 + 3 = 5 + 4 = 9": careless writing, but no wrong sum
        elif right[-1].text.endswith("%") and value == 100 * stated:
            stated = value  # "7 / 20 * 100 = 35%"
        bracketed = any(token.kind == "open" for token in left)
        bare = Equation(
            text=text[left[0].start : right[-1].end],
            start=left[0].start,
            end=right[-1].end,
            numbers=numbers,
            operators=operators,
            value=value,
            flat=None if bracketed else _left_to_right(numbers, operators),
            stated=stated,
        )
        yield _with_suffix(text, bare) if len(right) == 1 else bare


def _with_suffix(text: str, bare: Equation) -> Equation:
    """The equation with the remainder, or the digits to write, carry and borrow, that follow its result."""
    end = bare.end
    found: dict[str, int] = {}
    suffixes = {"remainder": _REMAINDER, "written": _COLUMN, "carried": _CARRY, "borrowed": _BORROW}
    for name, pattern in suffixes.items():
        match = pattern.match(text, end)
        if match and not (name == "remainder" and bare.operators != ("/",)):
            found[name] = int(match.group(1))
            end = match.end()
    return msgspec.structs.replace(
        bare,
        text=text[bare.start : end],
        end=end,
        remainder=found.get("remainder"),
        written=found.get("written"),
        carried=found.get("carried"),
    )


def _prose(text: str) -> Iterator[Equation]:
    if not _STEMS.search(text):
        return
    for operator, swapped, pattern in _PROSE:
        for match in pattern.finditer(text):
            a, b, stated = (number(match.group(name)) for name in "abc")
            if a is None or b is None or stated is None:
                continue
            numbers = (b, a) if swapped else (a, b)
            value = _apply(operator, *numbers)
            if value is not None:
                yield Equation(
                    text=match.group(),
                    start=match.start(),
                    end=match.end(),
                    numbers=numbers,
                    operators=(operator,),
                    value=value,
                    flat=value,
                    stated=stated,
                )


def _parts(tokens: Sequence[_Token]) -> tuple[tuple[Fraction, ...], tuple[str, ...]]:
    values = [number(token.text) for token in tokens if token.kind == "number"]
    signs = tokens[1:] if tokens and tokens[0].text == "-" else tokens
    return tuple(value for value in values if value is not None), tuple(t.text for t in signs if t.kind == "operator")


def _value(tokens: Sequence[_Token]) -> Fraction | None:
    """The value of an expression by the usual precedence (two stacks); None where it has none."""
    values: list[Fraction] = []
    waiting: list[str] = []
    if tokens and tokens[0].text == "-":
        values.append(Fraction(0))
    for token in tokens:
        if token.kind == "number":
            value = number(token.text)
            if value is None:
                return None
            values.append(value)
        elif token.kind == "open":
            waiting.append("(")
        else:
            lowest = 0 if token.kind == "close" else _PRECEDENCE[token.text]
            if not _reduce(values, waiting, lowest):
                return None
            if token.kind == "close":
                waiting.pop()
            else:
                waiting.append(token.text)
    return values[0] if _reduce(values, waiting, 0) and len(values) == 1 else None


def _reduce(values: list[Fraction], waiting: list[str], lowest: int) -> bool:
    while waiting and waiting[-1] != "(" and _PRECEDENCE[waiting[-1]] >= lowest:
        if len(values) < 2:
            return False
        right, left = values.pop(), values.pop()
        value = _apply(waiting.pop(), left, right)
        if value is None:
            return False
        values.append(value)
    return True


def _left_to_right(numbers: Sequence[Fraction], operators: Sequence[str]) -> Fraction | None:
    total: Fraction | None = numbers[0]
    for operator, right in zip(operators, numbers[1:], strict=True):
        total = _apply(operator, total, right) if total is not None else None
    return total


def _apply(operator: str, left: Fraction, right: Fraction) -> Fraction | None:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    return left / right if right else None
