"""OpenAI's `/v1/files` and `/v1/batches` over the shelf of batches."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from errorbook.testing.batches import Batch, BatchResult, BatchShelf
from errorbook.testing.desk import ServerState
from errorbook.testing.openai_wire import OpenAIWire
from errorbook.testing.responses import Handler, as_json, guard_handler
from errorbook.testing.wire import ErrorReply


class _Submission(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str


class _Api:
    """The handlers; a wrong id is Refused with 404 by the shelf."""

    def __init__(self, desk: ServerState, shelf: BatchShelf) -> None:
        self.desk = desk
        self.shelf = shelf
        self.wire = OpenAIWire()

    async def upload(self, request: web.Request) -> web.Response:
        fields = await _fields(request)
        if "file" not in fields or fields.get("purpose") != b"batch":
            raise ErrorReply(400, "invalid_request_error", "An upload needs the fields 'file' and 'purpose' ('batch').")
        return as_json(_file(self.shelf.keep(fields["file"]), fields["file"]))

    async def file(self, request: web.Request) -> web.Response:
        identity = request.match_info["identity"]
        return as_json(_file(identity, self.shelf.file(identity)))

    async def content(self, request: web.Request) -> web.Response:
        content = self.shelf.file(request.match_info["identity"])
        return web.Response(body=content, content_type="application/octet-stream")

    async def submit(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=_Submission)
        except msgspec.DecodeError as error:
            raise ErrorReply(400, "invalid_request_error", f"The request cannot be read: {error}.") from None
        return self.told(self.shelf.submit_file(self.wire, request.headers, asked.input_file_id))

    async def batch(self, request: web.Request) -> web.Response:
        return self.told(self.shelf.batch(request.match_info["identity"]))

    async def cancel(self, request: web.Request) -> web.Response:
        found = self.shelf.batch(request.match_info["identity"])
        found.cancelled = not found.ended(self.desk.settings.batch_seconds)
        return self.told(found)

    async def listing(self, _: web.Request) -> web.Response:
        seconds = self.desk.settings.batch_seconds
        batches = [_batch(self.shelf, batch, seconds) for batch in self.shelf.batches.values() if batch.source]
        return as_json({"object": "list", "data": batches, "has_more": False})

    def told(self, batch: Batch) -> web.Response:
        return as_json(_batch(self.shelf, batch, self.desk.settings.batch_seconds))


def routes(desk: ServerState, shelf: BatchShelf) -> list[web.RouteDef]:
    """The routes of files and batches."""
    api = _Api(desk, shelf)
    open_routes: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/files", api.upload),
        ("GET", "/v1/files/{identity}", api.file),
        ("GET", "/v1/files/{identity}/content", api.content),
        ("POST", "/v1/batches", api.submit),
        ("GET", "/v1/batches", api.listing),
        ("GET", "/v1/batches/{identity}", api.batch),
        ("POST", "/v1/batches/{identity}/cancel", api.cancel),
    ]
    return [web.route(method, path, guard_handler(desk, api.wire, action)) for method, path, action in open_routes]


async def _fields(request: web.Request) -> dict[str, bytes]:
    if not request.content_type.startswith("multipart/"):
        raise ErrorReply(400, "invalid_request_error", "An upload must be of type multipart/form-data.")
    fields = {}
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and part.name:
            fields[part.name] = bytes(await part.read())
    return fields


def _file(identity: str, content: bytes) -> dict[str, Any]:
    return {"id": identity, "object": "file", "bytes": len(content), "purpose": "batch", "status": "processed"}


def _batch(shelf: BatchShelf, batch: Batch, seconds: float) -> dict[str, Any]:
    ended = batch.ended(seconds)
    succeeded, errored, expired = batch.succeeded(), batch.errored(), batch.expired()
    failures = [_line(result) for result in [*errored, *expired]]
    return {
        "id": batch.identity,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": batch.source,
        "completion_window": "24h",
        "status": _status(batch, ended),
        "errors": {"object": "list", "data": [{"message": batch.problem}]} if batch.problem else None,
        "output_file_id": _output(shelf, batch, "output", [_line(result) for result in succeeded]) if ended else None,
        "error_file_id": _output(shelf, batch, "error", failures) if ended else None,
        "created_at": int(batch.created),
        "expires_at": int(batch.created) + 24 * 3600,
        "request_counts": {
            "total": len(batch.results),
            "completed": len(succeeded) if ended else 0,
            "failed": len(failures) if ended else 0,
        },
    }


def _status(batch: Batch, ended: bool) -> str:
    if batch.problem:
        return "failed"
    if not ended:
        return "in_progress"
    if batch.cancelled:
        return "cancelled"
    return "expired" if batch.expired() else "completed"


def _output(shelf: BatchShelf, batch: Batch, kind: str, lines: list[dict[str, Any]]) -> str | None:
    """The id of a batch's file, written when it is first asked for; None if it would be empty."""
    if not lines:
        return None
    identity = f"file-{batch.identity}-{kind}"
    shelf.files[identity] = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return identity


def _line(result: BatchResult) -> dict[str, Any]:
    if result.body is None:
        problem = {"code": "batch_expired", "message": "This request could not be executed in time."}
        return {"id": f"req-{result.custom_id}", "custom_id": result.custom_id, "response": None, "error": problem}
    response = {"status_code": result.status, "request_id": f"req-{result.custom_id}", "body": result.body}
    return {"id": f"req-{result.custom_id}", "custom_id": result.custom_id, "response": response, "error": None}
