"""Anthropic's `/v1/messages/batches` over the shelf of batches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from errorbook.testing.anthropic_wire import AnthropicWire
from errorbook.testing.batches import Batch, BatchItem, BatchShelf
from errorbook.testing.desk import ServerState
from errorbook.testing.responses import Handler, as_json, guard_handler
from errorbook.testing.wire import ErrorReply


class _Submission(msgspec.Struct):
    requests: list[BatchItem]


class _Api:
    """The handlers; a wrong id is Refused with 404 by the shelf."""

    def __init__(self, desk: ServerState, shelf: BatchShelf) -> None:
        self.desk = desk
        self.shelf = shelf
        self.wire = AnthropicWire()

    async def submit(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=_Submission)
        except msgspec.DecodeError as error:
            raise ErrorReply(400, "invalid_request_error", f"The request cannot be read: {error}.") from None
        return self.told(request, self.shelf.submit_items(self.wire, request.headers, asked.requests))

    async def batch(self, request: web.Request) -> web.Response:
        return self.told(request, self.shelf.batch(request.match_info["identity"]))

    async def cancel(self, request: web.Request) -> web.Response:
        found = self.shelf.batch(request.match_info["identity"])
        found.cancelled = not found.ended(self.desk.settings.batch_seconds)
        return self.told(request, found)

    async def results(self, request: web.Request) -> web.Response:
        found = self.shelf.batch(request.match_info["identity"])
        if not found.ended(self.desk.settings.batch_seconds):
            raise ErrorReply(404, "not_found_error", "The results are there when the batch has ended.")
        lines = b"".join(msgspec.json.encode(line) + b"\n" for line in _lines(found))
        return web.Response(body=lines, content_type="application/x-jsonl")

    def told(self, request: web.Request, batch: Batch) -> web.Response:
        return as_json(_batch(str(request.url.origin()), batch, self.desk.settings.batch_seconds))


def routes(desk: ServerState, shelf: BatchShelf) -> list[web.RouteDef]:
    """The routes of message batches."""
    api = _Api(desk, shelf)
    open_routes: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/messages/batches", api.submit),
        ("GET", "/v1/messages/batches/{identity}", api.batch),
        ("POST", "/v1/messages/batches/{identity}/cancel", api.cancel),
        ("GET", "/v1/messages/batches/{identity}/results", api.results),
    ]
    return [web.route(method, path, guard_handler(desk, api.wire, action)) for method, path, action in open_routes]


def _batch(root: str, batch: Batch, seconds: float) -> dict[str, Any]:
    ended = batch.ended(seconds)
    address = f"{root}/v1/messages/batches/{batch.identity}/results"
    return {
        "id": batch.identity,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": 0 if ended else len(batch.results),
            "succeeded": len(batch.succeeded()) if ended else 0,
            "errored": len(batch.errored()) if ended else 0,
            "canceled": len(batch.results) if batch.cancelled else 0,
            "expired": len(batch.expired()) if ended and not batch.cancelled else 0,
        },
        "created_at": datetime.fromtimestamp(batch.created, UTC).isoformat(),
        "results_url": address if ended else None,
    }


def _lines(batch: Batch) -> list[dict[str, Any]]:
    gone = "canceled" if batch.cancelled else "expired"
    succeeded = [(result, {"type": "succeeded", "message": result.body}) for result in batch.succeeded()]
    errored = [(result, {"type": "errored", "error": result.body}) for result in batch.errored()]
    expired = [(result, {"type": gone}) for result in batch.expired()]
    return [{"custom_id": result.custom_id, "result": value} for result, value in [*succeeded, *errored, *expired]]
