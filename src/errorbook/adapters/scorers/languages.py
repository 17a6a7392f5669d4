"""How an answer is announced in other languages than English: the record of one language, and the table of all.

The table is `languages.toml`, so that a new language is one more entry there. How its words are used is
`announcements`' business. The letters that other scripts have for options are not read, since a list in one script and
a letter in another do not tell which option is meant.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

_NEVER = r"(?!)"


class Language(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words of one language, as regular expressions.

    `stems`: letters of which one is in every announcement, so that others are not searched. `answer`: the noun for the
    answer, with what belongs to it. `link`: the verb between the noun and the answer. `option`: the nouns for an option
    and its letter. `best`: "right" and its kin, as they stand beside an option. `good`, `bad`: what follows "option C"
    if C is the answer, or is not. `choose`: what stands before a chosen option. `rather`: "not B but", with the B in
    it. `denial`: "not", beside the verb. `tail`: what follows an answer in its sentence and is none of it. `joins`,
    `either`: "and", "or". `question`: how a question is headed. `bare`: the noun alone announces (there is no verb, or
    it comes last). `comma`: 3,5 is written for 3.5, and 1.500 for 1500. `spaced`: words are apart.
    """

    name: str
    stems: tuple[str, ...]
    answer: str
    link: str
    option: str = _NEVER
    best: str = _NEVER
    good: str = _NEVER
    bad: str = _NEVER
    choose: str = _NEVER
    rather: str = _NEVER
    denial: str = _NEVER
    tail: str = _NEVER
    joins: str = _NEVER
    either: str = _NEVER
    question: str = _NEVER
    bare: bool = False
    comma: bool = False
    spaced: bool = True


class Table(NamedTuple):
    """All languages; what "million" and its kin are called in them, by the English name; what Han numerals count."""

    languages: tuple[Language, ...]
    scales: dict[str, str]
    counters: str


@cache
def read_languages() -> Table:
    """The table of languages, read once."""
    content = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
    languages = msgspec.convert(content["languages"], tuple[Language, ...])
    return Table(languages, msgspec.convert(content["scales"], dict[str, str]), content["counters"])
