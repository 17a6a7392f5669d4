"""Anthropic's messages, natively. A schema is held by a tool that the model must call: every Claude model can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from errorbook.llm.batch_api import AnthropicBatches
from errorbook.llm.endpoint import Dialect, Reply, Request, web_address
from errorbook.llm.faults import Lost, message
from errorbook.llm.openai_chat import from_environment, instructed
from errorbook.llm.records import Ask

OFFICIAL = "https://api.anthropic.com"
VERSION = "2023-06-01"


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    input: msgspec.Raw = msgspec.Raw()


class _Tokens(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    usage: _Tokens | None = None


_READ = msgspec.json.Decoder(_Message)


class Anthropic:
    """Implements `Endpoint`. Options as for `openai_chat.OpenAIChat`; the key is in ANTHROPIC_API_KEY."""

    def __init__(
        self,
        model: str,
        base_url: str = OFFICIAL,
        api_key_env: str | None = None,
        headers: Mapping[str, str] | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._base_url = web_address(base_url).removesuffix("/v1")
        if api_key_env is None:
            api_key_env = "ANTHROPIC_API_KEY" if self._base_url == OFFICIAL else ""
        self._api_key_env = api_key_env
        self._headers = dict(headers or {})
        self._sampling = dict(sampling or {})
        settings = msgspec.json.encode(self._sampling, order="sorted").decode()
        self._identity = f"anthropic {self._base_url} {model} {settings}"

    def __repr__(self) -> str:
        """Without headers, which may hold secrets."""
        return f"Anthropic(model={self._model!r}, base_url={self._base_url!r})"

    @property
    def identity(self) -> str:
        """See `Endpoint`."""
        return self._identity

    @property
    def base_url(self) -> str:
        """See `Endpoint`."""
        return self._base_url

    @property
    def model(self) -> str:
        """See `Endpoint`."""
        return self._model

    def headers(self) -> dict[str, str]:
        """See `Endpoint`."""
        found = {name: from_environment(value, self._base_url) for name, value in self._headers.items()}
        if self._api_key_env:
            found["x-api-key"] = from_environment("$" + self._api_key_env, self._base_url)
        return {"anthropic-version": VERSION, **found}

    def secrets(self) -> tuple[str, ...]:
        """See `Endpoint`."""
        return tuple(value for name, value in self.headers().items() if name != "anthropic-version")

    def batches(self) -> AnthropicBatches:
        """See `batch_api.BatchEndpoint`."""
        return AnthropicBatches(self)

    def build(self, ask: Ask, dialect: Dialect) -> Request:
        """See `Endpoint`."""
        told = instructed(ask) if ask.schema and dialect.mode != "schema" else ask.messages
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
            reply = _READ.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Lost(f"the server sent no message ({message(body) or 'an empty body'})") from None
        called = [bytes(block.input).decode() for block in reply.content if block.type == "tool_use"]
        text = called[0] if called else "".join(block.text for block in reply.content if block.type == "text")
        tokens_in = tokens_out = None
        if reply.usage:
            cached = (reply.usage.cache_read_input_tokens or 0) + (reply.usage.cache_creation_input_tokens or 0)
            tokens_in, tokens_out = reply.usage.input_tokens + cached, reply.usage.output_tokens
        return Reply(text, tokens_in, tokens_out, reply.stop_reason == "max_tokens")

    def adapt(self, dialect: Dialect, body: bytes, ask: Ask) -> Dialect | None:
        """See `Endpoint`."""
        said = body[:4000].decode("utf-8", "replace").lower()
        if "temperature" in said and dialect.temperature:
            return msgspec.structs.replace(dialect, temperature=False)
        if ask.schema and dialect.mode == "schema" and any(word in said for word in ("tool", "schema", "thinking")):
            return msgspec.structs.replace(dialect, mode="text")
        return None
