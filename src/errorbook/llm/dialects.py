"""What an endpoint's server was found to understand, kept in the store so that each endpoint is probed once."""

from __future__ import annotations

import msgspec

from errorbook.llm.endpoint import Dialect, Endpoint
from errorbook.llm.records import Ask
from errorbook.llm.store import Store
from errorbook.records import digest


class Dialects:
    """The dialect that requests to one endpoint are written in now."""

    def __init__(self, endpoint: Endpoint, store: Store) -> None:
        self._endpoint = endpoint
        self._store = store
        self._name = f"dialect {digest(endpoint.identity)}"
        known = store.fact(self._name)
        self.current = msgspec.json.decode(known, type=Dialect) if known else Dialect()

    def refused(self, used: Dialect, body: bytes, ask: Ask) -> bool:
        """After a refusal that `concerns_form`: whether another dialect may help; it is the current one then."""
        if used != self.current:
            return True
        other = self._endpoint.adapt(used, body, ask)
        if other is None:
            return False
        self.current = other
        self._store.remember(self._name, msgspec.json.encode(other).decode())
        return True


def concerns_form(status: int, body: bytes) -> bool:
    """Whether a refusal may be about how a request is put.

    A server that fails with a chat template's own refusal (llama.cpp's does) calls it an error of the server.
    """
    return status in {400, 422} or (status == 500 and b"system" in body.lower() and b"role" in body.lower())
