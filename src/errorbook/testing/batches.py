"""The two batch APIs: OpenAI's files and batches, Anthropic's message batches. Held in memory, answered at once.

A batch is in progress for `Settings.batch_seconds`. Its requests meet the same fates as others: an error status fails
one request, `batch_expired` and what would break a connection lets it expire, text faults spoil its reply.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from errorbook.testing.desk import ServerState
from errorbook.testing.wire import ErrorReply, Wire

EXPIRING = {"batch_expired", "cut", "cut_midway", "hang", "drip", "huge", "broken_body"}
FAILING = {"rate_limited": 429, "overloaded": 503, "server_error": 500}


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of OpenAI's batch file."""

    custom_id: str
    method: Literal["POST"]
    url: Literal["/v1/chat/completions"]
    body: msgspec.Raw


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """One request of Anthropic's message batch."""

    custom_id: str
    params: msgspec.Raw


class BatchResult(NamedTuple):
    """What became of one request of a batch: `body` is its reply or its error, None if it expired."""

    custom_id: str
    status: int
    body: dict[str, Any] | None


class Batch:
    """One submitted batch."""

    def __init__(self, identity: str, results: list[BatchResult], source: str = "", problem: str = "") -> None:
        self.identity = identity
        self.results = results
        self.source = source
        self.problem = problem
        self.created = time.time()
        self.cancelled = False

    def ended(self, seconds: float) -> bool:
        """Whether the batch is no longer in progress."""
        return self.cancelled or bool(self.problem) or time.time() >= self.created + seconds

    def succeeded(self) -> list[BatchResult]:
        """The requests that got a reply."""
        return [] if self.cancelled else [result for result in self.results if result.status == 200]

    def errored(self) -> list[BatchResult]:
        """The requests that got an error status."""
        return [] if self.cancelled else [result for result in self.results if result.body and result.status != 200]

    def expired(self) -> list[BatchResult]:
        """The requests that got nothing in time; all of them if the batch was cancelled."""
        return self.results if self.cancelled else [result for result in self.results if result.body is None]


class BatchShelf:
    """The files and batches of one server."""

    def __init__(self, desk: ServerState) -> None:
        self._desk = desk
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}

    def keep(self, content: bytes) -> str:
        """Store a file; its id."""
        identity = f"file-{len(self.files) + 1}"
        self.files[identity] = content
        return identity

    def batch(self, identity: str) -> Batch:
        """A batch by its id. Raises Refused with 404."""
        if identity not in self.batches:
            raise ErrorReply(404, "invalid_request_error", f"There is no batch '{identity}'.")
        return self.batches[identity]

    def file(self, identity: str) -> bytes:
        """A file by its id. Raises Refused with 404."""
        if identity not in self.files:
            raise ErrorReply(404, "invalid_request_error", f"There is no file '{identity}'.")
        return self.files[identity]

    def submit_file(self, wire: Wire, headers: Mapping[str, str], source: str) -> Batch:
        """Answer every line of a file. A line that cannot be read fails the whole batch."""
        try:
            lines = [
                msgspec.json.decode(line, type=BatchLine) for line in self.file(source).splitlines() if line.strip()
            ]
            problem = "" if lines else "The input file is empty."
        except msgspec.DecodeError as error:
            lines, problem = [], f"A line of the input file cannot be read: {error}."
        pairs = [(line.custom_id, bytes(line.body)) for line in lines]
        return self._submit("batch_", self._answers(wire, headers, pairs), source, problem)

    def submit_items(self, wire: Wire, headers: Mapping[str, str], items: list[BatchItem]) -> Batch:
        """Answer every item."""
        pairs = [(item.custom_id, bytes(item.params)) for item in items]
        return self._submit("msgbatch_", self._answers(wire, headers, pairs))

    def _submit(self, prefix: str, results: list[BatchResult], source: str = "", problem: str = "") -> Batch:
        batch = Batch(f"{prefix}{len(self.batches) + 1}", results, source, problem)
        self.batches[batch.identity] = batch
        self._desk.counts.batched += len(results)
        return batch

    def _answers(self, wire: Wire, headers: Mapping[str, str], pairs: list[tuple[str, bytes]]) -> list[BatchResult]:
        return [self._answer(wire, headers, custom_id, body) for custom_id, body in pairs]

    def _answer(self, wire: Wire, headers: Mapping[str, str], custom_id: str, body: bytes) -> BatchResult:
        try:
            ticket = self._desk.draw(self._desk.read(wire, headers, body))
            if ticket.fate in EXPIRING:
                return BatchResult(custom_id, 0, None)
            if ticket.fate in FAILING:
                raise ErrorReply(FAILING[ticket.fate], "server_error", "The server could not answer this request.")
            reply = self._desk.reply(ticket)
            self._desk.counts.answered += 1
            return BatchResult(custom_id, 200, wire.reply(ticket.asked, reply, ticket.number))
        except ErrorReply as refused:
            return BatchResult(custom_id, refused.status, wire.error(refused))
