"""The lists of a catalogue as SQL: which rows a filter lets through, how many, in which order, and page by page.

Items and drafts are asked in the same way. Conditions are on groups, of which there are few; groups that sort alike are
a *band*, and a page is read band by band, in the order of an index. It begins at a cursor that names the row before it,
so no rows are counted to find it.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

import msgspec

from errorbook.records import Split, Verdict
from errorbook.report.fates import FATES
from errorbook.report.records import DraftOutcome
from errorbook.web.catalogue.records import (
    Count,
    DraftFacets,
    DraftFilter,
    DraftRow,
    Facets,
    ItemFilter,
    ItemId,
    QuestionRow,
)
from errorbook.web.catalogue.schema import encodable
from errorbook.web.catalogue.writing import LETTERS, VERDICTS, path_of

EXCERPT = 300
"""Characters of a text that a list shows."""
_OUTCOMES = get_args(DraftOutcome)

FEW = 3000
"""Rows that are sorted rather than looked for in the order of an index."""

Key = tuple[int | str, ...]


class Condition(NamedTuple):
    """A condition on groups, and its values."""

    where: str
    values: tuple[str | int, ...] = ()


Conditions = Mapping[str, Condition]
"""What groups must be, by the facet that chooses it."""


class RowOrder(NamedTuple):
    """How rows are ordered: by `band`, which groups have in common, then by `row`, which the index `followed` has."""

    band: tuple[str, ...]
    row: tuple[str, ...]
    followed: str


class Listing(NamedTuple):
    """What can be listed: its table of rows `r`, where its groups `g` are read, and the orders by name."""

    rows: str
    groups: str
    by_group: str
    orders: dict[str, RowOrder]

    def order(self, sort: str) -> RowOrder:
        """What a sort orders by; a "-" before its name turns the order round."""
        return self.orders[sort.removeprefix("-")]


def _ranked(column: str, values: Sequence[str]) -> str:
    """The rank of a group's text among these values."""
    return f"CASE g.{column} {' '.join(f'WHEN {value!r} THEN {rank}' for rank, value in enumerate(values))} END"


_ALL = ("''",)  # one band of everything
_IN_ORDER, _NEWEST = (("r.place", "r.example"), "items_in_order"), (("r.id",), "drafts_in_order")
ITEMS = Listing(
    "items",
    "item_groups AS g JOIN places USING (place)",
    "items_by_group",
    {
        "id": RowOrder(_ALL, *_IN_ORDER),
        "skill": RowOrder(("g.skill = ''", "g.skill"), *_IN_ORDER),
        "kind": RowOrder(("g.kind = ''", "g.kind"), *_IN_ORDER),
        "fate": RowOrder((_ranked("fate", FATES),), *_IN_ORDER),
        "newest": RowOrder(_ALL, ("r.by_newest", "r.place", "r.example"), "items_by_newest"),
        "drafts": RowOrder(("g.kind = ''",), ("r.by_drafts", "r.place", "r.example"), "items_by_drafts"),
    },
)
DRAFTS = Listing(
    "drafts",
    "draft_groups AS g",
    "drafts_by_group",
    {
        "newest": RowOrder(_ALL, *_NEWEST),
        "task": RowOrder(("g.task",), *_NEWEST),
        "kind": RowOrder(("g.kind = ''", "g.kind"), *_NEWEST),
        "strategy": RowOrder(("g.strategy",), *_NEWEST),
        "outcome": RowOrder((_ranked("outcome", _OUTCOMES),), *_NEWEST),
        "reason": RowOrder(("g.reason = ''", "g.reason"), *_NEWEST),
        "cycle": RowOrder(("g.cycle",), *_NEWEST),
    },
)
ITEM_SORTS = tuple(ITEMS.orders)
DRAFT_SORTS = (*DRAFTS.orders, "oldest")
"""How they can be sorted; a "-" before the name turns the order round. "newest" is the newest diagnosis first."""


class ListPart(NamedTuple):
    """A part of a listing in an order; if `searched`, only of the rows in the connection's own table `matched`."""

    listing: Listing
    conditions: Conditions
    sort: str
    searched: bool


# conditions and counts ------------------------------------------------------------------------------------------


def item_conditions(sql: sqlite3.Connection, filter: ItemFilter) -> dict[str, Condition]:
    """What a filter asks of items, its text aside."""
    return _item_conditions(filter, _place_in_path(sql, filter))


