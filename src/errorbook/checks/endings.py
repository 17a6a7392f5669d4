"""Whether a text stops in the middle of a sentence, as one does that reached its limit of tokens.

A text without a final full stop need not be cut off: a last line is often a formula or the bare answer. So it counts as
cut off only if its last words wait for more (an article, a verb, an open bracket, a sign), or if they are a beginning
of prose that says nothing yet. A text that is cut behind a finished sentence cannot be told from a whole one.
"""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"(?<=[.!?:;])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)[\"'\u201d\u2019)\]*]*\s+|\n+"
)
_WAITS = re.compile(
    r"(?:\b(?:the|(?-i:a)|an|this|these|those|his|its|their|our|my|your|is|are|was|were|be|been|will|would|can"
    r"|could|should"
    r"|of|at|to|for|from|with|by|into|and|or|but|if|that|which|who|where|when|because|since|than|equals?|plus"
    r"|minus|we|he"
    r"|she|they|so|then|let|let's|gives?|makes?|costs|every|not|nor|approximately)"
    r"|[-=+*/\u00d7\u00f7<(\[{\u2248]| \$)\Z",
    re.IGNORECASE,
)
_WAITS_WITHOUT_NUMBER = re.compile(
    r"\b(?:in|on|has|have|had|as|per|(?<!\d )times|each|both|also|about)\Z", re.IGNORECASE
)
_ENDED = re.compile(r"[.!?\u2026\u3002\"'\u201d\u2019)\]}*$|`>]\Z")
_COURTESY = re.compile(
    r"\W*(?:i )?(?:hope|let me know|good luck|thank|feel free|please|note|happy|enjoy|cheers|best|is there|if you"
    r"|end of|done|qed|ok|yes|correct|right|true|source|reference)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d]+")
_SOLVED = re.compile(r"[0-9] ?= ?[a-z]{1,20}\Z", re.IGNORECASE)  # "6 = x"
_OPEN = re.compile(r"[(\[]")
_CLOSE = re.compile(r"[)\]]")
_RULE = re.compile(r"(?:\n[^\w\n=]*)+\Z")
_LONGEST = 2_000
_MANY = 5


def last_piece(text: str) -> str:
    """The text's last sentence or line; empty if the text is."""
    return _PIECE.split(_end(text))[-1].strip()


def is_waiting(text: str) -> bool:
    """Whether the last words of a text wait for more: "it will be", "3 +", "the", or an open bracket."""
    piece = last_piece(text)
    if _WAITS.search(piece):
        return not piece.isalpha()
    return len(_OPEN.findall(piece)) > len(_CLOSE.findall(piece)) and piece[-1] not in ".!?"


def is_unfinished(text: str) -> bool:
    """Whether a text of several sentences or lines stops without a sign of its end, where the others may have one."""
    pieces = _pieces(text)
    last = pieces[-1] if pieces else ""
    return is_waiting(last) or (len(pieces) > 1 and not _ENDED.search(last) and not _COURTESY.match(last))


def is_cut_off(text: str) -> bool:
    """Whether a text of several sentences or lines stops in one that has not said anything yet.

    A last piece with a number in it counts only if it waits for more; a formula without one has no result.
    """
    pieces = _pieces(text)
    if not pieces:
        return False
    piece = pieces[-1]
    if is_waiting(piece) or (piece.endswith(",") and "=" not in piece):
        return True
    if any(map(str.isdigit, piece.rpartition("=")[2])) or _SOLVED.search(piece) or "\\" in piece:
        return False
    if _WAITS_WITHOUT_NUMBER.search(piece) or piece.endswith(":") or "=" in piece:
        return True
    said = len(_WORD.findall(piece))
    beginning = said > 2 if len(pieces) < _MANY else 0 < said != 2
    return beginning and len(pieces) > 1 and not _ENDED.search(piece) and not _COURTESY.match(piece)


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in _PIECE.split(_end(text)) if piece.strip()]


def _end(text: str) -> str:
    """The end of a text, without a last line that is only drawn ("---")."""
    return _RULE.sub("", text[-_LONGEST:].rstrip()).rstrip()
