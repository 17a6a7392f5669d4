"""Any server that speaks OpenAI's chat completions: hosted ones, vLLM, Ollama, llama.cpp's, `transformers serve`."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from errorbook.llm import structured
from errorbook.llm.account import Account
from errorbook.llm.batch_api import OpenAIBatches
from errorbook.llm.endpoint import Dialect, Mode, Reply, Request, read_count
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
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    message: _Text
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
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
        body: dict[str, Any] = {"model": self._model, "messages": ask.messages, dialect.cap: ask.max_tokens}
        if dialect.temperature:
            body["temperature"] = ask.temperature
        if ask.schema and dialect.mode == "schema":
            schema = {"name": ask.name, "strict": True, "schema": msgspec.Raw(ask.schema.encode())}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif ask.schema:
            body["messages"] = add_instruction(ask)
            if dialect.mode == "json":
                body["response_format"] = {"type": "json_object"}
        if not dialect.system:
            body["messages"] = fold_system(body["messages"])
        return Request(f"{self._base_url}/chat/completions", msgspec.json.encode({**body, **self._sampling}))

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        try:
            completion = decode(_READ, body)
            choice = completion.choices[0]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError):
            raise Garbled(f"the server sent no chat completion ({read_message(body) or 'an empty body'})") from None
        content, thought = _tell_apart(choice.message)
        asked, written = _count(read_object(completion.usage))
        text = content or choice.message.refusal or ""
        return Reply(text, asked, written, choice.finish_reason == "length", thought)

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        said = body[:4000].decode("utf-8", "replace").lower()
        if "max_completion_tokens" in said and dialect.cap == "max_tokens":
            return msgspec.structs.replace(dialect, cap="max_completion_tokens")
        if "temperature" in said and dialect.temperature:
            return msgspec.structs.replace(dialect, temperature=False)
        if dialect.system and any(turn.role == "system" for turn in ask.messages) and _NO_SYSTEM.search(said):
            return msgspec.structs.replace(dialect, system=False)
        if ask.schema and dialect.mode in _SOFTER and any(word in said for word in _FORM):
            return msgspec.structs.replace(dialect, mode=_SOFTER[dialect.mode])
        return None


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


def _count(usage: dict[str, Any]) -> tuple[int | None, int | None]:
    """Tokens in and out. Some servers count a thought in the total alone, which is what they bill."""
    asked, written, total = (
        read_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if asked is None or written is None or total is None:
        return asked, written
    return asked, max(written, total - asked)


def add_instruction(ask: Ask) -> tuple[Message, ...]:
    """The messages with the schema told in the first one of the user's, which every chat template has room for."""
    first = next((place for place, turn in enumerate(ask.messages) if turn.role == "user"), None)
    if first is None:
        return (*ask.messages, Message(role="user", content=structured.write_instruction(ask.schema).strip()))
    told = Message(role="user", content=ask.messages[first].content + structured.write_instruction(ask.schema))
    return (*ask.messages[:first], told, *ask.messages[first + 1 :])
