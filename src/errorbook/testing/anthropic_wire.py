"""Anthropic's messages as the test server reads and writes them. No streaming; one forced tool at most."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from errorbook.testing.wire import ChatRequest, ErrorReply, ServedReply, Turn, parts_text, size


class _Message(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any]


class _Choice(msgspec.Struct):
    type: str
    name: str = ""


class _Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int
    system: str | list[dict[str, Any]] = ""
    tools: list[_Tool] = []
    tool_choice: _Choice | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    stream: bool = False


_decoder = msgspec.json.Decoder(_Request)


class AnthropicWire:
    """`POST /v1/messages`."""

    overloaded = 529

    def read(self, body: bytes) -> ChatRequest:
        """Parse a request. Raises `ErrorReply` with status 400 if it is not one."""
        try:
            request = _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise ErrorReply(400, "invalid_request_error", f"The request cannot be read: {error}.") from None
        if request.stream:
            raise ErrorReply(400, "invalid_request_error", "This server does not stream.")
        tool, schema = _wanted(request)
        system = parts_text(request.system)
        first = (Turn("system", system),) if system else ()
        turns = first + tuple(Turn(message.role, parts_text(message.content)) for message in request.messages)
        return ChatRequest(
            model=request.model,
            turns=turns,
            max_tokens=request.max_tokens,
            schema=schema,
            wants_json=schema is not None,
            tool=tool,
            input_bytes=size(turns, schema),
        )

    def reply(self, asked: ChatRequest, reply: ServedReply, number: int) -> dict[str, Any]:
        """A reply's JSON body; `number` makes its id unique."""
        block: dict[str, Any] = {"type": "text", "text": reply.text}
        if asked.tool:
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": asked.tool, "input": _object(reply.text)}
        finished = "tool_use" if asked.tool else "end_turn"
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [block],
            "stop_reason": finished if reply.complete else "max_tokens",
            "stop_sequence": None,
            "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
        }

    def error(self, refused: ErrorReply) -> dict[str, Any]:
        """An error's JSON body."""
        kind = {401: "authentication_error", 404: "not_found_error", 500: "api_error"}.get(refused.status, refused.kind)
        return {"type": "error", "error": {"type": kind, "message": str(refused)}}

    def key(self, headers: Mapping[str, str]) -> str:
        """The API key that a request came with, or nothing."""
        return headers.get("x-api-key", "")

    def limit_headers(self, limit: int, remaining: int, reset_seconds: float) -> dict[str, str]:
        """The rate-limit headers of one response."""
        reset = datetime.now(UTC) + timedelta(seconds=reset_seconds)
        return {
            "anthropic-ratelimit-requests-limit": str(limit),
            "anthropic-ratelimit-requests-remaining": str(remaining),
            "anthropic-ratelimit-requests-reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _wanted(request: _Request) -> tuple[str, dict[str, Any] | None]:
    """Name of the forced tool, if any, and the schema of the reply, if any."""
    choice = request.tool_choice
    if choice is not None and choice.type == "tool":
        for tool in request.tools:
            if tool.name == choice.name:
                return tool.name, tool.input_schema
        raise ErrorReply(400, "invalid_request_error", f"There is no tool called '{choice.name}'.")
    config = request.output_config
    chosen = (config.format if config is not None else None) or request.output_format
    return "", chosen.schema if chosen is not None else None


def _object(text: str) -> dict[str, Any]:
    """A tool's input is an object by protocol: a text that is none is given as one with a wrong field."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"unreadable": text}
