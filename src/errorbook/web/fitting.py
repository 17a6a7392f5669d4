"""How much of a text fits on a page: so many characters, fewer if many of them must be shown by their names.

A page stays small whatever its texts hold: an unseen character takes as much markup as a line of words.
"""

from __future__ import annotations

from markupsafe import Markup

from errorbook.render.pages.model_texts import plain

_NAMED = 24
"""How many plain characters one weighs that is shown by name."""


def fit(text: str, limit: int) -> int:
    """How many characters of the text to show if `limit` plain ones would fit."""
    head = text[:limit]
    if head.replace("\n", "").replace("\t", "").isprintable():
        return len(head)
    room = limit
    for place, letter in enumerate(head):
        room -= 1 if letter.isprintable() or letter in "\n\t" else _NAMED
        if room < 0:
            return place
    return len(head)


def shorten(text: str, limit: int) -> Markup:
    """As much of the text as fits, as it is."""
    return plain(text, fit(text, limit))
