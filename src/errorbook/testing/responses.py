"""Responses that every handler of the test server writes: JSON bodies and refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
from aiohttp import web

from errorbook.testing.desk import ServerState
from errorbook.testing.wire import ErrorReply, Wire

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = {"Content-Type": "application/json"}


def as_json(value: Any) -> web.Response:
    """A response with status 200."""
    return web.Response(body=msgspec.json.encode(value), headers=JSON)


def refuse(desk: ServerState, wire: Wire, refused: ErrorReply) -> web.Response:
    """The response with an error status, Retry-After included if the client should wait."""
    headers = {**JSON, **desk.limits(wire)}
    wait = desk.faults.retry_after
    if refused.status in {429, 503, 529} and wait:
        when = datetime.now(UTC) + timedelta(seconds=wait)
        dated = desk.faults.retry_after_date
        headers["Retry-After"] = format_datetime(when, usegmt=True) if dated else f"{wait:g}"
    return web.Response(status=refused.status, headers=headers, body=msgspec.json.encode(wire.error(refused)))


def guard_handler(desk: ServerState, wire: Wire, action: Handler) -> Handler:
    """`action` behind the server's key; what it refuses becomes a response."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            desk.check_key(wire, request.headers)
            return await action(request)
        except ErrorReply as refused:
            return refuse(desk, wire, refused)

    return handle
