"""What of a response is its answer to the reader: not its reasoning block, and nothing after the end of its turn.

A model that thinks in `<think>...</think>` drafts answers there that it discards, so a draft is never read; a block
that is never closed holds no answer. Tokens that end a turn (`<|im_end|>`) are cut off with all that follows them.
Which words of the rest are the answer is not its business.
"""

from __future__ import annotations

import re

_CLOSES = re.compile(
    r"</(?:think|thinking|thought|thoughts|reasoning|scratchpad)>|\[/THINK\]|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_OPENS = re.compile(r"<(?:think|thinking|reasoning|scratchpad)>|\[THINK\]|<\|channel\|>analysis<\|message\|>", re.I)
_TURN_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|endoftext|end_of_text|end|eom_id|return|im_start|start_header_id)\|>"
    r"|</s>\s*(?:\Z|\n|<)|<end_of_turn>|\[/INST\]|<\uff5cend\u2581of\u2581sentence\uff5c>"
)


def cut_reply(text: str) -> str:
    """`text` without its reasoning block and without the end of its turn; empty if it never stops reasoning."""
    if "<" not in text and "[" not in text:
        return text
    rest = text[max((closes.end() for closes in _CLOSES.finditer(text)), default=0) :]
    if opens := _OPENS.search(rest):
        rest = rest[: opens.start()]
    for ends in _TURN_ENDS.finditer(rest):
        if rest[: ends.start()].strip():
            return rest[: ends.start()]
    return rest
