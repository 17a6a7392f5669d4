"""What an endpoint's server was found to understand, kept in the store so that each endpoint is probed once."""

from __future__ import annotations

import msgspec

from errorbook.llm.endpoint import Dialect, Endpoint
from errorbook.llm.faults import is_unlucky
from errorbook.llm.records import Ask
from errorbook.llm.refusals import is_about_key, is_throttled, is_unpaid, read_complaint
from errorbook.llm.store import Store
from errorbook.records import digest


class Dialects:
    """The dialect that requests to one endpoint are written in now."""

    def __init__(self, endpoint: Endpoint, store: Store) -> None:
        self._endpoint = endpoint
        self._store = store
        self._name = f"dialect {digest(endpoint.identity)}"
        known = store.fact(self._name)
        self._learnt = msgspec.json.decode(known, type=Dialect) if known else Dialect()
        self.current = self._proved = msgspec.structs.replace(self._learnt, **endpoint.dialect)
        self._answered = False
        self._doubted: set[str] = set()

    def landed(self, used: Dialect) -> None:
        """A reply came to a request in this dialect: it is remembered."""
        self._answered = True
        if used == self.current != self._proved:
            self._proved = used
            # What the user says is no lesson: a switch that is taken out of the run file is out again.
            told = {name: getattr(self._learnt, name) for name in self._endpoint.dialect}
            self._learnt = msgspec.structs.replace(used, **told)
            self._store.remember(self._name, msgspec.json.encode(self._learnt).decode())

    def refused(self, used: Dialect, body: bytes, ask: Ask) -> bool:
        """After a refusal that `concerns_form`: whether to send again, in the dialect that is current then.

        One that has worked is doubted only if it is refused twice for the same request, and one that did not help is
        taken back.
        """
        if used != self.current:
            return True
        other = self._endpoint.adapt(used, body, ask)
        if other is None:
            self.current = self._proved
            return False
        if self._answered and used == self._proved and ask.hash not in self._doubted:
            self._doubted.add(ask.hash)
            return True
        self.current = other
        return True


def concerns_form(status: int, body: bytes) -> bool:
    """Whether a refusal may be about how a request is put.

    A server that fails with a chat template's own refusal (llama.cpp's does) calls it an error of the server.
    """
    complaint = read_complaint(body)
    if is_unlucky(status, body) or is_unpaid(complaint) or is_about_key(complaint) or is_throttled(complaint):
        return False
    said = body.lower()
    of_roles = (b"system" in said and b"role" in said) or b"roles must alternate" in said
    return status in {400, 422} or (status == 500 and of_roles)
