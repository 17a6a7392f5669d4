"""A derived index of one ledger, for lists that are filtered, searched and paged quickly, while a run goes on.

It says nothing that the ledger does not say: everything in it can be made again, and is, if its file in the cache
folder is deleted, damaged or of another ledger. It is filled a portion at a time and can be read from the first.
Words are found as a whole, the last one by its beginning; a language that is written without spaces is found by the
beginning of its phrases only.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TypeVar

from msgspec.structs import replace

from errorbook.ledger.file import open_ledger
from errorbook.ledger.schema import LEDGER, explain
from errorbook.web.catalogue import lists
from errorbook.web.catalogue.filling import fill, progress
from errorbook.web.catalogue.lists import DRAFTS, ITEMS, ListPart
from errorbook.web.catalogue.records import (
    DraftFacets,
    DraftFilter,
    DraftPage,
    Facets,
    ItemFilter,
    ItemId,
    ItemPage,
)
from errorbook.web.catalogue.schema import has_full_text, read_state, search, transaction
from errorbook.web.catalogue.store import CatalogueStore

T = TypeVar("T")
_LARGEST = 500  # rows of a page
_MEMORY = 16384  # KiB of the ledger that are kept while it is read once from end to end


class Catalogue:
    """The index of one ledger. `refresh` brings it up to the ledger. Any thread may ask it anything, one at a time."""

    def __init__(self, ledger: Path, store: CatalogueStore) -> None:
        self._ledger, self._store = ledger, store
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._reads: tuple[int, int] | None = None
        self._matched: tuple[object, ...] = ()

    @classmethod
    def open(cls, run: Path, folder: Path | None = None, full_text: bool = True) -> Catalogue:
        """The catalogue of a run's ledger; empty until `refresh` has brought it up to the ledger.

        Args:
            run: The run's folder.
            folder: Where catalogues are kept; by default in the user's cache folder.
            full_text: Whether words are indexed if SQLite can; without, searches read every text.
        """
        from errorbook.files import cache_root

        ledger = run / LEDGER
        return cls(ledger, CatalogueStore(ledger, folder or cache_root() / "catalogues", full_text))

    def close(self) -> None:
        """Close its files; asked again, it opens them again."""
        with self._lock:
            self._hang_up()
        self._store.close()

    # filling ----------------------------------------------------------------------------------------------------

    def refresh(self, seconds: float = 0.5) -> bool:
        """Bring it up to the ledger, for about that long; return whether nothing is left to do.

        Raises:
            LedgerError: The ledger is gone or damaged, or holds no run of this version of Errorbook.
        """
        return self._mended(lambda: self._refresh(monotonic() + seconds))

    def _refresh(self, deadline: float) -> bool:
        with closing(self._store.connect()) as sql:
            while True:
                # The ledger inside the transaction: so it is never older than what another process has filled in.
                with transaction(sql), open_ledger(self._ledger) as ledger:
                    ledger.connection.execute(f"PRAGMA cache_size = -{_MEMORY}")
                    ledger.connection.execute("BEGIN")  # one state of the ledger, whatever a run appends
                    done = fill(ledger, sql, self._store.full_text)
                if done or monotonic() > deadline:
                    return done

    def progress(self) -> tuple[int, int]:
        """How much is in it, of how much there is: questions and records. Equal when it is up to the ledger."""
        return self._ask(progress)

    def version(self) -> int:
        """A number that every change of the catalogue makes larger."""
        return self._ask(read_state).version

    # items ------------------------------------------------------------------------------------------------------

    def items(self, filter: ItemFilter, sort: str = "id", after: str = "", size: int = 50) -> ItemPage:
        """One page of the items, from the start or from a cursor (`before` or `after` of another page)."""

        def read(sql: sqlite3.Connection) -> ItemPage:
            chosen = self._chosen_items(sql, filter, sort)
            found = lists.read_leaf(sql, chosen, after, _size(size))
            rows = lists.item_rows(sql, [row.id for row in found.rows])
            return ItemPage(items=rows, total=lists.count_rows(sql, chosen), before=found.before, after=found.after)

        return self._ask(read)

    def item_facets(self, filter: ItemFilter) -> Facets:
        """What each choice would leave."""
        return self._ask(lambda sql: lists.item_facets(sql, filter, self._search(sql, "item", filter.text)))

    def neighbours(self, filter: ItemFilter, sort: str, id: ItemId) -> tuple[ItemId | None, ItemId | None]:
        """The items before and after this one in the list, whether or not the filter lets it through itself."""
        return self._beside(filter, sort, id, back=True), self._beside(filter, sort, id, back=False)

    def next_broken(self, filter: ItemFilter, sort: str, id: ItemId) -> ItemId | None:
        """The next item of the list that was right at first and is not at the end, after this one."""
        if filter.fate not in ("", "broken"):
            return None
        return self._beside(replace(filter, fate="broken"), sort, id, back=False)

    def _beside(self, filter: ItemFilter, sort: str, id: ItemId, *, back: bool) -> ItemId | None:

        def read(sql: sqlite3.Connection) -> ItemId | None:
            number, chosen = lists.find_item(sql, id), self._chosen_items(sql, filter, sort)
            if number is None:
                return None
            found = lists.walk(sql, chosen, lists.key_of(sql, ITEMS, chosen.sort, number), back, 1)
            return lists.item_rows(sql, [found[0].id])[0].id if found else None

        return self._ask(read)

    def _chosen_items(self, sql: sqlite3.Connection, filter: ItemFilter, sort: str) -> ListPart:
        conditions = lists.item_conditions(sql, filter)
        return ListPart(ITEMS, conditions, sort, self._search(sql, "item", filter.text))

    # drafts -----------------------------------------------------------------------------------------------------

    def drafts(self, filter: DraftFilter, sort: str = "newest", after: str = "", size: int = 50) -> DraftPage:
        """One page of the drafts, as `items`."""
        sort = {"oldest": "-newest", "-oldest": "newest"}.get(sort, sort)

        def read(sql: sqlite3.Connection) -> DraftPage:
            searched = self._search(sql, "draft", filter.text)
            chosen = ListPart(DRAFTS, lists.draft_conditions(filter), sort, searched)
            found = lists.read_leaf(sql, chosen, after, _size(size))
            rows = lists.draft_rows(sql, [row.id for row in found.rows])
            return DraftPage(drafts=rows, total=lists.count_rows(sql, chosen), before=found.before, after=found.after)

        return self._ask(read)

    def draft_facets(self, filter: DraftFilter) -> DraftFacets:
        """What each choice would leave."""
        return self._ask(lambda sql: lists.draft_facets(sql, filter, self._search(sql, "draft", filter.text)))

    # what is shared ---------------------------------------------------------------------------------------------

    def _ask(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` finds in one state of the catalogue."""

        def question() -> T:
            if self._reader is None or self._store.identity() != self._reads:  # deleted, or made anew
                self._hang_up()
                self._reader = self._store.connect()
                self._reads = self._store.identity()
            try:
                self._reader.execute("BEGIN")
                found = read(self._reader)
                self._reader.execute("COMMIT")
            except BaseException:
                self._hang_up()
                raise
            return found

        with self._lock:
            return self._mended(question)

    def _hang_up(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._matched = None, ()

    def _mended(self, work: Callable[[], T]) -> T:
        """What `work` returns; if the file of the catalogue is damaged, what it returns with a new one."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if not self._store.mend(error):
                raise explain(error, self._ledger) from error
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self._ledger) from error

    def _search(self, sql: sqlite3.Connection, what: str, text: str) -> bool:
        """Name the rows that hold a text in the reader's own table `matched`; return whether there is such a text.

        The table is kept until something else is searched for, because a page asks for its rows and its counts apart.
        """
        found = search(f"{what}_search", text, has_full_text(sql))
        if found is None:
            return False
        name = (what, read_state(sql).version, found)
        if self._matched != name:
            sql.execute("DROP TABLE IF EXISTS temp.matched")
            sql.execute("DROP TABLE IF EXISTS temp.matched_groups")
            sql.execute("CREATE TEMP TABLE matched (id INTEGER PRIMARY KEY)")
            table = f"{what}_search"
            sql.execute(f"INSERT INTO matched SELECT rowid FROM {table} WHERE {found.where}", found.values)  # noqa: S608
            sql.execute(
                "CREATE TEMP TABLE matched_groups AS"  # noqa: S608 - two fixed words
                f" SELECT grp, count(*) AS n FROM matched JOIN {what}s USING (id) GROUP BY grp"
            )
            self._matched = name
        return True


def _size(size: int) -> int:
    return min(max(size, 1), _LARGEST)
