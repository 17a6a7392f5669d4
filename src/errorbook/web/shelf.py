"""The runs below a folder as books to read: found, listed newest first, and kept ready while somebody reads them.

A ledger that is damaged, locked, deleted or of another version is a book with a problem, and breaks nothing else.
It only reads; what is derived from a ledger lies in memory, or in the cache of `catalogue`.
"""

from __future__ import annotations

import os
import string
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from errorbook.errors import LedgerError, UserError
from errorbook.ledger.liveness import changed, pulse
from errorbook.ledger.watch import LEDGER, Memory, Signature, signature, snapshot, version
from errorbook.report.build import build
from errorbook.report.status import Status, at_this_moment, glance
from errorbook.web.kept import Keeper, Kept

if TYPE_CHECKING:
    from errorbook.ledger.file import Ledger
    from errorbook.report.records import Report
    from errorbook.web.catalogue.index import Catalogue

T = TypeVar("T")

DEEPEST = 4
PLAIN = frozenset(string.ascii_letters + string.digits + "._-")
SCAN_EVERY = 1.0
IN_USE = 30.0
MOST = 8
"""Seconds that a list of runs is good for; seconds that a book is in use after the last look; books kept ready."""


class Book:
    """One run as its readers see it. Any thread may ask it anything."""

    def __init__(self, slug: str, folder: Path, keeper: Keeper) -> None:
        self.slug, self.folder = slug, folder
        self._keeper = keeper
        self._lock = threading.RLock()
        self._seen: tuple[Signature, int] | None = None
        self._looked, self._moved = 0.0, 0
        self._reports: dict[str, Kept[Report]] = {}
        self._status = self._new_status()
        self._catalogue: Catalogue | None = None

    @contextmanager
    def reading(self) -> Iterator[Ledger]:
        """A read-only ledger for this thread, in which nothing changes while it is open; raises LedgerError."""
        with snapshot(self.folder) as ledger:
            yield ledger

    def version(self) -> int:
        """A number that grows with every commit to the ledger; raises LedgerError where it cannot be read."""
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
            shown = sum(kept.shown() for kept in self._kept())
            return f"{self.version()}.{shown}.{self._moved}.{int(pulse(self.folder).running)}"
        except UserError:
            return "unreadable"

    def followed(self) -> str:
        """The stamp, for a page that stays open: which keeps the book fresh."""
        self.look()
        return self.stamp()

    def problem(self) -> str:
        """Why this book cannot be read, as a sentence, or nothing where it can."""
        try:
            self.status()
        except UserError as error:
            return str(error)
        return ""

    def changed(self) -> float:
        """When it was last written to, in seconds of the unix clock."""
        return changed(self.folder)

    def status(self) -> Status:
        """Where the run stands, read no more often than `kept` allows; without the costs by kind."""
        self.look()
        return at_this_moment(self._status.get(), self.folder)

    def report(self, control: Book | None = None) -> Report:
        """The run's report, against a control run where one is given; perhaps a little older than the ledger."""
        self.look()
        return self._report(control).get()

    def behind(self, control: Book | None = None) -> float:
        """How many seconds the numbers of `report` are older than the ledger; 0 where they are not."""
        return self._report(control).behind()

    @property
    def catalogue(self) -> Catalogue:
        """The index of its questions and drafts, which the background thread keeps fresh."""
        from errorbook.web.catalogue.index import Catalogue

        with self._lock:
            if self._catalogue is None:
                made = Catalogue.open(self.folder / LEDGER)
                made.refresh(0.2)
                self._catalogue = made
        self.look()
        return self._catalogue

    # the background thread's side -------------------------------------------------------------------------------

    def look(self) -> None:
        """Somebody reads this book: keep it fresh for a while."""
        self._looked = time.monotonic()
        self._keeper.watch(self)

    def in_use(self) -> bool:
        """Whether somebody looked at it lately."""
        return time.monotonic() - self._looked < IN_USE

    def renew(self) -> bool:
        """Renew a report that is due and go on with the catalogue; return whether there is more to do soon."""
        try:
            # The catalogue first: a large run's report takes seconds, for which the lists would stand still.
            more = self._catalogue is not None and self._renew_catalogue(self._catalogue)
            for kept in self._kept():
                if kept.due():
                    kept.renew()
            return more
        except UserError:
            return False  # the pages say what is wrong when they are asked for

    def forget(self) -> None:
        """Drop what can be made again."""
        with self._lock:
            self._reports.clear()
            self._status = self._new_status()
            self._catalogue = None

    def _new_status(self) -> Kept[Status]:
        memory = Memory()
        return Kept(lambda: self._made(lambda ledger: glance(ledger, memory)), self.version)

    def _kept(self) -> list[Kept[Any]]:
        return [self._status, *list(self._reports.values())]

    def _renew_catalogue(self, catalogue: Catalogue) -> bool:
        before = catalogue.progress()
        complete = catalogue.refresh(0.3)
        if catalogue.progress() != before:
            self._moved += 1
        return not complete

    def _report(self, control: Book | None) -> Kept[Report]:
        def make() -> tuple[int, Report]:
            if control is None:
                return self._made(build)
            with control.reading() as other:
                of, report = self._made(lambda ledger: build(ledger, other))
                return of + version(other), report

        def newest() -> int:
            return self.version() + (control.version() if control else 0)

        with self._lock:
            return self._reports.setdefault(control.slug if control else "", Kept(make, newest))

    def _made(self, make: Callable[[Ledger], T]) -> tuple[int, T]:
        with self.reading() as ledger:
            return version(ledger), make(ledger)


