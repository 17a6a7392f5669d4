"""Decides about one request: admitted or refused, which fate it meets, and what its reply says.

Shared by the chat handlers, which answer over the socket, and by batches, which answer in files.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from typing import NamedTuple

from errorbook.testing.counts import Counts
from errorbook.testing.replies import reply_to
from errorbook.testing.settings import Fault, Faults, Settings
from errorbook.testing.wire import ChatRequest, ErrorReply, Script, ServedReply, Wire


class Ticket(NamedTuple):
    """A request that was admitted, the fault that it meets, and its number among all requests."""

    asked: ChatRequest
    fate: Fault | None
    number: int


class ServerState:
    """The state of one server; belongs to one event loop."""

    def __init__(self, settings: Settings, faults: Faults, script: Script | None) -> None:
        self.settings = settings
        self.script = script
        self.counts = Counts()
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Meet requests with other faults from now on; `first` counts from here again."""
        self.faults = faults
        self._ladder = faults.ladder()
        self._first = list(reversed(faults.first))
        self._rate = Bucket(faults.requests_per_minute) if faults.requests_per_minute else None

    def read(self, wire: Wire, headers: Mapping[str, str], body: bytes) -> ChatRequest:
        """Count and read a request. Raises Refused with 400, 401 or 404 if it is not served."""
        self.counts.requests += 1
        self.check_key(wire, headers)
        asked = wire.read(body)
        if self.settings.models and asked.model not in self.settings.models:
            raise ErrorReply(404, "invalid_request_error", f"The model '{asked.model}' does not exist.")
        if self.faults.refuse_json and asked.wants_json:
            raise ErrorReply(400, "invalid_request_error", "'response_format' is not supported with this model.")
        if self.faults.refuse_schema and asked.schema is not None:
            raise ErrorReply(400, "invalid_request_error", "'response_format' of type 'json_schema' is not supported.")
        return asked

    def check_key(self, wire: Wire, headers: Mapping[str, str]) -> None:
        """Raise Refused with 401 if the server has a key and the request has not."""
        if self.settings.api_key and wire.key(headers) != self.settings.api_key:
            raise ErrorReply(401, "invalid_request_error", "The API key is not valid.")

    def check_load(self) -> None:
        """Raise Refused with 429 if too many requests are in flight or come too fast."""
        if self.faults.capacity and self.counts.in_flight > self.faults.capacity:
            self.counts.faults["capacity"] += 1
            raise ErrorReply(429, "rate_limit_error", f"More than {self.faults.capacity} requests are in flight.")
        if self._rate is not None and not self._rate.take():
            self.counts.faults["requests_per_minute"] += 1
            raise ErrorReply(429, "rate_limit_error", f"More than {self._rate.limit} requests a minute.")

    def draw(self, asked: ChatRequest) -> Ticket:
        """Draw the fate of a request that is served."""
        digest = asked.digest()
        fate = self._fate(digest, self.counts.seen(digest))
        if fate is not None:
            self.counts.faults[fate] += 1
        return Ticket(asked, fate, self.counts.requests)

    def limits(self, wire: Wire) -> dict[str, str]:
        """The rate-limit headers of a response as things stand."""
        return wire.limit_headers(*self._rate.state()) if self._rate is not None else {}

    def reply(self, ticket: Ticket) -> ServedReply:
        """Write the reply of a request, and bill it. Raises Refused if its schema cannot be filled."""
        reply = reply_to(ticket.asked, self.settings, self.script, ticket.fate)
        self.counts.bill(reply.input_tokens, reply.output_tokens)
        return reply

    def _fate(self, digest: bytes, attempt: int) -> Fault | None:
        if self._first:
            chosen = self._first.pop()
            return None if chosen == "none" else chosen
        if not self._ladder:
            return None
        salt = f"{self.settings.seed}/{attempt}".encode()
        drawn = int.from_bytes(hashlib.blake2b(digest + salt, digest_size=8).digest()) / 2**64
        return next((name for end, name in self._ladder if drawn < end), None)


class Bucket:
    """A token bucket that holds one second's worth of requests, one at least, and refills all the time."""

    def __init__(self, per_minute: float) -> None:
        self.limit = math.ceil(per_minute)
        self._rate = per_minute / 60
        self._size = max(1.0, self._rate)
        self._level = self._size
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one request out, if there is one."""
        self._refill()
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def state(self) -> tuple[int, int, float]:
        """The limit a minute, what may be sent now, and the seconds until the bucket is full."""
        self._refill()
        return self.limit, int(self._level), (self._size - self._level) / self._rate

    def _refill(self) -> None:
        now = time.monotonic()
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
