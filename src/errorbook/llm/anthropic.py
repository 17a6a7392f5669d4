"""Anthropic's messages, natively. A schema is held by a tool that the model must call: every Claude model can."""

from __future__ import annotations

from typing import Any

import msgspec

from errorbook.llm.account import Account
from errorbook.llm.batch_api import AnthropicBatches
from errorbook.llm.endpoint import Dialect, Reply, Request, read_count
from errorbook.llm.envelopes import is_cut, raise_told, read_ending, tell_parts_apart
from errorbook.llm.faults import Garbled
from errorbook.llm.openai_chat import add_instruction, limit_reply
from errorbook.llm.records import Ask
from errorbook.llm.refusals import read_complaint, read_message, read_object
from errorbook.llm.streams import gather_message
from errorbook.llm.token_limits import read_most

VERSION = "2023-06-01"


class Anthropic(Account):
    """Implements `Endpoint`. Options as for every `Account`; the key is in ANTHROPIC_API_KEY."""

    protocol = "anthropic"
    official = "https://api.anthropic.com"
    usual_key = "ANTHROPIC_API_KEY"
    version_path = "/v1"
    request_path = "/messages"

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
            "max_tokens": limit_reply(ask, dialect),
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

    def gather(self, body: bytes) -> bytes:
        """See `Endpoint`."""
        return gather_message(body)

    def read(self, body: bytes) -> Reply:
        """See `Endpoint`."""
        message = read_object(gather_message(body))
        if message.get("error"):
            raise_told(message["error"])
        content = message.get("content")
        if "content" not in message or not isinstance(content, list | str | None):
            raise Garbled(f"the server sent no message ({read_message(body) or 'an empty body'})")
        finish = message.get("stop_reason")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        called = next((_spell(block.get("input")) for block in blocks if block.get("type") == "tool_use"), "")
        said, thought = tell_parts_apart([block for block in blocks if block.get("type") != "tool_use"])
        text = called or (content if isinstance(content, str) else said)
        tokens_in, tokens_out = _count(message, said=bool(text or thought))
        ended = read_ending(finish, refused=False, called=False)
        return Reply(text, tokens_in, tokens_out, is_cut(finish), thought, ended)

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        complaint = read_complaint(body)
        said = complaint.words.lower()
        read = sum(len(turn.content.encode()) for turn in ask.messages) + len(ask.schema)
        most = read_most(complaint, limit_reply(ask, dialect), read) if ask.schema else 0
        if most:
            return msgspec.structs.replace(dialect, most=most)
        if complaint.names("temperature") and dialect.temperature:
            return msgspec.structs.replace(dialect, temperature=False)
        if ask.schema and dialect.mode == "schema" and any(word in said for word in ("tool", "schema", "thinking")):
            return msgspec.structs.replace(dialect, mode="text")
        return None


def _spell(called: Any) -> str:
    return called if isinstance(called, str) else msgspec.json.encode(called).decode()


def _count(message: dict[str, Any], *, said: bool) -> tuple[int | None, int | None]:
    """Tokens in and out. Of the prompt, what is written to a cache and what is read from one is counted apart."""
    told = message.get("usage")
    usage = told if isinstance(told, dict) else {}
    asked = [read_count(usage.get(f"{cache}input_tokens") or 0) for cache in ("", "cache_read_", "cache_creation_")]
    tokens_in = None if "input_tokens" not in usage or None in asked else sum(count or 0 for count in asked)
    written = read_count(usage.get("output_tokens"))
    return tokens_in or None, None if said and not written else written
