"""What stands around the text of a reply: event streams, errors inside a reply, counts of tokens, why it ended."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from errorbook.files import mend_text
from errorbook.llm.endpoint import Ending, read_count
from errorbook.llm.faults import BUSY, Busy, Lost, read_message

_STREAMED = re.compile(rb"\s*(?:data|event|id|retry)?:")
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_FILTERED = ("content_filter", "safety", "prohibited", "recitation", "blocklist", "sensitive", "spii")


def gather_stream(body: bytes) -> bytes:
    """The chat completion that a stream of events adds up to; a body that is no stream is returned as it is.

    Raises:
        Lost: The stream broke off before its end.
    """
    if not _STREAMED.match(body):
        return body
    message: dict[str, Any] = dict.fromkeys(_TEXTS, "")
    calls: dict[Any, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for event in _read_events(body):
        whole.update({name: event[name] for name in ("usage", "error") if event.get(name) is not None})
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        whole.update({name: choice[name] for name in ("finish_reason", "error") if choice.get(name) is not None})
        _add(message, calls, choice.get("delta") or choice.get("message") or {})
    if "error" not in whole and "finish_reason" not in whole and b"[DONE]" not in body[-200:]:
        raise Lost("the stream of the reply broke off")
    said: dict[str, Any] = {name: mend_text(text) or None for name, text in message.items()}
    said["tool_calls"] = [{"function": {"arguments": mend_text(call["arguments"])}} for call in calls.values()]
    choice = {"message": said, "finish_reason": whole.get("finish_reason"), "error": whole.get("error")}
    return json.dumps({"choices": [choice], "usage": whole.get("usage")}).encode()


def _read_events(body: bytes) -> list[dict[str, Any]]:
    """The objects of a stream. Raises Lost if one is broken."""
    found = []
    for line in body.decode("utf-8", "replace").splitlines():
        text = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if not text or text == "[DONE]":
            continue
        try:
            # The standard library's reader keeps half a character, whose other half may come with the next event.
            event = json.loads(text)
        except (ValueError, RecursionError):
            raise Lost("the stream of the reply broke off") from None
        if isinstance(event, dict):
            found.append(event)
    return found


def _add(message: dict[str, Any], calls: dict[Any, dict[str, Any]], delta: dict[str, Any]) -> None:
    """Add the pieces of one event."""
    for name in _TEXTS:
        if isinstance(delta.get(name), str):
            message[name] += delta[name]
    for call in delta.get("tool_calls") or ():
        piece = (call.get("function") or {}).get("arguments")
        kept = calls.setdefault(call.get("index"), {"arguments": ""})
        kept["arguments"] += piece if isinstance(piece, str) else ""


def raise_told(error: object) -> NoReturn:
    """Raise the fault that an error inside a reply stands for: the server is busy, or failed after it had begun."""
    words = read_message(msgspec.json.encode({"error": error}))
    code = read_count(error.get("code") or error.get("status")) if isinstance(error, dict) else None
    if code in BUSY:
        raise Busy(f"the server is busy (status {code}: {words})")
    raise Lost(f"the server failed within a reply ({words})")


def count_tokens(usage: dict[str, Any]) -> tuple[int | None, int | None]:
    """Tokens in and out, as they are billed.

    Some servers count a thought in the total alone; some in a field of its own, which then may exceed the answer.
    """
    asked, written, total = (
        read_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if asked is None or written is None:
        return asked, written
    details = usage.get("completion_tokens_details")
    told = details.get("reasoning_tokens") if isinstance(details, dict) else usage.get("reasoning_tokens")
    thought = read_count(told) or 0
    if thought > written:
        written += thought
    return asked, written if total is None else max(written, total - asked)


def read_ending(finish: object, *, refused: bool, called: bool) -> Ending:
    """Why a reply holds less than was asked for, if the server says so."""
    word = str(finish or "").lower()
    if word.startswith(_FILTERED):
        return "filter"
    if refused or word == "refusal":
        return "refusal"
    return "tool" if called else ""
