"""OpenAI's chat completions as the test server reads and writes them. No streaming, no tools."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from errorbook.testing.wire import ChatRequest, ErrorReply, ServedReply, Turn, parts_text, size


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]] | None = None


class _Schema(msgspec.Struct):
    name: str
    schema: dict[str, Any]


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: _Format | None = None
    stream: bool = False
    n: int = 1


_decoder = msgspec.json.Decoder(_Request)


class OpenAIWire:
    """`POST /v1/chat/completions`."""

    overloaded = 503

    def read(self, body: bytes) -> ChatRequest:
        """Parse a request. Raises `ErrorReply` with status 400 if it is not one."""
        try:
            request = _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise ErrorReply(400, "invalid_request_error", f"The request cannot be read: {error}.") from None
        if request.stream or request.n != 1:
            raise ErrorReply(400, "invalid_request_error", "This server neither streams nor gives several choices.")
        asked_format = request.response_format
        schema = asked_format.json_schema.schema if asked_format and asked_format.json_schema else None
        turns = tuple(Turn(message.role, parts_text(message.content)) for message in request.messages)
        return ChatRequest(
            model=request.model,
            turns=turns,
            max_tokens=request.max_completion_tokens or request.max_tokens,
            schema=schema,
            wants_json=asked_format is not None and asked_format.type != "text",
            tool="",
            input_bytes=size(turns, schema),
        )

    def reply(self, asked: ChatRequest, reply: ServedReply, number: int) -> dict[str, Any]:
        """A reply's JSON body; `number` makes its id unique."""
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply.text, "refusal": None},
                    "finish_reason": "stop" if reply.complete else "length",
                }
            ],
            "usage": {
                "prompt_tokens": reply.input_tokens,
                "completion_tokens": reply.output_tokens,
                "total_tokens": reply.input_tokens + reply.output_tokens,
            },
        }

    def error(self, refused: ErrorReply) -> dict[str, Any]:
        """An error's JSON body."""
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(refused.status)
        return {"error": {"message": str(refused), "type": refused.kind, "param": None, "code": code}}

    def key(self, headers: Mapping[str, str]) -> str:
        """The API key that a request came with, or nothing."""
        return headers.get("Authorization", "").removeprefix("Bearer ")

    def limit_headers(self, limit: int, remaining: int, reset_seconds: float) -> dict[str, str]:
        """The rate-limit headers of one response."""
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": f"{reset_seconds:.3f}s",
        }
