"""The runs below a folder as books to read: found, listed newest first, and kept ready while somebody reads them.

A ledger that is damaged, locked, deleted or of another version is a book with a problem, and breaks nothing else.
`freshness` says how old what a book shows may be.
"""

from __future__ import annotations

import os
import string
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from errorbook.errors import LedgerError, UserError
from errorbook.experiment.results import RESULTS
from errorbook.ledger.liveness import changed, read_pulse
from errorbook.ledger.schema import LEDGER
from errorbook.ledger.watch import Signature, run_folders, signature, snapshot, stat, version
from errorbook.report.build import build
from errorbook.report.status import Status, read_status_quickly, renew_status
from errorbook.web.freshness import Kept, Renewal

if TYPE_CHECKING:
    from errorbook.ledger.file import Ledger
    from errorbook.report.records import Report
    from errorbook.web.catalogue.index import Catalogue

T = TypeVar("T")

PLAIN = frozenset(string.ascii_letters + string.digits + "._-")
SCAN_EVERY = 1.0
FIRST_STEP, STEP = 0.2, 0.3
PATIENCE = 1.0
MOST = 8
"""Seconds that a list of runs is good for; seconds of the first and of each later step towards a whole index, and
that the first page waits at most for the first one; books kept ready."""


class Book:
    """One run as its readers see it. Any thread may ask it anything."""

    def __init__(self, slug: str, folder: Path, renewal: Renewal) -> None:
        self.slug, self.folder = slug, folder
        self._renewal = renewal
        self._seen: tuple[Signature, int] | None = None
        self._lock = threading.RLock()
        self._values: dict[str, Kept[Any]] = {}
        self._index: Catalogue | None = None

    @contextmanager
    def reading(self) -> Iterator[Ledger]:
        """A read-only ledger for this thread, in which nothing changes while it is open; raises LedgerError."""
        with snapshot(self.folder) as ledger:
            yield ledger

    def version(self) -> int:
        """A number that grows with every commit to the ledger; raises LedgerError if it cannot be read."""
        now = signature(self.folder)
        if now is None:
            self.forget()
            raise LedgerError(f"The ledger of '{self.slug}' is gone: there is no '{self.folder / LEDGER}' any more.")
        seen = self._seen
        if seen is None or seen[0] != now:
            with self.reading() as ledger:
                found = (now, version(ledger))
            if seen is not None and (seen[0].file[0] != now.file[0] or found[1] < seen[1]):
                self.forget()  # another ledger lies in the old one's place
            self._seen = seen = found
        return seen[1]

    def stamp(self) -> str:
        """What a page of this book depends on, as one word: it changes when looking again shows something new."""
        try:
            shown = sum(kept.shown() for kept in list(self._values.values()))
            index = self._index.version() if self._index else 0
            return f"{self.version()}.{shown}.{index}.{int(read_pulse(self.folder).running)}"
        except UserError:
            return "unreadable"

    def tend(self) -> None:
        """Let what is kept of this book be renewed: a page of it is open."""
        with suppress(UserError):  # the pages say what is wrong when they are asked for
            for kept in list(self._values.values()):
                self._renewal.tend(kept)

    def status(self, patience: float | None = None) -> Status | None:
        """Where the run stands, without the costs by kind; None if that is not known within so many seconds."""
        status = self._renewal.get(self._kept("status", lambda: self._read(read_status_quickly)), patience)
        return renew_status(status, self.folder) if status else None

    def report(self, control: Book | None = None, patience: float | None = None) -> Report | None:
        """The run's report, against a control run if one is given; None if it is not made within so many seconds."""
        return self._renewal.get(self._report(control), patience)

    def behind(self, control: Book | None = None) -> float:
        """How many seconds the numbers of `report` are older than the ledger; 0 if they are not."""
        return self._report(control).behind()

    @property
    def catalogue(self) -> Catalogue:
        """The index of its questions and drafts; see its `progress`."""
        from errorbook.web.catalogue.index import Catalogue

        with self._lock:
            new = self._index is None
            index = self._index = self._index or Catalogue.open(self.folder)

        def step() -> Catalogue | None:
            return index if index.refresh(STEP if any(index.progress()) else FIRST_STEP) else None

        kept = self._kept("index", step, grows=True)
        self._renewal.get(kept, PATIENCE if new else 0.0)
        return index

    def forget(self) -> None:
        """Drop what can be made again."""
        with self._lock:
            self._values.clear()
            index, self._index = self._index, None
        if index is not None:
            index.close()

    def _kept(
        self, name: str, make: Callable[[], T | None], version: Callable[[], int] | None = None, *, grows: bool = False
    ) -> Kept[T]:
        with self._lock:
            return self._values.setdefault(name, Kept(make, version or self.version, grows=grows))

    def _report(self, control: Book | None) -> Kept[Report]:
        if control is None:
            return self._kept("report", lambda: self._read(build))

        def make() -> Report:
            with control.reading() as other:
                return self._read(lambda ledger: build(ledger, other))

        return self._kept(f"report {control.slug}", make, lambda: self.version() + control.version())

    def _read(self, make: Callable[[Ledger], T]) -> T:
        with self.reading() as ledger:
            return make(ledger)


