"""Any server that speaks OpenAI's chat completions: hosted ones, vLLM, Ollama, llama.cpp's, `transformers serve`."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from errorbook.llm import structured
from errorbook.llm.account import Account
from errorbook.llm.batch_api import OpenAIBatches
from errorbook.llm.endpoint import Dialect, Mode, Reply, Request
from errorbook.llm.envelopes import count_tokens, gather_stream, raise_told, read_ending
from errorbook.llm.faults import Garbled, decode, read_message, read_object
from errorbook.llm.records import Ask
from errorbook.records import Message, fold_system

_FORM = ("response_format", "json_schema", "json_object", "schema", "grammar")
"""Words in a refusal that is about the form of the reply."""
_NO_SYSTEM = re.compile(
    r"system.{0,80}\brole|\brole.{0,80}system|system (?:message|prompt).{0,60}(?:not|unsupported)"
    r"|does not support.{0,20}system|only user and assistant roles|roles must alternate"
)
"""A refusal by a model's chat template that takes no system message, or by a server that knows none."""
_SOFTER: dict[Mode, Mode] = {"schema": "json", "json": "text"}


class _Text(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    message: _Text | None = None
    finish_reason: Any = None
    error: Any = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_READ = msgspec.json.Decoder(_Completion)


class OpenAIChat(Account):
    """Implements `Endpoint`. Options as for every `Account`; the key is in OPENAI_API_KEY."""

    protocol = "openai"
    official = "https://api.openai.com/v1"
    usual_key = "OPENAI_API_KEY"

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        key = self._key()
        return {**self._own_headers(), **({"Authorization": f"Bearer {key}"} if key else {})}

    def batches(self) -> OpenAIBatches:
        """See `batch_api.BatchEndpoint`."""
        return OpenAIBatches(self)

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """See `Endpoint`."""
        body: dict[str, Any] = {"model": self._model, "messages": ask.messages, dialect.cap: _limit(ask, dialect)}
        if dialect.stream != "unsaid":
            body["stream"] = dialect.stream == "on"
        if dialect.stream == "on" and dialect.usage:
            body["stream_options"] = {"include_usage": True}
        if dialect.temperature:
            body["temperature"] = ask.temperature
        if ask.schema and dialect.mode == "schema":
            strict = {"strict": True} if dialect.strict else {}
            schema = {"name": ask.name, **strict, "schema": msgspec.Raw(ask.schema.encode())}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif ask.schema:
            body["messages"] = add_instruction(ask)
            if dialect.mode == "json":
                body["response_format"] = {"type": "json_object"}
        if not dialect.system:
            body["messages"] = fold_system(body["messages"])
        body.update(self._sampling)
        if not dialect.seed:
            body.pop("seed", None)
        return Request(f"{self._base_url}/chat/completions", msgspec.json.encode(body))

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        choice, usage = _open(body)
        message = choice.message or _Text()
        content, thought = _tell_apart(message)
        asked, written = count_tokens(usage)
        refusal, called = _flatten(message.refusal), "" if content else _read_call(message.tool_calls)
        ended = read_ending(choice.finish_reason, refused=bool(refusal and not content), called=bool(called))
        cut = choice.finish_reason == "length"
        return Reply(content or refusal or called, asked, written, cut, thought, ended)

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        said = body[:4000].decode("utf-8", "replace").lower()
        most = _read_most(said, ask, dialect)
        held = ask.schema and dialect.mode == "schema"
        changes: tuple[tuple[object, dict[str, Any]], ...] = (
            (most, {"most": most}),
            ("max_completion_tokens" in said and dialect.cap == "max_tokens", {"cap": "max_completion_tokens"}),
            ("temperature" in said and dialect.temperature, {"temperature": False}),
            (dialect.seed and "seed" in self._sampling and _names("seed", said), {"seed": False}),
            (dialect.stream == "on" and dialect.usage and "stream_options" in said, {"usage": False}),
            (dialect.stream != "on" and _MUST_STREAM.search(said), {"stream": "on"}),
            (dialect.stream == "off" and _names("stream", said), {"stream": "unsaid"}),
            (dialect.system and _has_system(ask) and _NO_SYSTEM.search(said), {"system": False}),
            (held and dialect.strict and _names("strict", said), {"strict": False}),
            (
                ask.schema and dialect.mode in _SOFTER and any(word in said for word in _FORM),
                {"mode": _SOFTER.get(dialect.mode)},
            ),
        )
        change = next((change for holds, change in changes if holds), None)
        return None if change is None else msgspec.structs.replace(dialect, **change)


_MUST_STREAM = re.compile(
    r"non-?stream|(?:only|must|required).{0,60}\bstream|\bstream(?:ing)?\b.{0,60}(?:must|only|required)|not stream\b"
)
"""A refusal by a server, or of a way of thinking, that answers in streams alone."""
_MOST = re.compile(
    r"(?:at most|maximum|less than or equal to|<=|up to|limit of|no more than|between 1 and|\[1, ?)"
    r"\D{0,40}?(\d{2,7})"
)
"""A limit on the tokens of a reply that a refusal tells."""


def _limit(ask: Ask, dialect: Dialect) -> int:
    """The tokens that a reply may take. An exam's limit is never lowered unsaid: it is a part of what is measured."""
    return min(ask.max_tokens, dialect.most) if dialect.most and ask.schema else ask.max_tokens


def _read_most(said: str, ask: Ask, dialect: Dialect) -> int:
    """The lower limit on a reply's tokens that a refusal tells; 0 if it tells none."""
    if not ask.schema or not re.search(r"max_(?:completion_)?tokens|completion tokens|output tokens", said):
        return 0
    told = [int(number) for number in _MOST.findall(said)]
    return next((number for number in told if number < _limit(ask, dialect)), 0)


def _names(field: str, said: str) -> bool:
    return re.search(rf"\b{field}\b", said) is not None


def _has_system(ask: Ask) -> bool:
    return any(turn.role == "system" for turn in ask.messages)


def _open(body: bytes) -> tuple[_Choice, dict[str, Any]]:
    """The first choice of a completion and what it took. Raises Lost, Busy, or Garbled if it is none."""
    try:
        completion = decode(_READ, gather_stream(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Garbled(f"the server sent no chat completion ({read_message(body) or 'an empty body'})") from None
    choice = completion.choices[0] if completion.choices else _Choice(error=completion.error)
    if choice.error or choice.finish_reason == "error":
        raise_told(choice.error or "finish_reason is 'error'")
    if choice.message is None:
        raise Garbled(f"the server sent no chat completion ({read_message(body) or 'an empty body'})")
    return choice, read_object(completion.usage)


def _read_call(calls: Any) -> str:
    """What a tool was called with: a server that looks for such calls may take a reply in JSON for one."""
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        told = function.get("arguments") if isinstance(function, dict) else None
        if told:
            return told if isinstance(told, str) else msgspec.json.encode(told).decode()
    return ""


def _tell_apart(message: _Text) -> tuple[str, str]:
    """A message's answer and what the server calls its reasoning: in a field of one of two names, or as parts."""
    thought = _flatten(message.reasoning_content) or _flatten(message.reasoning)
    if not isinstance(message.content, list):
        return message.content or "", thought
    parts = [(str(part.get("type") or "text"), part) for part in message.content]
    said = "".join(_flatten(part) for kind, part in parts if not kind.startswith(_THOUGHT))
    return said, thought + "".join(_flatten(part) for kind, part in parts if kind.startswith(_THOUGHT))


_THOUGHT = ("thinking", "reasoning", "redacted_thinking")


def _flatten(value: Any) -> str:
    """The text of a part, of a list of parts, or the text itself."""
    if isinstance(value, list):
        return "".join(map(_flatten, value))
    if isinstance(value, dict):
        return next(
            (_flatten(value[name]) for name in ("text", "thinking", "reasoning", "summary") if name in value), ""
        )
    return value if isinstance(value, str) else ""


def add_instruction(ask: Ask) -> tuple[Message, ...]:
    """The messages with the schema told in the first one of the user's, which every chat template has room for."""
    first = next((place for place, turn in enumerate(ask.messages) if turn.role == "user"), None)
    if first is None:
        return (*ask.messages, Message(role="user", content=structured.write_instruction(ask.schema).strip()))
    told = Message(role="user", content=ask.messages[first].content + structured.write_instruction(ask.schema))
    return (*ask.messages[:first], told, *ask.messages[first + 1 :])
