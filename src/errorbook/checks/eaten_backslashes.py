r"""Finds LaTeX commands whose backslash was read as part of an escape: `\frac` in JSON is a form feed and "rac".

Such a text is valid and wrong. A form feed, backspace, bell or vertical tab before a letter stands for nothing else.
A tab, carriage return or line break may be meant: only the rest of a command that is no word by itself is mended.
"""

from __future__ import annotations

import re

_SPELT = {"\a": r"\a", "\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r"}
_END = r"(?![A-Za-z])"
_CLEAR = re.compile(
    r"[\a\b\v\f](?=[A-Za-z])"
    rf"|\t(?=(?:anh|au|binom|ext(?=\s*\{{)|ext[a-z]{{2,5}}|frac|herefore|heta|hickapprox|hinspace|ilde|imes"
    rf"|riangle[a-z]*){_END})"
    rf"|\n(?=(?:abla|earrow|eq|geq|leq|otin|subseteq|wedge|warrow){_END})"
    rf"|\r(?=(?:angle|ceil|floor|ho|ight[a-z]*){_END})"
)
_PERHAPS_TAB = re.compile(rf"(?<=\S)[ ]?\t(?=(?:an|o|op){_END})")
_PERHAPS_LINE = re.compile(rf"\n(?=(?:e|eg|i|ot|u){_END})|\r(?!\n)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def restore_commands(text: str) -> str:
    """The text with the backslashes that were read away."""
    return _CLEAR.sub(lambda found: _SPELT[found.group()], text)


def find_eaten(text: str) -> str:
    """The place of a control character that stands for no white space, or of a command that lost its backslash.

    It is shown with escapes; empty if there is none.
    """
    found = _CONTROL.search(text) or _CLEAR.search(text) or _PERHAPS_TAB.search(text)
    return "" if found is None else ascii(text[max(0, found.start() - 10) : found.end() + 10])[1:-1]


def find_doubtful(text: str) -> str:
    """As `find_eaten`, of a text that stands beside one whose commands were restored: there a line break may be one."""
    found = _PERHAPS_LINE.search(text)
    return find_eaten(text) if found is None else ascii(text[max(0, found.start() - 10) : found.end() + 10])[1:-1]
