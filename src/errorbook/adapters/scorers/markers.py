r"""Where a response says that its answer stands: after "Answer:", "####", "the answer is", in <answer> or \boxed{}.

Only places are found here; reading a number or a text there is the scorer's work. The *last* place counts first,
because a model that corrects itself does so later. "A:" is a marker on the last line only: it is the form of
question-and-answer prompts; elsewhere it names an option. Patterns are bounded and only the last 50 places are looked
at, so time grows linearly with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(
    r"####"
    r"|<answer>"
    r"|\bfinal answer\b(?: ?(?:is|was|[:=]))+"
    r"|^#{0,6} ?(?:the |my )?(?:final )?answer$"
    r"|\banswer[\"']?(?: ?\([^()\n]{0,40}\))? ?[:=]"
    r"|\b(?:the|my|our|your|correct) answer\b(?: (?:to|for|of)\b[^.\n:=]{0,80}?)? ?(?:(?:is|was|equals)\b|[:=]) ?:?"
    r"|^answer is\b ?:?"
    r"|\bthe (?:correct|corrected) (?:total|result|value|number|amount|sum) (?:is|was|should be)\b ?:?"
    r"|\bans ?[.:=]"
    r"|^(?-i:A): ?(?=[^\n]*\s*\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_NEXT_QUESTION = re.compile(r"^(?:#+ ?)?(?:Q|Question|Problem|Human|User|Instruction)(?: [0-9]{1,3})? ?:", re.MULTILINE)
_SHORT_ANSWER = re.compile(
    r"\s*(?P<said>\S[^\n]{0,40})\n(?:\s*\n(?:#+ ?)?|#+ ?)(?:Passage|Context|Article|Text|Q|Question|Problem"
    r"|Exercise|Human|User|Instruction|Input)(?: [0-9]{1,3})? ?:"
)
_BOXED = re.compile(r"\\(?:boxed|fbox) ?\{")
_REACH = 400
_MOST = 50
_SPACE = re.compile(r"[^\S\n]+")
_BOLD = re.compile(r"(?<![0-9*])\*{2,3}|\*{2,3}(?![0-9*])|(?<!\w)__|__(?!\w)|`|</?(?:b|strong|i|em|u)>", re.IGNORECASE)


def tidy(text: str) -> str:
    """`text` without Markdown emphasis, each line stripped and its runs of white space made one space."""
    plain = _SPACE.sub(" ", _BOLD.sub("", text))
    return "\n".join(line.strip() for line in plain.splitlines())


def cut_next_question(text: str) -> str:
    """`text` up to where a model that has given its answer goes on to ask itself the next question."""
    short = _SHORT_ANSWER.match(text)
    if short and any(map(str.isdigit, short["said"])) and not _NEXT_QUESTION.match(short["said"]):
        return short["said"]
    for question in _NEXT_QUESTION.finditer(text):
        before = text[: question.start()]
        if _MARKER.search(before) or _BOXED.search(before):
            return before
        if question.start() > _REACH:
            break
    return text


def find_marked(text: str) -> Iterator[str]:
    """What follows each marker of a tidied text, the last marker first; empty if nothing does.

    It is the rest of the marker's line or, if that holds no letter or digit, the next line that does, up to the
    next marker and at most 400 characters.
    """
    for place, _ in find_regions(text):
        yield place


def find_regions(text: str) -> Iterator[tuple[str, str]]:
    """Like `find_marked`, with each place everything between its marker and the next one."""
    end = len(text)
    for marker in reversed(list(_MARKER.finditer(text))[-_MOST:]):
        region = text[marker.end() : end].partition("</answer>")[0]
        end = marker.start()
        lines = region[:_REACH].split("\n")
        yield next((line.strip() for line in lines if any(map(str.isalnum, line))), ""), region


def find_boxed(text: str) -> Iterator[str]:
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
