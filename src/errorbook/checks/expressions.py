r"""Arithmetic as people write it, read into exact trees: `6 pounds / (1/4 pound per jar)`, `20% of $50`, `\frac{3}{4}`.

`tokenize` cuts a line, `parse_expression` reads the tree that starts at a token. Units and short comments after a
number are kept beside it. What is not plain arithmetic (variables, powers, roots, functions) gives None: it is never
half read.
Not covered: number words, clock times, dates, unit conversion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

Kind = Literal["number", "fraction", "sign", "open", "close", "equals", "word", "break", "other"]

_MONEY = r"(?:US)?\\?[$€£¥₹]"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,40})(?:\.\d{1,40})?|\.\d{1,40}"
_PATTERN = re.compile(
    rf"""
      (?P<space>[ \t\u00a0\u2009\u202f]+|\n[ \t]*(?=[=≈&])|\\(?:left|right|quad|qquad|displaystyle|big|Big)(?![A-Za-z])
          |\\[,;:!\ ]|&(?=\ ?=)|(?<![\d)])\*\*|\*\*(?![\d(]))
    | (?P<latex>\\[dt]?frac\ ?\{{(?P<top>[^{{}}=]{{1,80}})\}}\ ?\{{(?P<bottom>[^{{}}=]{{1,80}})\}})
    | (?P<label>\\(?:text|mathrm|mathbf|textbf|textit)\ ?\{{(?P<said>[^{{}}]{{0,120}})\}})
    | (?P<equals>≈|≅|~=|\\approx(?![A-Za-z])|(?<![<>!=~])={{1,2}}(?![=>]))
    | (?P<fraction>(?<![\d)\]]/)(?P<coin>{_MONEY})?\d{{1,9}}/\d{{1,9}}(?![\d/.,]*[\w/]))
    | (?P<number>(?P<money>{_MONEY})?[ ]*(?P<digits>{_DIGITS})(?P<percent>[ ]?\\?%)?)
    | (?P<sign>[-+*/×÷−–·∙]|\\(?:times|cdot|div)(?![A-Za-z])|(?<![A-Za-z])[xX](?=[ ]?{_MONEY}?[ ]*[\d(.\\]))
    | (?P<open>[(\[]) | (?P<close>[)\]])
    | (?P<word>[^\W\d]\w*(?:['’]\w+)*['’]?|[°¢#])
    | (?P<break>[.,;:?!\n•|"“”…→]|\\[\[\]()\\])
    | (?P<other>\\[A-Za-z]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = {"×": "*", "x": "*", "X": "*", "·": "*", "∙": "*", "÷": "/", "−": "-", "–": "-"}
_SIGNS |= {r"\times": "*", r"\cdot": "*", r"\div": "/", "times": "*", "plus": "+", "minus": "-"}
_PHRASES = {"multiplied": "*", "divided": "/"}
_GLUED_UNITS = frozenset(
    "kg g mg lb lbs oz t km m cm mm ft in yd mi l ml mL L gal h hr hrs min mins s sec secs ms mph kmh"  # noqa: SIM905
    " kph c am pm"
    " GB MB TB KB W kW kWh V K C F".split()
)
# Words after which a new clause begins; they never belong to a unit.
_STOPS = frozenset(
    "and or so then which is are was were equals equal gives because since but if where therefore"  # noqa: SIM905
    " thus hence making"
    " means we she he they i you it plus minus times multiplied divided now".split()
)
_KINDS: dict[str, Kind] = {kind: kind for kind in ("sign", "open", "close", "equals", "word", "break", "other")}
_CALCULATES = re.compile(r"[\d=+*/<>]")
_CODED = re.compile(r"\d|_")
_CLOCK = re.compile(r"0\d+")  # "00" of 6:00, "0730": no number that one calculates with
_MOST_UNIT_WORDS = 7
_DEEPEST = 12
_MOST_TERMS = 100
"""In one sum, and factors in one product: no solution has more, and trees are walked by recursion."""


class Token(NamedTuple):
    """One piece of a line; `value` holds a number's or fraction's tree, `glued` that no space precedes it."""

    kind: Kind
    text: str
    start: int
    end: int
    value: Tree | None = None
    glued: bool = False


class Number(NamedTuple):
    """A plain number: its value without the percent sign, the decimal places that it shows, and its unit."""

    value: Fraction
    places: int
    percent: bool = False
    unit: str = ""


class Operation(NamedTuple):
    """Two trees and the sign between them."""

    sign: str
    left: Tree
    right: Tree
    unit: str = ""


Tree = Number | Operation


class Parsed(NamedTuple):
    """A tree and the place of the first token after it."""

    tree: Tree
    end: int


def tokenize(line: str, *, padded: bool = False) -> list[Token]:
    """Cut a line into tokens; spaces and layout are dropped.

    Digits after a leading zero, as in "6:00", are a number only if `padded`.
    """
    found: list[Token] = []
    last = -1
    for match in _PATTERN.finditer(line):
        kind = match.lastgroup or "other"
        if match["space"] is None:
            found.append(_token(match, kind, match.start() == last, padded))
            last = match.end()
    return found


def parse_expression(line: Sequence[Token], start: int, depth: int = 0) -> Parsed | None:
    """The longest sum that starts at a token; None if it is not arithmetic, or ends in the middle of it."""
    if depth > _DEEPEST:
        return None
    read = _product(line, start, depth)
    for _ in range(_MOST_TERMS):
        if read is None:
            return None
        sign, after = _sign(line, read.end)
        if sign not in {"+", "-"}:
            return read
        right = _product(line, after, depth)
        read = Parsed(Operation(sign, read.tree, right.tree), right.end) if right else None
    return None


def evaluate(tree: Tree, percent: bool, exact: Mapping[Fraction, Fraction]) -> Fraction | None:
    """The tree's value; None for a division by zero.

    Args:
        tree: What to compute.
        percent: Whether a percent sign divides by 100.
        exact: Unrounded values to put in the place of rounded ones.
    """
    if isinstance(tree, Number):
        value = exact.get(tree.value, tree.value)
        return value / 100 if percent and tree.percent else value
    left, right = evaluate(tree.left, percent, exact), evaluate(tree.right, percent, exact)
    if left is None or right is None or (tree.sign == "/" and right == 0):
        return None
    return OPERATIONS[tree.sign](left, right)


def numbers_in(tree: Tree) -> list[Number]:
    """All numbers of a tree, from left to right."""
    return [tree] if isinstance(tree, Number) else numbers_in(tree.left) + numbers_in(tree.right)


def operators_in(tree: Tree) -> list[str]:
    """All signs of a tree, from left to right: one fewer than its numbers."""
    return [] if isinstance(tree, Number) else [*operators_in(tree.left), tree.sign, *operators_in(tree.right)]


def units_in(tree: Tree) -> str:
    """All unit words of a tree, in lower case."""
    if isinstance(tree, Number):
        return tree.unit
    return f"{units_in(tree.left)} {units_in(tree.right)} {tree.unit}"


def is_plain(tree: Operation) -> bool:
    """Whether the tree is one number: negative, a fraction, or mixed."""
    numbers = numbers_in(tree)
    if tree.sign == "-" and isinstance(tree.left, Number) and tree.left.value == 0:
        return isinstance(tree.right, Number)
    if tree.sign == "+" and isinstance(tree.right, Operation):
        return tree.right.sign == "/" and len(numbers) == 3
    return tree.sign == "/" and len(numbers) == 2 and all(not number.unit and not number.places for number in numbers)


def is_operator(line: Sequence[Token], place: int) -> bool:
    """Whether a sign, or a word that stands for one, is at this place."""
    return _sign(line, place)[0] != ""


OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}


def _token(match: re.Match[str], group: str, glued: bool, padded: bool) -> Token:
    text, start, end = match[0], match.start(), match.end()
    if group == "number" and (padded or not _CLOCK.fullmatch(match["digits"])):
        return Token("number", text, start, end, _number(match), glued)
    if group == "fraction":
        top, _, bottom = text.removeprefix(match["coin"] or "").partition("/")
        tree = Operation("/", Number(Fraction(int(top)), 0, False, "$" if match["coin"] else ""), _whole(bottom))
        return Token("fraction", text, start, end, tree, glued)
    if group == "latex":
        return _latex(match, glued)
    if group == "label":
        plain = not _CALCULATES.search(match["said"])
        return Token("word" if plain else "other", match["said"].strip(), start, end, None, glued)
    plain = group != "word" or text.isalpha() or not _CODED.search(text)
    return Token(_KINDS.get(group, "other") if plain else "other", text, start, end, None, glued)


def _latex(match: re.Match[str], glued: bool) -> Token:
    parts = []
    for inside in (match["top"], match["bottom"]):
        cut = tokenize(inside)
        read = parse_expression(cut, 0) if cut else None
        if read is None or read.end != len(cut):
            return Token("other", match[0], match.start(), match.end(), None, glued)
        parts.append(read.tree)
    return Token("fraction", match[0], match.start(), match.end(), Operation("/", parts[0], parts[1]), glued)


def _whole(digits: str) -> Number:
    return Number(Fraction(int(digits)), 0)


def _number(match: re.Match[str]) -> Number:
    whole, _, part = match["digits"].replace(",", "").partition(".")
    value = Fraction(int(whole + part), 10 ** len(part)) if part else Fraction(int(whole))
    unit = "$" if match["money"] else "%" if match["percent"] else ""
    return Number(value, len(part), match["percent"] is not None, unit)


def _sign(line: Sequence[Token], place: int) -> tuple[str, int]:
    """The operation at a place and the place after it, or an empty one."""
    if place >= len(line):
        return "", place
    token, word = line[place], line[place].text.lower()
    if token.kind == "sign" or (token.kind == "word" and word in _SIGNS and len(word) > 1):
        return _SIGNS.get(word, token.text), place + 1
    following = line[place + 1].text.lower() if place + 1 < len(line) else ""
    if token.kind == "word" and word in _PHRASES and following == "by":
        return _PHRASES[word], place + 2
    return "", place


def _product(line: Sequence[Token], start: int, depth: int) -> Parsed | None:
    read = _factor(line, start, depth)
    for _ in range(_MOST_TERMS):
        if read is None:
            return None
        sign, after = _sign(line, read.end)
        if sign in {"*", "/"}:
            right = _factor(line, after, depth)
        elif (after := _share(line, read)) > 0:
            sign, right = "*", _factor(line, after, depth)
        elif read.end < len(line) and line[read.end].kind == "open":
            if not line[read.end].glued:
                return None  # "20 (4 * 5)": a product or a comment
            sign, right = "*", _factor(line, read.end, depth)
        else:
            return read
        read = Parsed(Operation(sign, read.tree, right.tree), right.end) if right else None
    return None


def _share(line: Sequence[Token], read: Parsed) -> int:
    """Where the whole starts in "1/4 of the 20" and "20% of 50"; 0 if this is something else."""
    place = read.end
    part = read.tree.percent if isinstance(read.tree, Number) else read.tree.sign == "/"
    if not part or place + 1 >= len(line) or line[place].text.lower() != "of":
        return 0
    place += 2 if line[place + 1].text.lower() in {"the", "these", "those"} else 1
    return place if place < len(line) and line[place].kind in {"number", "fraction", "open"} else 0


def _factor(line: Sequence[Token], place: int, depth: int) -> Parsed | None:
    negative = False
    if place < len(line) and line[place].text in {"-", "−", "–", "+"}:
        negative, place = line[place].text != "+", place + 1
    read = _atom(line, place, depth)
    if read is None:
        return None
    tree, place = read
    following = line[place] if place < len(line) else None
    if following and isinstance(tree, Number) and _is_mixed(tree, following):
        assert following.value is not None  # noqa: S101 - fractions carry their tree
        tree, place = Operation("+", tree, following.value), place + 1
    place, unit = _unit(line, place)
    if place < 0:
        return None
    if unit:
        tree = tree._replace(unit=f"{tree.unit} {unit}".strip())
    return Parsed(Operation("-", _whole("0"), tree) if negative else tree, place)


def _atom(line: Sequence[Token], place: int, depth: int) -> Parsed | None:
    if place >= len(line):
        return None
    token = line[place]
    if token.value is not None:
        return Parsed(token.value, place + 1)
    if token.kind != "open":
        return None
    inside = parse_expression(line, place + 1, depth + 1)
    if inside is None or inside.end >= len(line) or line[inside.end].kind != "close":
        return None
    return Parsed(inside.tree, inside.end + 1)


def _is_mixed(whole: Number, following: Token) -> bool:
    """Whether "2 1/2" stands here."""
    part = following.value
    if following.kind != "fraction" or following.glued or not isinstance(part, Operation):
        return False
    top, bottom = part.left, part.right
    plain = isinstance(top, Number) and isinstance(bottom, Number) and top.value < bottom.value
    return plain and whole.places == 0 and not whole.percent


def _unit(line: Sequence[Token], place: int) -> tuple[int, str]:
    """The unit words and comments after a number, and the place after them; -1 if the number is a coefficient."""
    words: list[str] = []
    if place < len(line) and line[place].glued and line[place].kind in {"word", "other"}:
        if line[place].text not in _GLUED_UNITS:
            return -1, ""
        words.append(line[place].text)
        place += 1
    while place < len(line) and len(words) < _MOST_UNIT_WORDS:
        token = line[place]
        following = line[place + 1] if place + 1 < len(line) else None
        if token.kind == "open" and (after := _comment(line, place)):
            if token.glued:
                return -1, ""  # ".1(number of minutes)"
            place = after
        elif token.text == "/" and following and following.kind == "word":
            words.append(following.text)
            place += 2
        elif token.kind == "word" and not _ends_unit(token, following):
            words.append(token.text)
            place += 1
        else:
            break
    return (-1, "") if words[:1] == ["of"] else (place, " ".join(words).lower())


def _ends_unit(token: Token, following: Token | None) -> bool:
    word = token.text.lower()
    if word == "of":
        return following is None or following.kind != "word" or following.text.lower() in {"the", "these", "those"}
    return word in _STOPS or (len(token.text) == 1 and word.isalpha())


def _comment(line: Sequence[Token], place: int) -> int:
    """The place after "(cost per person)", or 0 if the bracket holds a number or does not close soon."""
    for after in range(place + 1, min(place + 12, len(line))):
        if line[after].kind == "close":
            return after + 1
        if line[after].kind not in {"word", "sign"} or line[after].text in "+*":
            return 0
    return 0
