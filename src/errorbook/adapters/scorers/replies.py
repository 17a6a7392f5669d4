"""What of a response is its answer to the reader: not its thought, and nothing after the end of its turn.

What a thought is, `checks.thoughts` says; a text that ends inside one holds no answer. Tokens that end a turn
(`<|im_end|>`) are cut off with all that follows them; the strings of a program may hold such tokens, so in a reply
about code only those at the end of a line count. Which words of the rest are the answer is not its business.
"""

from __future__ import annotations

import re

from errorbook.checks.thoughts import tell_apart

_TURN_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|endoftext|end_of_text|end|eom_id|return|im_start|start_header_id)\|>"
    r"|</s>\s*(?:\Z|\n|<)|<end_of_turn>|<turn\|>|\[/INST\]|<\uff5cend\u2581of\u2581sentence\uff5c>"
)
_LINE_ENDS = re.compile(r"[^\S\n]*(?:\n|\Z|<\|)")


def cut_reply(text: str) -> str:
    """`text` without its thought and without the end of its turn; empty if it never stops thinking."""
    rest = tell_apart(text).answer
    if "<" not in rest and "[" not in rest:
        return rest
    for ends in _TURN_ENDS.finditer(rest):
        if rest[: ends.start()].strip():
            return rest[: ends.start()]
    return rest


def cut_program_reply(text: str) -> str:
    """Like `cut_reply`, for a reply that holds a program: tokens inside its lines are the program's own."""
    rest = tell_apart(text).answer
    ends = (match for match in _TURN_ENDS.finditer(rest) if _LINE_ENDS.match(rest, match.end()))
    return next((rest[: match.start()] for match in ends if rest[: match.start()].strip()), rest)
