"""Reads the worked steps of a response, and says of each whether it holds.

Reads more than the verifier, which must be certain: also equations in words ("add 47 and 38 to get 85", "3 times 4 is
12") and columns ("7 + 8 = 15, write 5, carry 1"). Numbers, expressions and remainders are read by `checks`. It never
raises on odd text: what it cannot read it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from errorbook.checks.equations import remainder_after, side_before
from errorbook.checks.expressions import (
    OPERATIONS,
    Number,
    Parsed,
    Token,
    Tree,
    evaluate,
    numbers_in,
    operators_in,
    parse_expression,
    tokenize,
)

_NUMBER = r"\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?%)?"
_RELATIONS = frozenset({"is", "equals", "equal", "gives", "makes"})
_MOST_DIGITS = 20
_DASHES = frozenset("-−–")
_SUFFIXES = {
    "written": re.compile(
        r"[\s,;]*(?:and\s+|so\s+|we\s+|I\s+)*write\s+(?:down\s+)?(?:the\s+)?(\d)(?!\d)", re.IGNORECASE
    ),
    "carried": re.compile(
        r"[\s,;]*(?:and\s+|we\s+|I\s+)*carry\s+(?:over\s+)?(?:the\s+)?(\d{1,3})(?!\d)", re.IGNORECASE
    ),
    "borrowed": re.compile(r"[\s,;]*(?:and\s+|we\s+|I\s+)*borrow\s+(?:the\s+)?(\d)(?!\d)", re.IGNORECASE),
}
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


class EquationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One equation as written: `text` is the exact quotation, `value` what its left side is really worth.

    `flat` is the left side worked strictly from left to right; None if it has brackets. `written` and `carried`
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


def read_number(text: str) -> Fraction | None:
    """The value of "1,204", "$3.50", "25%" or "3/4"; None for what is no arithmetic."""
    cut = tokenize(text.strip().rstrip("."), padded=True)
    read = parse_expression(cut, 0)
    return evaluate(read.tree, True, {}) if read and read.end == len(cut) else None


def read_numbers(text: str) -> list[Fraction]:
    """Every number in the text, in order; "25%" counts as 25."""
    return [number.value for token in tokenize(text, padded=True) if token.value for number in numbers_in(token.value)]


def read_steps(text: str) -> list[EquationStep]:
    """The worked steps of a text in the order in which they stand."""
    signs = list(_steps_in_signs(text))
    prose = [
        step for step in _steps_in_prose(text) if not any(step.start < e.end and e.start < step.end for e in signs)
    ]
    return sorted([*signs, *prose], key=lambda step: step.start)


def find_longest_expression(text: str) -> tuple[tuple[Fraction, ...], tuple[str, ...]]:
    """Numbers and operators of the longest expression in a question, without an equals sign; empty if it has none."""
    cut = tokenize(text)
    found = [read.tree for place in range(len(cut)) if (read := _expression(cut, place)) is not None]
    longest = max(found, key=lambda tree: len(numbers_in(tree)), default=None)
    return _parts(longest) if longest is not None else ((), ())


def _steps_in_signs(text: str) -> Iterator[EquationStep]:
    cut = _with_relations(tokenize(text, padded=True))
    for place, token in enumerate(cut):
        if token.kind == "equals":
            left, right = _left(cut, place), _expression(cut, place + 1)
            step = _step(text, cut, left, (place + 1, right)) if left and right else None
            if step is not None:
                yield step


def _with_relations(cut: Sequence[Token]) -> list[Token]:
    """The tokens with "is", "gives" and "is equal to" as equals signs; no number of a model that could not stop."""
    found: list[Token] = []
    for token in cut:
        word = token.text.lower() if token.kind == "word" else ""
        after_relation = bool(found) and found[-1].kind == "equals" and found[-1].text[0].isalpha()
        if after_relation and word in {"equal", "to"}:
            continue
        endless = token.value is not None and len(token.text) > _MOST_DIGITS
        plain = token._replace(kind="other", value=None) if endless else token
        found.append(token._replace(kind="equals") if word in _RELATIONS else plain)
    return found


def _left(cut: Sequence[Token], place: int) -> tuple[int, Parsed] | None:
    """The side before an equals sign, with a minus that is glued to it: after a space it is the dash of a list."""
    found = side_before(cut, place)
    if found is None or found[0] == 0:
        return found
    start = found[0]
    signed = cut[start - 1].text in _DASHES and cut[start].glued
    negative = parse_expression(cut, start - 1) if signed else None
    return (start - 1, negative) if negative else found


def _expression(cut: Sequence[Token], place: int) -> Parsed | None:
    """The expression at a place; if it leads into what is no arithmetic, its first number."""
    read = parse_expression(cut, place)
    if read is None and place < len(cut) and (tree := cut[place].value):
        return Parsed(tree, place + 1)
    return read


def _step(text: str, cut: Sequence[Token], left: tuple[int, Parsed], right: tuple[int, Parsed]) -> EquationStep | None:
    (first, (one, after)), (place, (other, end)) = left, right
    value, stated = evaluate(one, True, {}), evaluate(other, True, {})
    numbers, operators = _parts(one)
    bracketed = any(token.kind == "open" for token in cut[first:after])
    flat = None if bracketed else work_from_left(numbers, operators)
    if cut[first].text in _DASHES:
        numbers, operators = numbers[1:], operators[1:]
    if value is None or stated is None or not operators:
        return None
    running = numbers_in(other)[0].value if cut[place].value else None
    if stated != value == running:
        stated = running  # "2 + 3 = 5 + 4 = 9": careless writing, but no wrong sum
    elif numbers_in(other)[-1].percent and value == 100 * stated:
        stated = value  # "7 / 20 * 100 = 35%"
    start, stop = cut[first].start, _end(cut, place, end)
    bare = EquationStep(
        text=text[start:stop],
        start=start,
        end=stop,
        numbers=numbers,
        operators=operators,
        value=value,
        flat=flat,
        stated=stated,
    )
    return _with_suffix(text, bare, remainder_after(cut, Parsed(other, end))) if isinstance(other, Number) else bare


def _end(cut: Sequence[Token], start: int, end: int) -> int:
    """Where the last number between two places ends, or the bracket around it: its unit is no part of the step."""
    last = max(place for place in range(start, end) if cut[place].value)
    opened = sum(token.kind == "open" for token in cut[start:last])
    closing = [token for token in cut[start:end] if token.kind == "close"][:opened]
    return max(cut[last].end, *(token.end for token in closing)) if closing else cut[last].end


def _with_suffix(text: str, bare: EquationStep, remainder: Token | None) -> EquationStep:
    """The step with the remainder, or the digits to write, carry and borrow, that follow its result."""
    end, rest = bare.end, None
    if remainder is not None and remainder.value is not None and bare.operators == ("/",):
        end, rest = remainder.end, int(numbers_in(remainder.value)[0].value)
    found: dict[str, int] = {}
    for name, pattern in _SUFFIXES.items():
        match = pattern.match(text, end)
        if match:
            found[name], end = int(match[1]), match.end()
    return msgspec.structs.replace(
        bare,
        text=text[bare.start : end],
        end=end,
        remainder=rest,
        written=found.get("written"),
        carried=found.get("carried"),
    )


def _steps_in_prose(text: str) -> Iterator[EquationStep]:
    if not _STEMS.search(text):
        return
    for operator, swapped, pattern in _PROSE:
        for match in pattern.finditer(text):
            a, b, stated = (read_number(match[name]) for name in "abc")
            if a is None or b is None or stated is None:
                continue
            numbers = (b, a) if swapped else (a, b)
            value = work_from_left(numbers, (operator,))
            if value is not None:
                yield EquationStep(
                    text=match[0],
                    start=match.start(),
                    end=match.end(),
                    numbers=numbers,
                    operators=(operator,),
                    value=value,
                    flat=value,
                    stated=stated,
                )


def _parts(tree: Tree) -> tuple[tuple[Fraction, ...], tuple[str, ...]]:
    numbers = (number.value / 100 if number.percent else number.value for number in numbers_in(tree))
    return tuple(numbers), tuple(operators_in(tree))


def work_from_left(numbers: Sequence[Fraction], operators: Sequence[str]) -> Fraction | None:
    """The value of an expression without any precedence; None if it divides by zero."""
    total = numbers[0]
    for operator, right in zip(operators, numbers[1:], strict=True):
        if operator == "/" and right == 0:
            return None
        total = OPERATIONS[operator](total, right)
    return total
