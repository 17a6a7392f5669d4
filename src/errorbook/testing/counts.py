"""What the test server has seen: counted while it runs, told as one record at /stats."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a test server since its start. Requests are chat requests, those within batches included.

    `answered` are complete replies with status 200, whatever their text. Tokens are those of every reply that was
    written, as a provider would bill them, even if the connection was cut before it arrived. `abandoned` are
    requests whose client went away first.
    """

    requests: int
    answered: int
    unique_prompts: int
    in_flight: int
    peak_in_flight: int
    abandoned: int
    batched: int
    input_tokens: int
    output_tokens: int
    statuses: dict[int, int]
    faults: dict[str, int]
    cpu_seconds: float


class Counts:
    """Running counts; belongs to one event loop."""

    def __init__(self) -> None:
        self.requests = self.answered = self.abandoned = self.batched = 0
        self.in_flight = self.peak = 0
        self.input_tokens = self.output_tokens = 0
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self._seen: dict[bytes, int] = {}

    @contextmanager
    def flight(self) -> Iterator[None]:
        """Count one HTTP request as in flight within the block."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def seen(self, digest: bytes) -> int:
        """Note a prompt and say how often it had come before."""
        before = self._seen.get(digest, 0)
        self._seen[digest] = before + 1
        return before

    def bill(self, input_tokens: int, output_tokens: int) -> None:
        """Add the tokens of one reply that was written."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def stats(self) -> Stats:
        """The counts as they stand."""
        return Stats(
            requests=self.requests,
            answered=self.answered,
            unique_prompts=len(self._seen),
            in_flight=self.in_flight,
            peak_in_flight=self.peak,
            abandoned=self.abandoned,
            batched=self.batched,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            statuses=dict(self.statuses),
            faults=dict(self.faults),
            cpu_seconds=time.process_time(),
        )
