"""Anthropic's messages, natively. A schema is held by a tool that the model must call: every Claude model can."""

from __future__ import annotations

from typing import Any

import msgspec

from errorbook.llm.account import Account
from errorbook.llm.batch_api import AnthropicBatches
from errorbook.llm.endpoint import Dialect, Reply, Request, read_count
from errorbook.llm.envelopes import read_ending
from errorbook.llm.faults import Garbled, decode, read_message, read_object
from errorbook.llm.openai_chat import add_instruction
from errorbook.llm.records import Ask

VERSION = "2023-06-01"


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_READ = msgspec.json.Decoder(_Message)


class Anthropic(Account):
    """Implements `Endpoint`. Options as for every `Account`; the key is in ANTHROPIC_API_KEY."""

    protocol = "anthropic"
    official = "https://api.anthropic.com"
    usual_key = "ANTHROPIC_API_KEY"
    version_path = "/v1"

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        key = self._key()
        return {"anthropic-version": VERSION, **self._own_headers(), **({"x-api-key": key} if key else {})}

    def batches(self) -> AnthropicBatches:
        """See `batch_api.BatchEndpoint`."""
        return AnthropicBatches(self)

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """See `Endpoint`."""
        told = add_instruction(ask) if ask.schema and dialect.mode != "schema" else ask.messages
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": ask.max_tokens,
            "messages": [turn for turn in told if turn.role != "system"],
        }
        system = "\n\n".join(turn.content for turn in told if turn.role == "system")
        if system:
            body["system"] = system
        if dialect.temperature:
            body["temperature"] = min(ask.temperature, 1.0)
        if ask.schema and dialect.mode == "schema":
            tool = {"name": ask.name, "description": "The reply.", "input_schema": msgspec.Raw(ask.schema.encode())}
            body["tools"] = [tool]
            body["tool_choice"] = {"type": "tool", "name": ask.name}
        return Request(f"{self._base_url}/v1/messages", msgspec.json.encode({**body, **self._sampling}))

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        try:
            reply = decode(_READ, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Garbled(f"the server sent no message ({read_message(body) or 'an empty body'})") from None
        called = [bytes(block.input).decode("utf-8", "replace") for block in reply.content if block.type == "tool_use"]
        text = called[0] if called else "".join(block.text for block in reply.content if block.type == "text")
        thought = "".join(block.thinking for block in reply.content)
        usage = read_object(reply.usage)
        # Of the prompt, what is written to a cache and what is read from one is counted apart.
        asked = [read_count(usage.get(f"{cache}input_tokens") or 0) for cache in ("", "cache_read_", "cache_creation_")]
        tokens_in = None if "input_tokens" not in usage or None in asked else sum(count or 0 for count in asked)
        written = read_count(usage.get("output_tokens"))
        ended = read_ending(reply.stop_reason, refused=False, called=False)
        return Reply(text, tokens_in, written, reply.stop_reason == "max_tokens", thought, ended)

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        said = body[:4000].decode("utf-8", "replace").lower()
        if "temperature" in said and dialect.temperature:
            return msgspec.structs.replace(dialect, temperature=False)
        if ask.schema and dialect.mode == "schema" and any(word in said for word in ("tool", "schema", "thinking")):
            return msgspec.structs.replace(dialect, mode="text")
        return None
