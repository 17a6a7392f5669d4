"""A derived index of one ledger, for lists that are filtered, searched and paged quickly, while a run goes on.

It says nothing that the ledger does not say: everything in it can be made again, and is, where its file in the cache
folder is deleted, damaged or of another ledger. It is filled a portion at a time and can be read from the first.
Words are found as a whole, the last one by its beginning; a language that is written without spaces is found by the
beginning of its phrases only.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

from msgspec.structs import replace

from errorbook.errors import LedgerError
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.schema import explain
from errorbook.web.catalogue.filling import Filling, is_done, progress
from errorbook.web.catalogue.paging import Band, Found, Place, leaf, mark, walk
from errorbook.web.catalogue.parts import (
    DRAFT_SORTS,
    ITEM_SORTS,
    Count,
    DraftFacets,
    DraftFilter,
    DraftPage,
    DraftRow,
    Facets,
    Item,
    ItemFilter,
    ItemId,
    ItemPage,
)
from errorbook.web.catalogue.reading import (
    Overview,
    draft_bands,
    draft_facets,
    draft_groups,
    draft_rows,
    item_at,
    item_band,
    item_bands,
    item_facets,
    item_groups,
    item_rows,
    overview,
    version_of,
)
from errorbook.web.catalogue.schema import clear, has_full_text, prepare, search, transaction
from errorbook.web.catalogue.store import Store

__all__ = [
    "DRAFT_SORTS",
    "ITEM_SORTS",
    "Catalogue",
    "Count",
    "DraftFacets",
    "DraftFilter",
    "DraftPage",
    "DraftRow",
    "Facets",
    "Item",
    "ItemFilter",
    "ItemId",
    "ItemPage",
]


T = TypeVar("T")
_REMEMBERED = 32  # counts and orders that are kept while nothing changes
_LARGEST = 500  # rows of a page
_CATCHING_UP = 0.05  # seconds that a reader may be kept for what is new
_MEMORY = 16384  # KiB of the ledger that are kept while it is read once from end to end


class Catalogue:
    """The index of one ledger. Safe to share between threads.

    `refresh` fills it and is called now and then until it returns True, best by a thread in the background; from then
    on readers take in what is new themselves.
    """

    def __init__(self, ledger: Path, store: Store) -> None:
        self._ledger, self._store = ledger, store
        self._guard = threading.Lock()
        self._overview = Overview(-1, {}, frozenset(), {}, {})
        self._counted: OrderedDict[object, object] = OrderedDict()
        self._upto: tuple[int, ...] | None = None

    @classmethod
    def open(cls, ledger: Path, folder: Path | None = None, full_text: bool = True) -> Catalogue:
        """The catalogue of this ledger file (or run folder); empty until `refresh` has brought it up to the ledger.

        Args:
            ledger: The ledger's file, or the folder of its run.
            folder: Where catalogues are kept; by default in the user's cache folder.
            full_text: Whether words are indexed where SQLite can; without, searches read every text.
        """
        from errorbook.files import cache_root

        path = Path(ledger)
        path = path / "ledger.sqlite" if path.is_dir() else path
        return cls(path, Store(path, folder or cache_root() / "catalogues", full_text))

    def close(self) -> None:
        """Close its files. Threads that still read from it may go on to the end of their question."""
        self._store.close()

    # filling ----------------------------------------------------------------------------------------------------

    def refresh(self, seconds: float = 0.5) -> bool:
        """Bring it up to the ledger, for about that long; True when nothing is left to do.

        Where another process is at it, this one leaves it to that one.

        Raises:
            LedgerError: The ledger is gone or damaged, or holds no run of this version of Errorbook.
        """
        deadline, before = monotonic() + seconds, _stamp(self._ledger)
        done = self._tried(lambda: self._refresh(deadline))
        if done:
            self._upto = before
        return done

    def _refresh(self, deadline: float) -> bool:
        with open_ledger(self._ledger) as ledger, self._store.filling() as sql:
            ledger.connection.execute(f"PRAGMA cache_size = -{_MEMORY}")
            ledger.connection.execute("BEGIN")  # one state of the ledger, whatever a run appends
            if sql is None:
                with self._store.reading() as known:
                    return is_done(known, ledger)
            if is_done(sql, ledger):
                return True
            filling = self._begun(ledger, sql)
            more = True
            while more:
                with transaction(sql):
                    more = filling.portion()
                if monotonic() > deadline:
                    break
            return not more or is_done(sql, ledger)

    def _begun(self, ledger: Ledger, sql: sqlite3.Connection) -> Filling:
        filling = Filling(ledger, sql)
        if not filling.fits():
            clear(sql)
            prepare(sql, self._store.full_text)
            filling = Filling(ledger, sql)
        with transaction(sql):
            filling.begin()
        return filling

    def progress(self) -> tuple[int, int]:
        """How much is in it, of how much there is: questions and records. Equal when it is up to the ledger."""
        return self._asked(progress)

    def version(self) -> int:
        """A number that every change of the catalogue makes larger."""
        return self._asked(version_of)

    # items ------------------------------------------------------------------------------------------------------

    def items(self, filter: ItemFilter, sort: str = "id", after: str = "", size: int = 50) -> ItemPage:
        """One page of the items, from the start or from a cursor (`before` or `after` of another page)."""
        sort = _sort(sort, ITEM_SORTS)

        def read(sql: sqlite3.Connection) -> ItemPage:
            known, counts = self._state(sql), self._counts(sql, "item", filter.text)
            bands = self._item_bands(known, filter, sort)
            found = leaf(sql, bands, sort, after, _size(size), _matched(counts))
            rows = item_rows(sql, known, found.rows)
            return ItemPage(items=rows, total=_total(bands, counts), before=found.before, after=found.after)

        return self._asked(read)

    def item(self, id: ItemId) -> Item | None:
        """One item, or None."""

        def read(sql: sqlite3.Connection) -> Item | None:
            known = self._state(sql)
            row = item_at(sql, known, id)
            return next(iter(item_rows(sql, known, [Found(row[0], Place((), ()))])), None) if row else None

        return self._asked(read)

    def item_facets(self, filter: ItemFilter) -> Facets:
        """What each choice would leave."""

        def read(sql: sqlite3.Connection) -> Facets:
            known = self._state(sql)
            return self._kept(
                (known.version, filter), lambda: item_facets(known, filter, self._counts(sql, "item", filter.text))
            )

        return self._asked(read)

    def neighbours(self, filter: ItemFilter, sort: str, id: ItemId) -> tuple[ItemId | None, ItemId | None]:
        """The items before and after this one in the list, whether or not the filter lets it through itself."""
        before, after = self._beside(filter, sort, id, (True, False))
        return before, after

    def next_broken(self, filter: ItemFilter, sort: str, id: ItemId) -> ItemId | None:
        """The next item of the list that was right at first and is not at the end, after this one."""
        if filter.fate not in ("", "broken"):
            return None
        return self._beside(replace(filter, fate="broken"), sort, id, (False,))[0]

    def _beside(self, filter: ItemFilter, sort: str, id: ItemId, ways: tuple[bool, ...]) -> list[ItemId | None]:
        """The item next to this one, before it for each way that is True, after it for each that is not."""
        sort = _sort(sort, ITEM_SORTS)

        def read(sql: sqlite3.Connection) -> list[ItemId | None]:
            known, counts = self._state(sql), self._counts(sql, "item", filter.text)
            row = item_at(sql, known, id)
            if row is None:
                return [None] * len(ways)
            number, group = row
            bands = self._item_bands(known, filter, sort)
            keys = item_bands([group], sort)[0].order.keys
            query = f"SELECT {', '.join(keys)} FROM items WHERE id = ?"  # noqa: S608 - names of columns
            place = Place(item_band(group, sort), tuple(sql.execute(query, (number,)).fetchone()))
            down = sort.startswith("-")
            found = [walk(sql, bands, place, down != back, 1, _matched(counts)) for back in ways]
            return [next((item.id for item in item_rows(sql, known, rows)), None) for rows in found]

        return self._asked(read)

    def _item_bands(self, known: Overview, filter: ItemFilter, sort: str) -> list[Band]:
        wanted, name = replace(filter, text=""), sort.removeprefix("-")
        return self._kept((known.version, wanted, name), lambda: item_bands(item_groups(known, wanted), name))

    # drafts -----------------------------------------------------------------------------------------------------

    def drafts(self, filter: DraftFilter, sort: str = "newest", after: str = "", size: int = 50) -> DraftPage:
        """One page of the drafts, as `items`."""
        sort = {"oldest": "-newest", "-oldest": "newest"}.get(sort, _sort(sort, DRAFT_SORTS))

        def read(sql: sqlite3.Connection) -> DraftPage:
            known, counts = self._state(sql), self._counts(sql, "draft", filter.text)
            bands = draft_bands(draft_groups(known, filter), sort)
            found = leaf(sql, bands, sort, after, _size(size), _matched(counts))
            rows = draft_rows(sql, known, found.rows)
            return DraftPage(drafts=rows, total=_total(bands, counts), before=found.before, after=found.after)

        return self._asked(read)

    def draft_facets(self, filter: DraftFilter) -> DraftFacets:
        """What each choice would leave."""

        def read(sql: sqlite3.Connection) -> DraftFacets:
            known = self._state(sql)
            return self._kept(
                (known.version, filter), lambda: draft_facets(known, filter, self._counts(sql, "draft", filter.text))
            )

        return self._asked(read)

    # what is shared ---------------------------------------------------------------------------------------------

    def _asked(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` finds in one state of the catalogue.

        A catalogue that was up to its ledger takes in the little that came since, so that nobody waits for `refresh`.
        """
        if self._upto is not None and self._upto != _stamp(self._ledger):
            with suppress(LedgerError):  # what is known can be read all the same
                self.refresh(_CATCHING_UP)

        def question() -> T:
            with self._store.reading() as sql:
                return read(sql)

        return self._tried(question)

    def _tried(self, work: Callable[[], T]) -> T:
        """What `work` returns; where the file of the catalogue is damaged, what it returns with a new one."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if not self._store.mend(error):
                raise explain(error, self._ledger) from error
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self._ledger) from error

    def _state(self, sql: sqlite3.Connection) -> Overview:
        with self._guard:
            if self._overview.version != version_of(sql):
                self._overview = overview(sql)
            return self._overview

    def _counts(self, sql: sqlite3.Connection, what: str, text: str) -> dict[int, int] | None:
        """How many rows of each group a search finds; None where nothing is searched for."""
        found = search(f"{what}_search", text, has_full_text(sql))
        if found is None:
            return None
        version = version_of(sql)
        mark(sql, found, f"{what}_search", version)
        query = f"SELECT grp, count(*) FROM matched JOIN {what}s USING (id) GROUP BY grp"  # noqa: S608 - two fixed words
        return self._kept((version, what, text), lambda: dict(sql.execute(query).fetchall()))

    def _kept(self, key: object, make: Callable[[], T]) -> T:
        with self._guard:
            if key in self._counted:
                self._counted.move_to_end(key)
                return self._counted[key]  # type: ignore[return-value]
        made = make()
        with self._guard:
            self._counted[key] = made
            while len(self._counted) > _REMEMBERED:
                self._counted.popitem(last=False)
        return made


def _stamp(path: Path) -> tuple[int, ...]:
    """What the file system says of a ledger; it changes with every commit."""
    found: list[int] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            known = file.stat()
            found += (known.st_ino, known.st_size, known.st_mtime_ns)
    return tuple(found)


def _sort(sort: str, known: tuple[str, ...]) -> str:
    """A sort that there is; the first where there is none of this name."""
    return sort if sort.removeprefix("-") in known else known[0]


def _size(size: int) -> int:
    return min(max(size, 1), _LARGEST)


def _matched(counts: dict[int, int] | None) -> int | None:
    return None if counts is None else sum(counts.values())


def _total(bands: list[Band], counts: dict[int, int] | None) -> int:
    if counts is None:
        return sum(band.n for band in bands)
    return sum(counts.get(group, 0) for band in bands for group in band.groups)