class Shelf:
    """All books below a folder; the folder itself may be one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._keeper = Keeper()
        self._lock = threading.Lock()
        self._books: dict[str, Book] = {}
        self._scanned = 0.0
        self._ready: dict[str, Book] = {}

    def books(self) -> list[Book]:
        """Every run below the folder, the one that was written to last first."""
        return sorted(self._scan().values(), key=lambda book: (-book.changed(), book.slug))

    def book(self, slug: str) -> Book | None:
        """The book of this name, or None. Names are looked up, never made into paths."""
        book = self._books.get(slug) or self._scan(anew=True).get(slug)
        if book is not None:
            self._keep_ready(book)
        return book

    def stamp(self) -> str:
        """As of a book, for all of them: it changes when one is written to, begun or deleted."""
        seen = [(slug, signature(book.folder)) for slug, book in self._scan().items()]
        return blake2b(repr(sorted(seen)).encode(), digest_size=8).hexdigest()

    def close(self) -> None:
        """Stop the background thread."""
        self._keeper.stop()

    def _scan(self, *, anew: bool = False) -> dict[str, Book]:
        with self._lock:
            if anew or not self._scanned or time.monotonic() - self._scanned > SCAN_EVERY:
                found = slugs(self.root)
                known = self._books
                self._books = {
                    slug: known[slug] if slug in known else Book(slug, folder, self._keeper)
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


def slugs(root: Path) -> dict[str, Path]:
    """The run folders below a folder by name: the path from there with `~` for each separator.

    A name is safe in any address as it stands: every other byte than those of plain names is written as `=XX`, so two
    folders never share one.
    """
    named: dict[str, Path] = {}
    for folder in _run_folders(root):
        parts = folder.relative_to(root).parts or (folder.resolve().name,)
        named["~".join(_plain_name(part) for part in parts)] = folder
    return named


def _plain_name(part: str) -> str:
    return "".join(chr(byte) if chr(byte) in PLAIN else f"={byte:02X}" for byte in os.fsencode(part))


def _run_folders(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root):
        if LEDGER in names:
            folders.clear()
            yield Path(parent)
        elif len(Path(parent).relative_to(root).parts) >= DEEPEST:
            folders.clear()
