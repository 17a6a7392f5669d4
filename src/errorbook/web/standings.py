"""Where each run on the shelf stands, read again only where its ledger changed, and only what changed in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from errorbook.ledger_glance import Memory
from errorbook.ledger_watch import version
from errorbook.status import Status, at_this_moment, glance
from errorbook.web.kept import Kept

if TYPE_CHECKING:
    from errorbook.web.shelf import Book

MOST = 1000
"""Runs that are remembered."""


class Standings:
    """The statuses of books by their folder. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Kept[Status]] = {}

    def of(self, book: Book) -> Status:
        """Where the run stands at this moment; raises LedgerError where it cannot be read."""
        kept = self._kept(book)
        if kept.due():
            kept.renew()
        return at_this_moment(kept.get(), book.folder)

    def _kept(self, book: Book) -> Kept[Status]:
        with self._lock:
            name = f"{book.slug}\n{book.folder}"
            if name not in self._known:
                if len(self._known) >= MOST:
                    self._known.pop(next(iter(self._known)))
                self._known[name] = _reader(book)
            return self._known[name]


def _reader(book: Book) -> Kept[Status]:
    memory = Memory()

    def make() -> tuple[int, Status]:
        with book.reading() as ledger:
            return version(ledger), glance(ledger, memory)

    return Kept(make, book.version)
