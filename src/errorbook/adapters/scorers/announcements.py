r"""Announcements of other languages in the words of English: "所以答案是C" becomes "The answer is (C)".

The scorers read English, and one module knows how the others say it (`languages`); here a response's announcements are
put into the words that the scorers know, and all else stays as it was written. A task may add announcements of its own.
Only what announces is translated: a model that says in another language that it does not know is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

from errorbook.adapters.scorers.languages import Language, read_languages
from errorbook.adapters.scorers.scripts import write_plainly

_LETTER = r"[(\[\"'\u201c\u2018\u00ab]*(?-i:[A-Z\u0410\u0421])(?![\w+^=]|['\u2019](?![dt]))[)\]\"'\u201d\u2019\u00bb]*"
_LOOK_ALIKE = str.maketrans({"\u0410": "A", "\u0421": "C"})
"""Cyrillic letters that are written like an option's letter; U+0412 is left out: it is the third letter, not a B."""
_BARE = re.compile(r"(?<![(\[\"'\w])([A-Z])(?![\w).\]:\"'])")
_SPACE = r"[\s*_`]*"
_NUMBER = r"(?:[^\W\d_]{1,3}\s?|[$\u20ac\u00a3\u00a5\u20b9]\s?)?-?[^\W\D_][\d.,]*"
_UNLESS = r"(?P<unless>\s*(?:(?:で|じゃ)は?(?:ありま|な)|[이가]\s*아[니닙]|नहीं|নয়|নয়|değil|نہیں|نیست))"
_BARELY = "The answer is {no}{number}"
_END = r"(?=\s*(?:[.!,;\n)]|\Z))"


class Translated(NamedTuple):
    """A response with its announcements in English, and the languages that were found in it."""

    text: str
    languages: tuple[Language, ...] = ()


class _Forms(NamedTuple):
    """The announcements of one language, each with the English that it becomes."""

    patterns: tuple[tuple[re.Pattern[str], str], ...]
    question: re.Pattern[str]
    tail: re.Pattern[str]


def translate(text: str, markers: Sequence[str] = ()) -> Translated:
    """`text` with every announcement that is known, and the task's own `markers`, in English."""
    text = write_plainly(text)
    for marker in markers:
        text = _own(marker).sub(lambda said: _write(said, "Answer: "), text)
    spoken = []
    for language in _find_languages(text):
        before, forms = text, _compile(language)
        for pattern, english in forms.patterns:
            text = pattern.sub(partial(_write, english=english, language=language), text)
        text = forms.tail.sub(r"\g<said>", text)
        if text != before:
            spoken.append(language)
            text = forms.question.sub("Question:", text)
    return Translated(text, tuple(spoken))


def _write(said: re.Match[str], english: str, language: Language | None = None) -> str:
    groups = said.groupdict()
    items = _bracket(groups.get("items") or "", language)
    gap = groups.get("gap") or ""
    denied = bool(groups.get("no") or groups.get("unless"))
    if language is not None and gap and re.search(rf"(?<!\w)(?:{language.denial})(?!\w)", gap, re.IGNORECASE):
        denied = not groups.get("rather")
    lead = "" if said.start() == 0 or said.string[said.start() - 1].isspace() else " "
    before = re.match(r"\s*", said[0])
    kept = before[0] if before and "\n" in before[0] else ""
    text = (
        english.replace("{items}", items)
        .replace("{plain}", items.strip("()"))
        .replace("{no}", "not " if denied else "")
    )
    text = text.replace("{number}", groups.get("number") or "").replace(
        "{word}", "option " if groups.get("word") else ""
    )
    tail = "" if not items or said.end() == len(said.string) or not said.string[said.end()].isalnum() else " "
    return f"{kept or lead}{text}{'' if '{' in english.replace('{no}', '').replace('{number}', '') else items}{tail}"


def _bracket(items: str, language: Language | None) -> str:
    """Letters of options in brackets, so that "A" is no article, joined by the English words."""
    text = items.translate(_LOOK_ALIKE)
    if language is not None and text:
        text = re.sub(rf"(?<=[\s\W])(?:{language.joins})(?=[\s\W])", " and ", text, flags=re.IGNORECASE)
        text = re.sub(rf"(?<=[\s\W])(?:{language.either})(?=[\s\W])", " or ", text, flags=re.IGNORECASE)
    return _BARE.sub(r"(\1)", " ".join(text.split()))


