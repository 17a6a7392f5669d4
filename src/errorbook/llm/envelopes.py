"""What stands around the text of a reply: parts of it, counts of tokens, why it ended, errors in its place."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from errorbook.llm.endpoint import Ending, read_count
from errorbook.llm.faults import Lost
from errorbook.llm.refusals import read_message

_FILTERED = ("content_filter", "contentfilter", "safety", "prohibited", "recitation", "blocklist", "sensitive", "spii")
FAILED = {
    *("error", "load", "unload", "abort", "network_error", "server_error", "insufficient_system_resource", "timeout"),
}
"""What servers call an end that was no end: they stopped in the middle, or were not ready."""
_CUT = {
    *("length", "max_tokens", "max_output_tokens", "max_length", "max_new_tokens", "model_length", "token_limit"),
    *("model_context_window_exceeded", "context_length_exceeded", "context_window_exceeded", "incomplete"),
}
"""What servers call an end that a limit on tokens made."""
_THOUGHT = ("thinking", "reasoning", "redacted_thinking", "thought")
"""How the kinds of parts begin that are no answer."""
_TEXTS = ("text", "content", "thinking", "reasoning", "summary")
_ASKED = ("prompt_tokens", "input_tokens", "prompt_eval_count", "promptTokenCount")
_WRITTEN = ("completion_tokens", "output_tokens", "eval_count", "candidatesTokenCount")
_TOTAL = ("total_tokens", "totalTokenCount")


def tell_parts_apart(content: Any) -> tuple[str, str]:
    """The answer and the thought in a message's content: a text, a part, or a list of parts and texts.

    An object that is no part is the answer itself, which the server has read as JSON.
    """
    if isinstance(content, str):
        return content, ""
    parts = content if isinstance(content, list) else [content]
    if any(isinstance(part, dict) and not _is_part(part) for part in parts):
        # Half a character may stand in a piece, and its other half in the next one.
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")), ""
    said = thought = ""
    for part in parts:
        if isinstance(part, dict) and (str(part.get("type") or "").startswith(_THOUGHT) or part.get("thought") is True):
            thought += flatten(part)
        else:
            said += flatten(part)
    return said, thought


def _is_part(value: dict[str, Any]) -> bool:
    return isinstance(value.get("type"), str) or value.keys() <= {*_TEXTS, "thought", "signature", "annotations"}


def flatten(value: Any) -> str:
    """The text of a part, of a list of parts, or the text itself."""
    if isinstance(value, list):
        return "".join(map(flatten, value))
    if isinstance(value, dict):
        return next((flatten(value[name]) for name in _TEXTS if value.get(name)), "")
    return value if isinstance(value, str) else ""


def raise_told(error: object) -> NoReturn:
    """Raise the fault that an error inside a reply stands for: the server failed after it had begun.

    One that tells a status of its own, as a busy server does, is told from a reply before that is read.
    """
    raise Lost(f"the server failed within a reply ({read_message(msgspec.json.encode({'error': error}))})")


def find_usage(reply: dict[str, Any]) -> dict[str, Any]:
    """The counts of tokens in a reply or in a piece of one, wherever its server puts them; empty if there are none."""
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = reply.get("message")
    holders = [reply, reply.get("x_groq"), first, message, reply.get("response")]
    for holder in holders:
        for name in ("usage", "usageMetadata", "usage_metadata"):
            usage = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(usage, dict) and any(map(read_count, map(usage.get, (*_ASKED, *_WRITTEN, *_TOTAL)))):
                return usage
    return reply if any(read_count(reply.get(name)) for name in ("prompt_eval_count", "eval_count")) else {}


def find_cost(usage: dict[str, Any]) -> float:
    """Dollars that a reply has cost, if its server says so: such as a price for each request. 0 if it does not."""
    cost = usage.get("cost")
    cost = cost.get("total_cost") if isinstance(cost, dict) else cost
    return float(cost) if isinstance(cost, int | float) and 0 <= cost <= _DEAREST else 0.0


_DEAREST = 1000.0
"""Dollars; no single reply costs more."""


def count_tokens(usage: dict[str, Any], *, said: bool) -> tuple[int | None, int | None]:
    """Tokens in and out, as they are billed; None for one that is not counted.

    Some servers count a thought in the total alone; some in a field of its own, which then may exceed the answer. None
    of a prompt, or of a reply in which something was `said`, is no count.
    """
    asked, written, total = (_first_count(usage, names) for names in (_ASKED, _WRITTEN, _TOTAL))
    asked = asked or None
    written = None if said and not written else written
    if asked is None or written is None:
        return asked, written
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    told = details.get("reasoning_tokens") if isinstance(details, dict) else usage.get("reasoning_tokens")
    thought = read_count(told) or read_count(usage.get("thoughtsTokenCount")) or 0
    if thought > written:
        written += thought
    return asked, written if total is None else max(written, total - asked)


def _first_count(usage: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((read_count(usage[name]) for name in names if usage.get(name) is not None), None)


def is_cut(finish: object) -> bool:
    """Whether a limit on tokens has ended a reply."""
    return str(finish or "").lower() in _CUT


def read_ending(finish: object, *, refused: bool, called: bool) -> Ending:
    """Why a reply holds less than was asked for, if the server says so."""
    word = str(finish or "").lower()
    if word.startswith(_FILTERED):
        return "filter"
    if refused or word == "refusal":
        return "refusal"
    return "tool" if called else ""