def _place_in_path(sql: sqlite3.Connection, filter: ItemFilter) -> str:
    """Which letter of its path counts for an item: the last, or that of the checkpoint that a cycle began with."""
    if not filter.cycle:
        return "-1"
    row = sql.execute("SELECT position + 1 FROM cycles WHERE cycle = ?", (filter.cycle,)).fetchone()
    return str(int(row[0])) if row and row[0] else str(1 << 30)  # beyond every path


def _item_conditions(filter: ItemFilter, place: str) -> dict[str, Condition]:
    letter = f"substr(path, {place}, 1)"
    conditions = _wanted(filter, ("task", "split", "skill", "kind", "fate"))
    conditions["answered"] = Condition(f"{letter} NOT IN ('', '-')")
    if filter.verdict:
        conditions["verdict"] = Condition(f"{letter} = ?", (LETTERS.get(cast("Verdict", filter.verdict), "?"),))
    return conditions


def draft_conditions(filter: DraftFilter) -> dict[str, Condition]:
    """What a filter asks of drafts, its text aside."""
    return _wanted(filter, DraftFacets.__struct_fields__)


def _wanted(filter: ItemFilter | DraftFilter, names: Iterable[str]) -> dict[str, Condition]:
    values = {name: getattr(filter, name) for name in names}
    return {
        name: Condition(f"{name} = ?", (encodable(value) if isinstance(value, str) else value,))
        for name, value in values.items()
        if value
    }


def count_rows(sql: sqlite3.Connection, chosen: ListPart) -> int:
    """How many rows are chosen."""
    return sum(_count(sql, chosen.listing, "''", chosen.conditions, chosen.searched).values())


def _count(
    sql: sqlite3.Connection, listing: Listing, value: str, conditions: Conditions, searched: bool, cycles: str = ""
) -> dict[str, int]:
    """How many rows there are by a value of their groups."""
    (n, source), (where, values) = _counted(listing, searched), _all(conditions)
    query = f"SELECT {value}, sum({n}) FROM {source} {cycles} WHERE {where} GROUP BY 1"  # noqa: S608
    return {str(name): n for name, n in sql.execute(query, values) if n}


def _counted(listing: Listing, searched: bool) -> tuple[str, str]:
    """The number of each group's rows, or of those that a search found, and where to read it."""
    if searched:
        return "matched_groups.n", f"{listing.groups} JOIN matched_groups USING (grp)"
    return "g.n", listing.groups


def _all(conditions: Conditions, *but: str) -> tuple[str, list[str | int]]:
    held = [condition for name, condition in conditions.items() if name not in but]
    where = " AND ".join(condition.where for condition in held) or "1"
    return where, [value for condition in held for value in condition.values]


def item_facets(sql: sqlite3.Connection, filter: ItemFilter, searched: bool) -> Facets:
    """How many items each choice would leave: of each facet under all conditions but its own."""
    place = _place_in_path(sql, filter)
    conditions = _item_conditions(filter, place)
    found = {
        name: _count(sql, ITEMS, name, _without(conditions, name), searched)
        for name in ("task", "split", "skill", "kind", "fate")
    }
    letters = _count(sql, ITEMS, f"substr(path, {place}, 1)", _without(conditions, "verdict"), searched)
    found["verdict"] = {VERDICTS[letter]: n for letter, n in letters.items()}
    began = _item_conditions(filter, "position + 1")
    found["cycle"] = _count(sql, ITEMS, "cycle", began, searched, "JOIN cycles ON position IS NOT NULL")
    tasks = [row[0] for row in sql.execute("SELECT task FROM places ORDER BY place")]
    orders = {"task": dict.fromkeys(tasks), "split": get_args(Split), "fate": FATES, "verdict": get_args(Verdict)}
    return Facets(**{name: _in_order(counts, orders.get(name)) for name, counts in found.items()})


def draft_facets(sql: sqlite3.Connection, filter: DraftFilter, searched: bool) -> DraftFacets:
    """How many drafts each choice would leave."""
    conditions = draft_conditions(filter)
    names = DraftFacets.__struct_fields__
    found = {name: _count(sql, DRAFTS, name, _without(conditions, name), searched) for name in names}
    orders = {"outcome": _OUTCOMES, "cycle": sorted(found["cycle"], key=int)}
    return DraftFacets(**{name: _in_order(counts, orders.get(name)) for name, counts in found.items()})


def _without(conditions: Conditions, name: str) -> Conditions:
    return {other: condition for other, condition in conditions.items() if other != name}


