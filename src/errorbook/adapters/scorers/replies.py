"""What of a response is its answer to the reader: not its thought, nothing after its turn, nothing taken back.

What a thought is, `checks.thoughts` says; a text that ends inside one holds no answer. Tokens that end a turn
(`<|im_end|>`) are cut off with all that follows them; the strings of a program may hold such tokens, so in a reply
about code only those at the end of a line count. Which words of the rest are the answer is not its business.
"""

from __future__ import annotations

import re

from errorbook.adapters.scorers.retractions import follow_retraction
from errorbook.checks.thoughts import tell_apart

_TURN_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|endoftext|end_of_text|end|eom_id|return|im_start|start_header_id|user|endofturn"
    r"|file_separator)\|>"
    r"|</s>\s*(?:\Z|\n|<)|<end_of_turn>|<turn\|>|<eos>|<pad>|\[/INST\]|<\uff5cend\u2581of\u2581sentence\uff5c>"
)
_TURN_BEGINS = re.compile(
    r"\A(?:\s*(?:<s>|<bos>|<\|begin_of_text\|>|\[/INST\]|<\|assistant\|>|<start_of_turn>model\b|<\|im_start\|>assistant\b"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>))+\s*"
)
_LINE_ENDS = re.compile(r"[^\S\n]*(?:\n|\Z|<\|)")


def cut_reply(text: str) -> str:
    """`text` without its thought, the end of its turn and what it takes back; empty if it never stops thinking."""
    return follow_retraction(_cut_turn(tell_apart(text).answer))


def _cut_turn(text: str) -> str:
    if "<" not in text and "[" not in text:
        return text
    text = _TURN_BEGINS.sub("", text)
    for ends in _TURN_ENDS.finditer(text):
        if text[: ends.start()].strip():
            return text[: ends.start()]
    return text


def cut_program_reply(text: str) -> str:
    """Like `cut_reply`, for a reply that holds a program: tokens inside its lines are the program's own."""
    rest = tell_apart(text).answer
    ends = (match for match in _TURN_ENDS.finditer(rest) if _LINE_ENDS.match(rest, match.end()))
    return next((rest[: match.start()] for match in ends if rest[: match.start()].strip()), rest)
