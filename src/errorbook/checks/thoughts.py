"""What of a model's text is its thought, and what is its answer: the one place that knows how models mark the two.

A thought drafts answers that are discarded, so it is told apart before anything is scored. It may be closed, closed
only (its opening tag stood in the prompt), or never closed; then there is no answer yet. Whether an answer is right,
and what ends a turn, is not decided here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TAGS = r"think|thinking|thoughts?|reasoning|scratchpad|seed:think"
# Opening and closing mark of each family, all in one expression: channels of gpt-oss and its kin, Gemma 4, Apertus,
# Mistral, Command A, OpenThinker, Kimi. A mark in quotes is talked about.
_OPENS = re.compile(
    rf"(?<![\"'`])(?:<(?:{_TAGS})>|\[THINK\]|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)\b[^<]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>|<\|channel>thought\n?|<\|inner_prefix\|>|<\|START_THINKING\|>"
    r"|<\|begin_of_thought\|>|\u25c1think\u25b7)",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"(?<![\"'`])(?:</(?:{_TAGS})>|\[/THINK\]|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final\b[^<]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>|<channel\|>|<\|inner_suffix\|>|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|\u25c1/think\u25b7)",
    re.IGNORECASE,
)
_BARE_OPENS = re.compile(r"\Aanalysis(?=[A-Z])")
_BARE_CLOSES = re.compile(r"assistantfinal")
"""What is left of the channels if a program has dropped the special tokens that frame their names."""
_HINT = re.compile(r"[<\[\u25c1]|\Aanalysis")
_WRAPS = (
    re.compile(r"\A\s*<response>(.*?)(?:</response>\s*)?\Z", re.IGNORECASE | re.DOTALL),
    re.compile(r"\A\s*<\|START_RESPONSE\|>(.*?)(?:<\|END_RESPONSE\|>\s*)?\Z", re.DOTALL),
    re.compile(r"\A\s*<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>\s*)?\Z", re.DOTALL),
)
"""What some models put around the answer that follows a thought."""
_AT_END = re.compile(rf"(?:{_OPENS.pattern})\s*\Z", re.IGNORECASE)


class Told(NamedTuple):
    """A text with its thought told apart. `open` says that it ends inside a thought; then there is no answer."""

    thought: str
    answer: str
    open: bool = False


def tell_apart(text: str) -> Told:
    """The thought and the answer of a text; one without a thought is all answer, unchanged.

    What stands behind the last closing mark is the answer, or if nothing does, what stands before the first thought.
    """
    start, is_open = _scan(text)
    if is_open:
        return Told(_join_thoughts(text), "", open=True)
    if not start:
        return Told("", text)
    answer = text[start:]
    if not answer.strip():
        answer = text[: next((mark.start() for mark in _marks(text, closing=False)), 0)]
        return Told(_join_thoughts(text[len(answer) :]), answer)
    wrapped = next((found for wrap in _WRAPS if (found := wrap.match(answer))), None)
    # The blank lines between the two belong to neither.
    return Told(_join_thoughts(text[:start]), (wrapped.group(1) if wrapped else answer).lstrip("\r\n"))


def find_answer(text: str) -> int:
    """Where the answer begins: 0 if there is no thought, the text's length if it ends inside one."""
    start, is_open = _scan(text)
    return len(text) if is_open else start


def find_opening(prompt: str) -> str:
    """The mark, with the white space behind it, of a thought that a prompt opens at its very end; else nothing."""
    found = _AT_END.search(prompt)
    return found.group() if found else ""


def is_closed(prompt: str) -> bool:
    """Whether a prompt ends with the close of a thought: what follows is the answer."""
    return any(not prompt[mark.end() :].strip() for mark in _CLOSES.finditer(prompt))


def find_closings(text: str) -> list[tuple[int, int]]:
    """Where each closing mark begins and ends, in order, those included that are only talked about."""
    return [mark.span() for mark in _marks(text, closing=True)] if _HINT.search(text) else []


def closing_of(opening: str) -> str:
    """What closes a thought that was opened by this mark and left empty, up to where the answer begins."""
    mark = opening.strip()
    for opens, closes in _PAIRS.items():
        if mark.lower() == opens.lower():
            return closes
    if mark.startswith("<|channel|>"):
        return "<|end|><|start|>assistant<|channel|>final<|message|>"
    line = "\n" if opening.endswith("\n") else ""
    return f"{line}</{mark[1:-1]}>\n\n"


def has_marks(text: str) -> bool:
    """Whether there is any mark of a thought in the text."""
    return bool(_OPENS.search(text) or _CLOSES.search(text))


_PAIRS = {
    "[THINK]": "[/THINK]",
    "<|channel>thought": "<channel|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "\u25c1think\u25b7": "\u25c1/think\u25b7",
}


def _marks(text: str, *, closing: bool) -> list[re.Match[str]]:
    """The opening or the closing marks of a text, in order."""
    usual, bare = (_CLOSES, _BARE_CLOSES) if closing else (_OPENS, _BARE_OPENS)
    found = list(usual.finditer(text))
    if _BARE_OPENS.search(text):
        found += bare.finditer(text)
    return sorted(found, key=lambda mark: mark.start())


def _scan(text: str) -> tuple[int, bool]:
    """Where the last closing mark ends (0 without one), and whether a thought begins behind it and never ends."""
    if not _HINT.search(text):
        return 0, False
    start = max((mark.end() for mark in _marks(text, closing=True)), default=0)
    rest = text[start:]
    lines = (rest[: mark.start()].rpartition("\n")[2] for mark in _marks(rest, closing=False))
    # In the middle of a line a mark that nothing closes is talked about.
    return start, any(not line.strip() for line in lines)


def _join_thoughts(text: str) -> str:
    """All thoughts of a text, without their marks; what stands between two of them is kept with them."""
    for bare in (_BARE_OPENS, _BARE_CLOSES) if _BARE_OPENS.search(text) else ():
        text = bare.sub("\n", text)
    return _CLOSES.sub("\n", _OPENS.sub("\n", text)).replace("<|end|>", "\n").strip()