def _in_order(counts: Mapping[str, int], order: Iterable[str] | None) -> tuple[Count, ...]:
    """In the given order, or the most frequent first; what has no name is left out."""
    ranked = sorted(counts, key=lambda value: (-counts[value], value)) if order is None else order
    return tuple(Count(value, counts[value]) for value in ranked if value and value in counts)


# pages ----------------------------------------------------------------------------------------------------------


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins, `back` for the one that ends there. Only for the sort that it was made with."""

    sort: str
    back: bool
    row: Key


class PageRow(NamedTuple):
    """One row of a page by its number, and where it stands in the list."""

    id: int
    key: Key


class Leaf(NamedTuple):
    """One page as it was found, with the cursors of those around it."""

    rows: list[PageRow]
    before: str
    after: str


def read_leaf(sql: sqlite3.Connection, chosen: ListPart, after: str, size: int) -> Leaf:
    """The page of `size` rows that a cursor begins; from the start if there is none, or not one of ours."""
    cursor = _read_cursor(after, chosen)
    start, back = (cursor.row, cursor.back) if cursor else (None, False)
    rows = walk(sql, chosen, start, back, size + 1)
    more, rows = len(rows) > size, rows[:size]
    if back:
        rows.reverse()
    if not rows:
        return Leaf([], "", "")
    behind = start is not None and (more if back else bool(walk(sql, chosen, rows[0].key, True, 1)))
    ahead = bool(walk(sql, chosen, rows[-1].key, False, 1)) if back else more
    return Leaf(
        rows,
        _write_cursor(Cursor(chosen.sort, True, rows[0].key)) if behind else "",
        _write_cursor(Cursor(chosen.sort, False, rows[-1].key)) if ahead else "",
    )


def walk(sql: sqlite3.Connection, chosen: ListPart, start: Key | None, back: bool, size: int) -> list[PageRow]:
    """The next rows after `start`, or with `back` those before it, the nearest first: band by band."""
    band = chosen.listing.order(chosen.sort).band
    down = chosen.sort.startswith("-") != back
    conditions = dict(chosen.conditions)
    if start is not None:
        marks = ", ".join("?" * len(band))
        conditions["start"] = Condition(f"({', '.join(band)}) {'<=' if down else '>='} ({marks})", start[: len(band)])
    walked: list[PageRow] = []
    for key, n in _count_bands(sql, chosen, conditions, down):
        after = start[len(band) :] if start is not None and key == start[: len(band)] else None
        walked += _read_band(sql, chosen, (key, n), after, down, size - len(walked))
        if len(walked) >= size:
            break
    return walked


def _count_bands(
    sql: sqlite3.Connection, chosen: ListPart, conditions: Conditions, down: bool
) -> list[tuple[Key, int]]:
    order, (n, source) = chosen.listing.order(chosen.sort), _counted(chosen.listing, chosen.searched)
    where, values = _all(conditions)
    rows = sql.execute(
        f"SELECT {', '.join(order.band)}, sum({n}) FROM {source} WHERE {where} GROUP BY {', '.join(order.band)}"  # noqa: S608
        f" HAVING sum({n}) > 0 ORDER BY {_directed(order.band, down)}",
        values,
    )
    return [(tuple(row[:-1]), row[-1]) for row in rows.fetchall()]


def _read_band(
    sql: sqlite3.Connection, chosen: ListPart, band: tuple[Key, int], after: Key | None, down: bool, size: int
) -> list[PageRow]:
    """The next rows of one band. Few rows are found by their groups and sorted, many are read in order."""
    (key, n), listing, order = band, chosen.listing, chosen.listing.order(chosen.sort)
    same = Condition(" AND ".join(f"{name} = ?" for name in order.band), key)
    where, values = _all({**chosen.conditions, "band": same})
    few = n <= FEW
    source = f"{listing.rows} AS r INDEXED BY {listing.by_group if few else order.followed}"
    if chosen.searched and few:
        source = f"matched CROSS JOIN {listing.rows} AS r ON r.id = matched.id"
    # A plus keeps SQLite from reading group by group what it should read in order.
    clauses = [f"{'' if few else '+'}r.grp IN (SELECT grp FROM {listing.groups} WHERE {where})"]  # noqa: S608
    if chosen.searched and not few:
        clauses.append("r.id IN (SELECT id FROM matched)")
    if after is not None:
        clauses.append(f"({', '.join(order.row)}) {'<' if down else '>'} ({', '.join('?' * len(order.row))})")
        values += after
    rows = sql.execute(
        f"SELECT r.id, {', '.join(order.row)} FROM {source} WHERE {' AND '.join(clauses)}"  # noqa: S608 - fixed parts
        f" ORDER BY {_directed(order.row, down)} LIMIT {size:d}",
        values,
    )
    return [PageRow(row[0], key + tuple(row[1:])) for row in rows]


def _directed(names: Iterable[str], down: bool) -> str:
    return ", ".join(f"{name} DESC" if down else name for name in names)


def key_of(sql: sqlite3.Connection, listing: Listing, sort: str, id: int) -> Key:
    """Where a row stands in the list of a sort."""
    order = listing.order(sort)
    groups = listing.groups.partition(" ")[0]
    query = f"SELECT {', '.join(order.band + order.row)} FROM {listing.rows} AS r JOIN {groups} AS g USING (grp)"  # noqa: S608
    return tuple(sql.execute(f"{query} WHERE r.id = ?", (id,)).fetchone())


def _write_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str, chosen: ListPart) -> Cursor | None:
    try:
        content = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        cursor = msgspec.json.decode(content, type=Cursor)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError):
        return None
    order = chosen.listing.order(chosen.sort)
    if cursor.sort != chosen.sort or len(cursor.row) != len(order.band + order.row):
        return None
    return cursor if all(isinstance(value, str) or abs(value) < 1 << 62 for value in cursor.row) else None


# rows -----------------------------------------------------------------------------------------------------------


def find_item(sql: sqlite3.Connection, id: ItemId) -> int | None:
    """An item's number, or None."""
    row = sql.execute(
        "SELECT id FROM items JOIN places USING (place) JOIN item_groups USING (grp)"
        " WHERE task = ? AND split = ? AND example = ? AND path <> ''",
        [encodable(value) for value in id],
    ).fetchone()
    return None if row is None else int(row[0])


