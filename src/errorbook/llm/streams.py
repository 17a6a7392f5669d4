"""Streams of events, as servers send them, put together to the one envelope that is read, judged and kept."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from errorbook.files import mend_text
from errorbook.llm.envelopes import find_usage, tell_parts_apart
from errorbook.llm.faults import Lost

_STREAMED = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_LINES = re.compile(r"\r\n|\n|\r")
_BESIDE = ("reasoning_content", "reasoning", "thinking", "refusal")
"""Texts that stand beside the content of a message."""
_DONE = "[DONE]"
_REPEATED = 20
"""Characters of a last piece that says all once more; a shorter one may be meant."""


class Event(NamedTuple):
    """One event: its kind, empty for the usual one, and its data as JSON, or as they are if they are none."""

    kind: str
    data: Any


def is_stream(body: bytes) -> bool:
    """Whether a body, or the start of one, is a stream of events."""
    return _STREAMED.match(body) is not None


def read_events(body: bytes) -> list[Event]:
    """The events of a stream. Raises Lost if one of them is broken."""
    found: list[Event] = []
    kind, lines = "", list[str]()
    # A line ends where the protocol says so: a reply may hold other signs that Python takes for the end of a line.
    for line in [*_LINES.split(body.decode("utf-8-sig", "replace")), ""]:
        name, _, value = line.partition(":")
        if not line:
            found += [Event(kind, data) for data in _decode(lines)]
            kind, lines = "", []
        elif name == "event":
            kind = value.strip()
        elif name == "data":
            lines.append(value.removeprefix(" "))
    return found


def _decode(lines: list[str]) -> list[Any]:
    """The data of one event, or of several between which a server has left out the blank line."""
    if not lines:
        return []
    for parts in (["\n".join(lines)], lines):
        try:
            return [_read(part) for part in parts if part.strip()]
        except ValueError:
            continue
    raise Lost("the stream of the reply broke off")


def _read(text: str) -> Any:
    """Raises ValueError for what begins as an object and is none."""
    try:
        # The standard library's reader keeps half a character, whose other half may come with the next event.
        return json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith(("{", "[{")):
            raise ValueError from None
        return text.strip()


def find_error(event: Event) -> Any:
    """The error that an event tells, in one of the forms that servers have for it; None if it tells none."""
    data = event.data
    if not isinstance(data, dict):
        return data if event.kind == "error" else None
    is_error = event.kind == "error" or "error" in [data.get("object"), data.get("type")]
    return data.get("error") or (data if is_error else None)


def gather_chat(body: bytes) -> bytes:
    """The chat completion that a stream adds up to; a body that is no stream is returned as it is.

    Raises:
        Lost: The stream broke off before its end.
    """
    if not is_stream(body):
        return body
    reply = _Pieces()
    for event in read_events(body):
        reply.add(event)
    return reply.join()


class _Pieces:
    """A chat completion in the making."""

    def __init__(self) -> None:
        self._texts = {"content": "", **dict.fromkeys(_BESIDE, "")}
        self._pieces = 0
        self._calls: dict[str, str] = {}
        self._usage: dict[str, Any] = {}
        self._finish: Any = None
        self._error: Any = None
        self._done = False
        self._index: Any = None

    def add(self, event: Event) -> None:
        """Add one event."""
        self._done = self._done or event.data == _DONE
        self._error = self._error or find_error(event)
        if not isinstance(event.data, dict):
            return
        self._usage = find_usage(event.data) or self._usage
        choice = self._choose(event.data.get("choices"))
        finish = choice.get("finish_reason")
        self._finish = finish if finish and finish != "null" else self._finish
        self._error = self._error or choice.get("error")
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict) and any(delta.get(name) for name in (*self._texts, "tool_calls")):
            self._append(delta, last=bool(finish))
        elif isinstance(message, dict):
            self._replace(message)
        else:
            said = delta if isinstance(delta, str) else choice.get("text")
            self._texts["content"] += said if isinstance(said, str) else ""

    def _choose(self, choices: Any) -> dict[str, Any]:
        """The choice that is read: the one that came first, if there are several."""
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                self._index = index if self._index is None else self._index
                if index is None or index == self._index:
                    return choice
        return {}

    def _append(self, delta: dict[str, Any], *, last: bool) -> None:
        for name, said in _read_texts(delta).items():
            kept = self._texts[name]
            if not (last and self._pieces > 1 and len(said) > _REPEATED and said == kept):
                self._texts[name] = kept + said
        self._pieces += 1
        for call in _dicts(delta.get("tool_calls")):
            function = call.get("function")
            told = function.get("arguments") if isinstance(function, dict) else None
            piece = told if isinstance(told, str) else json.dumps(told) if told else ""
            index = str(call.get("index"))
            self._calls[index] = self._calls.get(index, "") + piece

    def _replace(self, message: dict[str, Any]) -> None:
        """A whole message, as some servers send at the end; or the next piece of one, under the other's name."""
        texts = _read_texts(message)
        if texts["content"].startswith(self._texts["content"]):
            self._texts.update({name: said for name, said in texts.items() if said})
        else:
            self._append(message, last=False)

    def join(self) -> bytes:
        """The completion, or the error that came instead. Raises Lost if it has no end."""
        if self._error:
            return json.dumps({"error": self._error}).encode()
        if not self._finish and not (self._done and any((*self._texts.values(), self._calls))):
            raise Lost("the stream of the reply broke off")
        said: dict[str, Any] = {name: mend_text(text) or None for name, text in self._texts.items()}
        said["tool_calls"] = [{"function": {"arguments": mend_text(told)}} for told in self._calls.values()]
        choice = {"index": 0, "message": said, "finish_reason": self._finish}
        return json.dumps({"choices": [choice], "usage": self._usage or None}).encode()


def _read_texts(message: dict[str, Any]) -> dict[str, str]:
    """The texts of a message or of a piece of one; what has a wrong type is none."""
    content, thought = tell_parts_apart(message.get("content"))
    texts = {name: tell_parts_apart(message.get(name))[0] for name in _BESIDE}
    texts["reasoning_content"] += thought
    return {"content": content, **texts}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def gather_message(body: bytes) -> bytes:
    """The message of Anthropic's protocol that a stream adds up to; a body that is no stream is returned as it is.

    Raises:
        Lost: The stream broke off before its end.
    """
    if not is_stream(body):
        return body
    message: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for event in read_events(body):
        if error := find_error(event):
            return json.dumps({"type": "error", "error": error}).encode()
        data = event.data if isinstance(event.data, dict) else {}
        started, delta = data.get("message"), data.get("delta")
        for holder in (started, data):
            told = holder.get("usage") if isinstance(holder, dict) else None
            usage.update(told if isinstance(told, dict) else {})
        block = data.get("content_block")
        if isinstance(block, dict):
            blocks[str(data.get("index"))] = {**block, "input": ""}
        if data.get("type") == "content_block_delta" and isinstance(delta, dict):
            _extend(blocks.setdefault(str(data.get("index")), {"type": "text", "input": ""}), delta)
        elif isinstance(delta, dict):
            message.update(delta)
    if not message.get("stop_reason"):
        raise Lost("the stream of the reply broke off")
    content = [{**block, "input": block["input"] or "{}"} for block in blocks.values()]
    return json.dumps({**message, "content": content, "usage": usage}).encode()


def _extend(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece to a block: of its text, of its thought, or of what a tool is called with."""
    for name, target in (("text", "text"), ("thinking", "thinking"), ("partial_json", "input")):
        if isinstance(delta.get(name), str):
            block[target] = str(block.get(target) or "") + delta[name]
