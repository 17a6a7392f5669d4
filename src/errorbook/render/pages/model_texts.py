"""Texts of models, made safe to show: formatted, plain, or with their differences marked.

All of them are hostile until they have passed here: nothing in them is executed, nothing is loaded, and no character
hides or reorders others. Each is clipped; whoever shows it says so and links to the raw text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from html import escape
from typing import NamedTuple

from markupsafe import Markup

from errorbook.render.unseen import hide, reveal

LIMIT = 20_000
MOST_PAIRS = 60_000
"""Two texts are compared word by word while no more pairs of their words are equal, beyond that line by line."""
_WORD = re.compile(r"\w+[^\S\n]*|[^\w\s][^\S\n]*|\s+")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def plain(text: str, limit: int = LIMIT) -> Markup:
    """The text as it is; characters that would not be seen are shown by name."""
    return Markup(_plain(text[:limit]))  # noqa: S704 - escaped


def formatted(text: str, limit: int = LIMIT) -> Markup:
    """The text with its Markdown, code and mathematics laid out; if that would lose something, as it is."""
    from errorbook.render.pages.model_markup import html_of

    html = html_of(hide(text[:limit]))
    if html is None:
        return Markup(f"<pre>{_plain(text[:limit])}</pre>")  # noqa: S704 - escaped
    return Markup(reveal(html))  # noqa: S704 - nothing but listed elements is left


def changes(before: str, after: str, limit: int = LIMIT) -> tuple[Markup, Markup]:
    """Both texts, with what only the first says in <del> and what only the second says in <ins>."""
    olds, news = [], []
    for same, gone, come in _compared(hide(before[:limit]), hide(after[:limit])):
        olds.append(_shown(gone) if same else _marked("del", gone))
        news.append(_shown(come) if same else _marked("ins", come))
    return Markup("".join(olds)), Markup("".join(news))  # noqa: S704 - escaped


class TextStep(NamedTuple):
    """A piece of both texts; if it is the same in both, they may still have other spaces in it."""

    same: bool
    old: str
    new: str


def _plain(text: str) -> str:
    return _shown(hide(text))


def _shown(hidden: str) -> str:
    return reveal(escape(hidden))


def _marked(tag: str, hidden: str) -> str:
    """Spaces at the end are not marked: nothing is to be seen there."""
    words = hidden.rstrip()
    return (f"<{tag}>{_shown(words)}</{tag}>" if words else "") + hidden[len(words) :]


def _compared(old: str, new: str) -> Iterator[TextStep]:
    """By words; of long texts by lines first, and by words within what is left of them."""
    by_words = _aligned(_WORD.findall(old), _WORD.findall(new))
    if by_words is not None:
        yield from by_words
        return
    for step in _aligned(_LINE.findall(old), _LINE.findall(new)) or [TextStep(False, old, new)]:
        words = None if step.same else _aligned(_WORD.findall(step.old), _WORD.findall(step.new))
        yield from words or [step]


def _aligned(olds: list[str], news: list[str]) -> list[TextStep] | None:
    """Both lists in steps, spaces aside; None if that would take long."""
    a, b = [[item.strip() for item in items] for items in (olds, news)]
    counts = Counter(b)
    if sum(n * counts[item] for item, n in Counter(a).items()) > MOST_PAIRS:
        return None
    return [
        TextStep(kind == "equal", "".join(olds[i:j]), "".join(news[k:m]))
        for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    ]