class Shelf:
    """All books below a folder; the folder itself may be one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._renewal = Renewal()
        self._lock = threading.Lock()
        self._books: dict[str, Book] = {}
        self._scanned = 0.0
        self._ready: dict[str, Book] = {}

    def books(self) -> list[Book]:
        """Every run below the folder, the one that was written to last first."""
        return sorted(self._scan().values(), key=lambda book: (-changed(book.folder), book.slug))

    def book(self, slug: str) -> Book | None:
        """The book of this name, or None. Names are looked up, never made into paths."""
        book = self._books.get(slug) or self._scan(anew=True).get(slug)
        if book is not None:
            self._keep_ready(book)
        return book

    def stamp(self) -> str:
        """As of a book, for all: it changes when one, or the results of some, is written to, begun or deleted."""
        books = self._scan()
        seen = [(slug, signature(book.folder)) for slug, book in books.items()]
        results = {book.folder.parent / RESULTS for book in books.values()}
        made = [(str(file), stat(file)) for file in results]
        return blake2b(repr((sorted(seen), sorted(made, key=str))).encode(), digest_size=8).hexdigest()

    def close(self) -> None:
        """Stop the thread and close what is open."""
        self._renewal.stop()
        for book in self._books.values():
            book.forget()

    def _scan(self, *, anew: bool = False) -> dict[str, Book]:
        with self._lock:
            if anew or not self._scanned or time.monotonic() - self._scanned > SCAN_EVERY:
                found = find_runs(self.root)
                known = self._books
                self._books = {
                    slug: known[slug] if slug in known else Book(slug, folder, self._renewal)
                    for slug, folder in found.items()
                }
                self._scanned = time.monotonic()
            return self._books

    def _keep_ready(self, book: Book) -> None:
        """Remember it as the one read last; of those read longest ago, drop what can be made again."""
        with self._lock:
            self._ready.pop(book.slug, None)
            self._ready[book.slug] = book
            while len(self._ready) > MOST:
                self._ready.pop(next(iter(self._ready))).forget()


def find_runs(root: Path) -> dict[str, Path]:
    """The run folders below a folder by name: the path from there with `~` for each separator.

    A name is safe in any address as it stands: every other byte than those of plain names is written as `=XX`, so two
    folders never share one.
    """
    named: dict[str, Path] = {}
    for folder in run_folders(root):
        named[name_folder(root, folder)] = folder
    return named


def name_folder(root: Path, folder: Path) -> str:
    """What a folder is called in addresses: see `find_runs`."""
    parts = folder.relative_to(root).parts or (folder.resolve().name,)
    return "~".join(_plain_name(part) for part in parts)


def _plain_name(part: str) -> str:
    return "".join(chr(byte) if chr(byte) in PLAIN else f"={byte:02X}" for byte in os.fsencode(part))
