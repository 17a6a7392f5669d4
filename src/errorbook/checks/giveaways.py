"""What must not stand in a question: its own answer, a solution, a wrong attempt, or a heading of the reply's format.

Instructors that write several parts into one reply often let them run into each other. Reads lines and marks, not
meaning: an answer that is given away in the middle of an ordinary sentence is not found.
"""

from __future__ import annotations

import re

from errorbook.checks.equations import find_equations

_PARTS = (
    r"questions?|problems?|exercises?|prompts?|answers?|solutions?|solve|calculat\w*|approach\w*|corrections?|corrected"
    r"|explanations?|reasoning|analys[ie]s|attempts?|steps?|work|diagnos\w*|misconceptions?|samples?|feedback|rationale"
    r"|mistakes?|errors?|hints?|response|actual|assist\w*|ansist\w*|output|input"
)
_MARKED = re.compile(
    r"^[ \t>]*(?P<mark>#{1,6} ?[*\[]*|\*\*\[?|__|\[)(?P<label>[^\n\]*:#]{1,60})(?P<end>[\]*_:]|$)", re.MULTILINE
)
_HEADING = re.compile(
    r"\s*(?:#{1,6} ?|>+ ?|\*{2,3}|__|\[)?(?:new |sample |practice |training |similar |your |the )*"
    r"(?:question|problem|exercise|q)(?: (?:no\. ?|#)?[0-9]{1,3}| [a-z])? ?"
    r"(?:[\])*_]{0,4} ?[:.][*_\])]{0,4}|[\])*_]{1,4}|(?<=[a-z0-9])(?=\s*\n))[ \t]*\n?",
    re.IGNORECASE,
)
_LABEL = re.compile(rf"\b(?:{_PARTS})\b", re.IGNORECASE)
_PLAIN = re.compile(
    r"^[ \t]*(?:the )?(?:(?:final|correct|model|sample|wrong|student's|expected|gold) )*"
    r"(?:answer|solution|explanation|calculation|reasoning|rationale|correction)s?(?: is)? ?:[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_STATED = re.compile(
    r"\b(?:wrong answer\]"
    r"|the (?:final |correct |right )?answer (?:is|would be|should be) (?!the\b|an?\b|in\b|to\b|not\b)\W{0,3}\w"
    r"|answer ?: ?\S)[^\n]{0,40}",
    re.IGNORECASE,
)
_WORKED = re.compile(
    r"\b(?:let'?s|we (?:can|need|know|have|first)|to (?:find|determine|calculate|solve)|first, |therefore|given that"
    r"|so, )",
    re.IGNORECASE,
)
_CODE = re.compile(r"^[^\S\n]*(?:def |class |import |from \w+ import |>>> |```)", re.MULTILINE)
_SHOWN = 80


def take_off_heading(question: str) -> str:
    """The question without a heading of the reply's format in front of it, such as "#### Question:"; else as it is.

    A heading before a sound question is no reason to lose it; one that stands later may begin another part.
    """
    bare = question
    while heading := _HEADING.match(bare):
        bare = bare[heading.end() :]
    return bare if bare.strip() else question


def find_leak(question: str) -> str:
    """The first place that gives something away, or an empty string."""
    if _CODE.search(question):  # comments and docstrings explain by right
        return ""
    for found in _MARKED.finditer(question):
        if _LABEL.search(found["label"]):
            return found[0].strip()[:_SHOWN]
    for pattern in (_PLAIN, _STATED):
        if stated := pattern.search(question):
            return stated[0].strip()[:_SHOWN]
    return _worked(question)


def _worked(question: str) -> str:
    """What follows the last question mark, if it is a worked solution: reckoning, and the words that go with it."""
    _, mark, tail = question.rpartition("?")
    if not mark:
        return ""
    apart, tail = tail.startswith("\n"), tail.strip()
    worked = _WORKED.search(tail)
    if worked and apart and worked.start() == 0:
        return tail[:_SHOWN]
    computed = next(find_equations(tail), None)
    if computed and (worked or tail.count("=") > 1):
        return computed.text[:_SHOWN]
    return tail[:_SHOWN] if worked and tail.count("=") > 1 else ""
