"""Answers OpenAI's embeddings requests: words counted in places chosen by hash, so that texts sharing words are near.

Vectors are not of unit length, and come in reverse order, as the protocol allows: a client has to see to both.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from aiohttp import web

from errorbook.testing.desk import ServerState
from errorbook.testing.openai_wire import OpenAIWire
from errorbook.testing.responses import Handler, as_json, refuse
from errorbook.testing.wire import ErrorReply


class _Request(msgspec.Struct):
    model: str
    input: str | list[str]


def embeddings_handler(desk: ServerState) -> Handler:
    """The handler of `POST /v1/embeddings`: 404 if the settings give vectors no width."""
    wire = OpenAIWire()

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            desk.check_key(wire, request.headers)
            if not desk.settings.embeddings:
                raise ErrorReply(404, "invalid_request_error", "This server embeds nothing.")
            asked = _read(await request.read())
        except ErrorReply as refused:
            return refuse(desk, wire, refused)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        rows: list[dict[str, Any]] = [
            {"object": "embedding", "index": index, "embedding": vector(text, desk.settings.embeddings)}
            for index, text in enumerate(texts)
        ]
        return as_json({"object": "list", "model": asked.model, "data": rows[::-1]})

    return handle


def vector(text: str, width: int) -> list[float]:
    """How many of a text's words fall into each place."""
    counts = [0.0] * width
    for word in text.lower().split() or [""]:
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % width] += 1.0
    return counts


def _read(body: bytes) -> _Request:
    try:
        return msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        raise ErrorReply(400, "invalid_request_error", f"The request cannot be read: {error}.") from None
