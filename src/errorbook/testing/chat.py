"""Answers chat requests over the socket: the healthy reply, and every fault that a connection can have."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from errorbook.testing.desk import ServerState
from errorbook.testing.responses import JSON, Handler, refuse
from errorbook.testing.settings import Fault
from errorbook.testing.wire import ErrorReply, Wire

FOREVER = 24 * 3600.0
PIECES = 50
BLOCK = b"a" * 65_536
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>The upstream server did not answer.</body></html>"


def chat_handler(desk: ServerState, wire: Wire) -> Handler:
    """The handler of one protocol's chat requests."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        with desk.counts.flight():
            try:
                response = await _answer(request, body, desk, wire)
            except ErrorReply as refused:
                response = refuse(desk, wire, refused)
            except asyncio.CancelledError:
                desk.counts.abandoned += 1
                raise
        desk.counts.statuses[response.status] += 1
        return response

    return handle


async def _answer(request: web.Request, body: bytes, desk: ServerState, wire: Wire) -> web.StreamResponse:
    asked = desk.read(wire, request.headers, body)
    desk.check_load()
    ticket = desk.draw(asked)
    if ticket.fate == "rate_limited":
        raise ErrorReply(429, "rate_limit_error", "Too many requests; wait a little.")
    if ticket.fate == "overloaded":
        raise ErrorReply(wire.overloaded, "overloaded_error", "The server is overloaded.")
    if desk.settings.latency:
        await asyncio.sleep(desk.settings.latency)
    if ticket.fate == "server_error":
        raise ErrorReply(500, "server_error", "The server had an error.")
    if ticket.fate == "hang":
        await asyncio.sleep(FOREVER)
    encoded = msgspec.json.encode(wire.reply(ticket.asked, desk.reply(ticket), ticket.number))
    return await _send(request, desk, ticket.fate, encoded, {**JSON, **desk.limits(wire)})


async def _send(
    request: web.Request, desk: ServerState, fate: Fault | None, body: bytes, headers: dict[str, str]
) -> web.StreamResponse:
    match fate:
        case "cut":
            return _cut(request)
        case "cut_midway":
            return await _cut_midway(request, body, headers)
        case "drip":
            response: web.StreamResponse = await _drip(request, body, headers, desk.faults.drip_seconds)
        case "huge":
            response = await _huge(request, body, headers, desk.faults.huge_bytes)
        case "broken_body":
            response = web.Response(text=PAGE, content_type="text/html")
        case _:
            response = web.Response(body=body, headers=headers)
    desk.counts.answered += 1
    return response


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def _cut_midway(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    # A moment, so that the first half leaves before the connection goes down.
    await asyncio.sleep(0.01)
    if request.transport is not None:
        request.transport.abort()
    return response


async def _drip(request: web.Request, body: bytes, headers: dict[str, str], seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    step = max(1, len(body) // PIECES)
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await asyncio.sleep(seconds * step / len(body))
    return response


async def _huge(request: web.Request, body: bytes, headers: dict[str, str], size: int) -> web.StreamResponse:
    """One JSON string of `size` bytes in place of the reply, of unannounced length: a client must count by itself."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(b'{"padding": "')
    for _ in range(0, size, len(BLOCK)):
        await response.write(BLOCK)
    await response.write(b'", ' + body[1:])
    return response