def item_rows(sql: sqlite3.Connection, ids: Sequence[int]) -> tuple[QuestionRow, ...]:
    """Items as a list shows them, in this order."""
    rows = sql.execute(
        "SELECT i.id, task, split, i.example, skill, kind, s.misconception, fate, path, s.question, s.answer,"
        " -i.by_drafts, i.samples, i.corrected"
        " FROM items AS i JOIN item_groups USING (grp) JOIN places ON places.place = i.place"
        " JOIN item_search AS s ON s.rowid = i.id WHERE i.id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(ids).decode(),),
    )
    by_id = {row[0]: _item(dict(zip(QuestionRow.__struct_fields__, row[1:], strict=True))) for row in rows}
    return tuple(by_id[id] for id in ids if id in by_id)


def _item(values: dict[str, Any]) -> QuestionRow:
    values["path"] = path_of(values["path"])
    for text in ("question", "response_excerpt"):
        values[text] = values[text][:EXCERPT]  # not cut by SQLite, for which a NUL ends a text
    return msgspec.convert(values, QuestionRow, strict=False)


def draft_rows(sql: sqlite3.Connection, ids: Sequence[int]) -> tuple[DraftRow, ...]:
    """Drafts as a list shows them, in this order."""
    rows = sql.execute(
        "SELECT d.id, d.hash, task, s.question, outcome, reason, kind, strategy, cycle, coalesce(i.example, ''),"
        " d.checked, d.since, coalesce(cycles.trained, 0)"
        " FROM drafts AS d JOIN draft_groups USING (grp) JOIN draft_search AS s ON s.rowid = d.id"
        " LEFT JOIN items AS i ON i.id = d.item LEFT JOIN cycles USING (cycle)"
        " WHERE d.id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(ids).decode(),),
    )
    by_id = {row[0]: _draft(row[1:]) for row in rows}
    return tuple(by_id[id] for id in ids if id in by_id)


def _draft(row: Sequence[Any]) -> DraftRow:
    *values, checked, since, trained = row
    fields = dict(zip(DraftRow.__struct_fields__, values, strict=False))
    # A correction counts from its cycle on; what was trained on before stays trained on.
    counts = since <= fields["cycle"]
    out = fields["outcome"] == "struck" and counts
    into = checked == "sample" or (fields["outcome"] == "edited" and counts)
    fields |= {"question": fields["question"][:EXCERPT], "trained": bool(trained) and into and not out}
    return msgspec.convert(fields, DraftRow)
