"""Numbers as other languages write them, in the notation of English: "1.500,5", "3 Millionen", "3万", "十八".

Only in a text whose language is known by its announcement. If the language writes 3,5 for 3.5, a model may still write
its numbers as English does, so both readings are given where they differ. Number words of other languages are not read,
but for the numerals of Chinese and Japanese that stand where an answer is announced.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

from errorbook.adapters.scorers.announcements import Translated
from errorbook.adapters.scorers.languages import read_languages

_GROUPS = re.compile(r"(?<![\d.,])(?P<head>[1-9]\d{0,2})(?P<rest>(?:\.\d{3})+)(?!\d|\.\d)")
_COMMA = re.compile(r"(?<![\d.,])(?P<whole>\d{1,3}(?:,\d{3})*|\d+),(?P<part>\d+)(?!\d|,\d)")
_SPACED = re.compile(r"(?<![\d.,])(?<!\d )[1-9]\d{0,2}(?: \d{3})+(?! ?\d)")
_VALUES = {letter: value for value, letter in enumerate("零一二三四五六七八九")} | {"\u3007": 0, "两": 2, "兩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8}
_HAN = "".join([*_VALUES, *_UNITS, *_SCALES])
_SCALED = re.compile(r"(?<![\d.,])(?:\d[\d,]*(?:\.\d+)?\s?[万萬만亿億억]\s?)+(?:\d{1,4}(?!\d))?")
_PART = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?([万萬만亿億억]?)")


def write_numbers(translated: Translated) -> tuple[str, ...]:
    """The text with its numbers in English: as its language writes them and, if that differs, as English would."""
    if not translated.languages:
        return (translated.text,)
    text = _SCALED.sub(_sum_scaled, translated.text)
    text = _said_in_han().sub(lambda said: str(_read_han(said["number"])), text)
    for scale, pattern in _scales():
        text = pattern.sub(f" {scale}", text)
    for language in translated.languages:
        text = re.sub(rf"(?<=\d)\s*(?<!\w)(?:{language.either})(?!\w)\s*(?=\d)", " or ", text)
        text = re.sub(rf"(?<=\d)\s*(?<!\w)(?:{language.joins})(?!\w)\s*(?=\d)", " and ", text)
    if not any(language.comma for language in translated.languages):
        return (text,)
    joined = _SPACED.sub(lambda said: said[0].replace(" ", ""), text)
    grouped = _GROUPS.sub(lambda said: said["head"] + said["rest"].replace(".", ""), joined)
    native = _COMMA.sub(_with_point, grouped)
    return (native,) if native == text else (native, text)


def _with_point(said: re.Match[str]) -> str:
    """3,5 as 3.5; 1,500 stays, since nobody writes the zeros of 1,5, and so does 1,234,567."""
    whole, part = said["whole"], said["part"]
    grouped = len(part) == 3 and (part.endswith("0") or "," in whole)
    return said[0] if grouped else f"{whole}.{part}"


@cache
def _scales() -> tuple[tuple[str, re.Pattern[str]], ...]:
    scales = read_languages().scales.items()
    return tuple((scale, re.compile(rf"(?<=\d)\s?(?:{said})(?!\w)", re.IGNORECASE)) for scale, said in scales)


@cache
def _said_in_han() -> re.Pattern[str]:
    """Numerals where an answer is announced, if a sign or what is counted follows: no "three" of a triangle."""
    counted = read_languages().counters
    return re.compile(rf"(?:(?<=nswer is )|(?<=nswer: ))(?P<number>[{_HAN}]+)(?=\s*(?:[.,;!\n]|\Z|[{counted}]))")


def _sum_scaled(said: re.Match[str]) -> str:
    """The amount of "1亿2000万" or "3.5万"."""
    parts = _PART.findall(said[0])
    total = sum((Fraction(number.replace(",", "")) * _SCALES.get(scale, 1) for number, scale in parts), Fraction(0))
    return f"{total} " if total.denominator == 1 else said[0]


def _read_han(said: str) -> int:
    """The amount of "一百二十三" and of "一二三"."""
    if not set(said) & {*_UNITS, *_SCALES}:
        return int("".join(str(_VALUES[letter]) for letter in said))
    total = group = digit = 0
    for letter in said:
        if letter in _VALUES:
            digit = _VALUES[letter]
        elif letter in _UNITS:
            group, digit = group + (digit or 1) * _UNITS[letter], 0
        else:
            total, group, digit = (total + group + digit or 1) * _SCALES[letter], 0, 0
    return total + group + digit
