"""Puts the handlers together into one web application, and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import socket

import msgspec
from aiohttp import web

from errorbook.testing import anthropic_batches, openai_batches
from errorbook.testing.anthropic_wire import AnthropicWire
from errorbook.testing.batches import BatchShelf
from errorbook.testing.chat import chat_handler
from errorbook.testing.desk import ServerState
from errorbook.testing.embeddings import embeddings_handler
from errorbook.testing.openai_wire import OpenAIWire
from errorbook.testing.responses import as_json
from errorbook.testing.settings import Faults

LARGEST_UPLOAD = 256 * 2**20
BACKLOG = 1024


def build_app(desk: ServerState) -> web.Application:
    """The application: both protocols, /stats and /faults."""
    app = web.Application(client_max_size=LARGEST_UPLOAD)
    shelf = BatchShelf(desk)

    async def models(_: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "test"} for name in desk.settings.models]
        return as_json({"object": "list", "data": listed})

    async def stats(_: web.Request) -> web.Response:
        return as_json(desk.counts.stats())

    async def change(request: web.Request) -> web.Response:
        try:
            desk.change(msgspec.json.decode(await request.read(), type=Faults))
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"These are no faults: {error}.")
        return web.Response(status=204)

    app.add_routes(
        [
            web.post("/v1/chat/completions", chat_handler(desk, OpenAIWire())),
            web.post("/v1/messages", chat_handler(desk, AnthropicWire())),
            web.post("/v1/embeddings", embeddings_handler(desk)),
            web.get("/v1/models", models),
            web.get("/stats", stats),
            web.put("/faults", change),
            *openai_batches.routes(desk, shelf),
            *anthropic_batches.routes(desk, shelf),
        ]
    )
    return app


async def serve(desk: ServerState, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve on a bound socket until `stop` is set."""
    # The handler of a client that went away is cancelled, as a provider's would be; that is how it is counted.
    runner = web.AppRunner(build_app(desk), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        await stop.wait()
    finally:
        await runner.cleanup()
