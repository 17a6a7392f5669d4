"""Finds the JSON in what a model wrote: in a fenced block, after prose, with the small faults that models make.

Forgiven: text around the value, trailing commas, raw line breaks and tabs in strings, backslashes that escape nothing
(as in LaTeX), Python's True, False and None. Not forgiven: a value that is not whole. Half a sample must not look like
one, so a reply that was cut off has no value here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MOST_STARTS = 20_000
"""Places at which a value is looked for: a mathematical thought before the reply is full of brackets."""
MOST_CHARACTERS = 400_000
MOST_READ = 2 * MOST_CHARACTERS
"""Characters read in vain after which no more values are looked for: each start may be read to the end of the text."""
DEEPEST = 64
_MOST_AROUND = 1000
"""Brackets before a place that are tried."""

_MARK = re.compile(r'["\\]')
_SPACE = " \t\r\n"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_NUMBER = frozenset("+-0123456789.eE")


class NotJson(ValueError):  # noqa: N818 - a verdict on a text
    """There is no whole JSON value at a place; `at` is how far it was read."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(why)
        self.at = at


def find_values(text: str) -> Iterator[Any]:
    """The objects and arrays in a text, outermost ones in their order; nothing if there is none."""
    text = text[:MOST_CHARACTERS]
    place = read = 0
    for _ in range(MOST_STARTS):
        place = _first_bracket(text, place)
        if place < 0 or read > MOST_READ:
            return
        try:
            value, place = _value(text, place, 0)
        except NotJson as fault:
            read += fault.at - place
            place += 1
        else:
            yield value


def find_around(text: str, place: int) -> tuple[int, int] | None:
    """Where the innermost whole object or array around a place begins and ends; None if there is none."""
    start, read = place, 0
    for _ in range(_MOST_AROUND):
        start = max(text.rfind("{", 0, start), text.rfind("[", 0, start))
        if start < 0 or read > MOST_READ:
            break
        try:
            _, end = _value(text, start, 0)
        except NotJson as fault:
            end = fault.at
        else:
            if end > place:
                return start, end
        read += end - start
    return None


def _first_bracket(text: str, place: int) -> int:
    places = [found for found in (text.find("{", place), text.find("[", place)) if found >= 0]
    return min(places, default=-1)


def _value(text: str, place: int, depth: int) -> tuple[Any, int]:
    """The value at `place` and the place after it."""
    if depth > DEEPEST:
        raise NotJson("too deep", place)
    place = _skip(text, place)
    start = text[place : place + 1]
    if start == "{":
        return _object(text, place + 1, depth + 1)
    if start == "[":
        return _array(text, place + 1, depth + 1)
    if start == '"':
        return _string(text, place + 1)
    return _word(text, place)


def _object(text: str, place: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while True:
        place = _skip(text, place)
        if text[place : place + 1] == "}":
            return found, place + 1
        if text[place : place + 1] != '"':
            raise NotJson("a name must follow", place)
        name, place = _string(text, place + 1)
        place = _skip(text, place)
        if text[place : place + 1] != ":":
            raise NotJson("a colon must follow", place)
        found[name], place = _value(text, place + 1, depth)
        place = _comma(text, place, "}")


def _array(text: str, place: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        place = _skip(text, place)
        if text[place : place + 1] == "]":
            return found, place + 1
        value, place = _value(text, place, depth)
        found.append(value)
        place = _comma(text, place, "]")


def _comma(text: str, place: int, end: str) -> int:
    """The place after a comma, or of the closing bracket."""
    place = _skip(text, place)
    mark = text[place : place + 1]
    if mark == ",":
        return place + 1
    if mark != end:
        raise NotJson("a comma or the end must follow", place)
    return place


def _string(text: str, place: int) -> tuple[str, int]:
    parts = []
    while (mark := _MARK.search(text, place)) is not None:
        parts.append(text[place : mark.start()])
        if mark.group() == '"':
            return "".join(parts), mark.end()
        escaped, place = _escape(text, mark.end())
        parts.append(escaped)
    raise NotJson("the string does not end", len(text))


def _escape(text: str, place: int) -> tuple[str, int]:
    """What an escape stands for; a backslash before anything else stands for itself."""
    letter = text[place : place + 1]
    if letter in _ESCAPES:
        return _ESCAPES[letter], place + 1
    if letter == "u":
        unit = _hexadecimal(text, place + 1)
        if unit is not None and 0xD800 <= unit < 0xDC00 and text[place + 5 : place + 7] == "\\u":
            low = _hexadecimal(text, place + 7)
            if low is not None and 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), place + 11
        if unit is not None and not 0xD800 <= unit < 0xE000:
            return chr(unit), place + 5
    return "\\", place


def _hexadecimal(text: str, place: int) -> int | None:
    digits = text[place : place + 4]
    try:
        return int(digits, 16) if len(digits) == 4 and digits.isalnum() else None
    except ValueError:
        return None


def _word(text: str, place: int) -> tuple[Any, int]:
    end = place
    while end < len(text) and (text[end].isalnum() or text[end] in _NUMBER):
        end += 1
    word = text[place:end]
    if word in _WORDS:
        return _WORDS[word], end
    if not word or not set(word) <= _NUMBER:
        raise NotJson("a value must follow", end)
    try:
        return (int(word) if word.lstrip("+-").isdigit() else float(word)), end
    except ValueError:
        raise NotJson("not a number", end) from None


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place
