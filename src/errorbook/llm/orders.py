"""One request on its way: who wants it, how far it is, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from errorbook.llm import faults
from errorbook.llm.budget import NOTHING
from errorbook.llm.endpoint import Dialect, Endpoint, Reply, Request
from errorbook.llm.http import HttpLimits
from errorbook.llm.records import Ask
from errorbook.llm.store import StoredReply

PATIENCE = 120.0
"""Seconds: the usual limit of a provider is by the minute, so whoever waits for two of them is answered."""


class Terms(NamedTuple):
    """How hard to try, with one request and with an endpoint.

    `attempts` are for a request that fails while others are answered; after `patience` seconds of nothing but failures
    the endpoint is given up. `first_wait` is the back-off after one failure, in seconds; it doubles each time.
    `proxies` uses those of the environment, `authorities` is a file of certificates to trust. `poll` is the seconds
    between two looks at batches under way.
    """

    attempts: int = 8
    patience: float = PATIENCE
    first_wait: float = 0.25
    limits: HttpLimits = HttpLimits()
    proxies: bool = False
    authorities: str = ""
    poll: float = 30.0


class Bought(NamedTuple):
    """A reply, now in the store, and what it cost."""

    reply: Reply
    cost_nano: int
    cached: bool


class Unbought(NamedTuple):
    """No reply, for a reason that concerns this request alone; `lasting` if asking again would end in the same way."""

    reason: str
    lasting: bool = False


class Stopped(NamedTuple):
    """No reply, because of something that ends all work: a budget, a key, a disk, a fault of the program."""

    error: BaseException


Outcome = Bought | Unbought | Stopped


_NO_REQUEST = Request("", b"")


class OrderGroup:
    """The orders of one caller; `halted` means that nothing of it is to be sent any more."""

    def __init__(self) -> None:
        self.halted = False


class Order:
    """One request to buy, by one caller or several; each one's `deliver` is called once, in any thread."""

    def __init__(self, key: str, ask: Ask, group: OrderGroup, deliver: Callable[[Outcome], None]) -> None:
        self.key = key
        self.ask = ask
        self.buyers = [(group, deliver)]
        self.failures = 0
        self.alone = 0
        self.failed_at = 0.0
        self.request = Request("", b"")
        self.dialect = Dialect()
        self.refused = False
        self.first_refusal = ""
        self.landed = False
        self.reserved = NOTHING

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(group.halted for group, _ in self.buyers)

    def end(self, outcome: Outcome) -> None:
        """Deliver the outcome to everybody who waits for it; one that stops the work stops all of theirs."""
        for group, deliver in self.buyers:
            group.halted = group.halted or isinstance(outcome, Stopped)
            deliver(outcome)


def read_outcome(endpoint: Endpoint, kept: StoredReply) -> Outcome:
    """A stored reply as an outcome."""
    try:
        return Bought(endpoint.read(kept.body), kept.cost_nano, cached=True)
    except faults.Fault as fault:
        return Unbought(f"The stored reply cannot be read: {fault.reason}.", lasting=True)