def _find_languages(text: str) -> list[Language]:
    """The languages whose stems are in a text; of most English texts none."""
    folded = text.casefold()
    return [language for language, stems in _list_stems(text.isascii()) if any(stem in folded for stem in stems)]


@cache
def _list_stems(ascii_only: bool) -> list[tuple[Language, tuple[str, ...]]]:
    """The languages with those of their stems that a text can have, if it is ASCII or is not."""
    languages = read_languages().languages
    kept = ((item, tuple(stem for stem in item.stems if stem.isascii() or not ascii_only)) for item in languages)
    return [(language, stems) for language, stems in kept if stems]


@cache
def _own(marker: str) -> re.Pattern[str]:
    """A task's own marker: its words, a colon if there is none in it, and what stands behind."""
    words = r"\s+".join(map(re.escape, write_plainly(marker).rstrip(" :").split()))
    start, end = ("" if not edge.isalnum() or not edge.isascii() else r"\b" for edge in (marker[:1], marker[-1:]))
    return re.compile(rf"{start}{words}{end}{_SPACE}:?{_SPACE}(?P<items>{_LETTER})?", re.IGNORECASE)


@cache
def _compile(language: Language) -> _Forms:
    """The patterns of a language, the plainest first."""
    edge, end = (r"(?<![^\W\d])", r"(?!\w)") if language.spaced else ("", "")
    option = rf"(?:{language.option}){end}{_SPACE}"
    named = rf"(?:{language.option}){end}\s*(?:{language.best})|(?:{language.best})\s*(?:{language.option})"
    noun = rf"{edge}(?:{language.answer}|{named}){end}"
    joined = rf"\s*(?:[,;/&]|(?:{language.joins}){end}|(?:{language.either}){end})\s*(?:{option})?"
    items = rf"(?P<items>{_LETTER}(?:(?:{joined}{_LETTER})+)?)(?:\s*(?:{language.tail})(?!\w)|{_UNLESS})?"
    there = rf"{_SPACE}:?{_SPACE}(?:{option})?(?:{items})?"
    gap = r"(?P<gap>(?:\s(?:(?!\b(?-i:[A-Z])\b)[^.,:;\n\d]){1,60}?)??)" if language.spaced else "(?P<gap>)"
    link, rather = rf"(?:{language.link}){end}", language.rather
    never = (r"(?!)", "")
    last = language.bare or not language.spaced
    forms = (
        (rf"{edge}(?P<word>{option})?{items}{_SPACE}(?:{language.good}){end}", "{word}{items} is correct"),
        (rf"{edge}(?P<word>{option})?{items}{_SPACE}(?:{language.bad}){end}", "{word}{plain} is incorrect"),
        (rf"{edge}(?:{language.choose}){end}{_SPACE}:?{_SPACE}(?:{option})?{items}(?![的])", "I choose "),
        (rf"\[{noun}\]{_SPACE}:?{there}", "Answer: {no}"),
        (rf"{noun}(?:{_SPACE}\([^()\n]{{0,40}}\))?{_SPACE}[:=]{there}", "Answer: {no}"),
        (
            rf"{noun}{gap}{_SPACE}(?:(?P<rather>{rather}){end}|{link}{_SPACE}(?:(?:{rather}){end})?)"
            rf"{_SPACE}(?P<no>(?:{language.denial}){end})?{there}",
            "The answer is {no}",
        ),
        never
        if last
        else (rf"{edge}{link}\s+{noun}{_SPACE}(?:{option})?(?:{items}|(?={_NUMBER}))", "the answer is {no}"),
        (rf"{noun}{_SPACE}(?:{option})?(?:{items}|(?P<number>{_NUMBER})(?:\s*(?:{language.tail}))?){_END}", _BARELY)
        if last
        else never,
        (rf"^[#\s*_]*{noun}[*_\s]*$", "\nAnswer:\n"),
    )
    flags = re.IGNORECASE | re.MULTILINE
    question = re.compile(rf"^[#*\s]*(?:{language.question})\s*\d{{0,3}}[\s*]*:", flags)
    tail = re.compile(rf"(?<=nswer is )(?P<said>[^.\n]{{1,60}}?)\s*(?:{language.tail})(?=\s*(?:[.!\n]|\Z))", flags)
    return _Forms(tuple((re.compile(pattern, flags), english) for pattern, english in forms), question, tail)
