r"""Where a response says that its answer stands: after "Answer:", "####", "the answer is", "final answer", in \boxed{}.

Only places are found here; reading a number or a text there is the scorer's work. The *last* place counts first,
because a model that corrects itself does so later. Patterns are bounded and
only the last 50 places are looked at, so time grows linearly with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(
    r"####"
    r"|\bfinal answer\b(?: ?(?:is|was|[:=]))*"
    r"|\banswer(?: ?\([^()\n]{0,40}\))? ?[:=]"
    r"|\b(?:the|my|our|your|correct) answer\b(?: (?:to|for|of)\b[^.\n:=]{0,80}?)? ?(?:(?:is|was|equals)\b|[:=]) ?:?"
    r"|^answer is\b ?:?",
    re.IGNORECASE | re.MULTILINE,
)
_BOXED = re.compile(r"\\(?:boxed|fbox) ?\{")
_REACH = 400
_MOST = 50
_SPACE = re.compile(r"[^\S\n]+")
_BOLD = re.compile(r"(?<![0-9*])\*{2,3}|\*{2,3}(?![0-9*])|(?<!\w)__|__(?!\w)|`")


def tidy(text: str) -> str:
    """`text` without Markdown emphasis, each line stripped and its runs of white space made one space."""
    plain = _SPACE.sub(" ", _BOLD.sub("", text))
    return "\n".join(line.strip() for line in plain.splitlines())


def marked(text: str) -> Iterator[str]:
    """What follows each marker of a tidied text, the last marker first; empty where nothing does.

    It is the rest of the marker's line or, where that holds no letter or digit, the next line that does, up to the
    next marker and at most 400 characters.
    """
    found = list(_MARKER.finditer(text))[-_MOST:]
    end = len(text)
    for marker in reversed(found):
        reach = text[marker.end() : min(end, marker.end() + _REACH)]
        end = marker.start()
        yield next((line.strip() for line in reach.split("\n") if any(map(str.isalnum, line))), "")


def boxed(text: str) -> Iterator[str]:
    r"""The content of each \boxed{...}, the last first; an unclosed box reaches to the end of its line."""
    for box in reversed(list(_BOXED.finditer(text))[-_MOST:]):
        depth = 1
        inside = text[box.end() : box.end() + _REACH].split("\n", 1)[0]
        for place, letter in enumerate(inside):
            depth += (letter == "{") - (letter == "}")
            if depth == 0:
                inside = inside[:place]
                break
        yield inside.strip()
