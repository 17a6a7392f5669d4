"""Pages of a long list without counting its rows: a cursor names the row where a page ends, and the next one goes on.

The list is a row of *bands*: what sorts alike by a value that whole groups share, read one band after the other, and
within a band in the order of an index. Few rows are sorted, many are read in order: either way a page costs
milliseconds. It does not know what the rows mean.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from errorbook.web.catalogue.schema import Search, among

Key = tuple[int | str, ...]
FEW = 3000
"""Rows that are sorted rather than looked for in the order of an index."""


class Order(NamedTuple):
    """How the rows of a band are ordered: by `keys`, which the index `ordered` follows; `grouped` finds few of them."""

    table: str
    keys: tuple[str, ...]
    ordered: str
    grouped: str
    where: str = "1"


class Band(NamedTuple):
    """Groups that sort alike; `n` is the number of their rows."""

    key: Key
    groups: list[int]
    n: int
    order: Order


class Place(NamedTuple):
    """Where a row stands in a list: the key of its band, and its own within it."""

    band: Key
    row: Key


class Found(NamedTuple):
    """One row of a page."""

    id: int
    place: Place


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins, `back` for the one that ends there. Only for the sort that it was made with."""

    sort: str
    back: bool
    band: tuple[int | str, ...]
    row: tuple[int | str, ...]


class Leaf(NamedTuple):
    """One page as it was found, with the cursors of those around it."""

    rows: list[Found]
    before: str
    after: str


def leaf(sql: sqlite3.Connection, bands: Sequence[Band], sort: str, after: str, size: int, matched: int | None) -> Leaf:
    """The page of `size` rows that a cursor begins; from the start where there is none, or not one of ours."""
    turned = sort.startswith("-")
    cursor = _read(after, sort)
    try:
        start = Place(cursor.band, cursor.row) if cursor else None
        back = cursor.back if cursor else False
        rows = walk(sql, bands, start, back != turned, size + 1, matched)
    except (TypeError, ValueError):  # a cursor that was changed by hand
        start, back = None, False
        rows = walk(sql, bands, None, turned, size + 1, matched)
    more, rows = len(rows) > size, rows[:size]
    if back:
        rows.reverse()
    if not rows:
        return Leaf([], "", "")
    behind = start is not None and (more if back else bool(walk(sql, bands, rows[0].place, not turned, 1, matched)))
    ahead = bool(walk(sql, bands, rows[-1].place, turned, 1, matched)) if back else more
    return Leaf(
        rows,
        _written(sort, True, rows[0].place) if behind else "",
        _written(sort, False, rows[-1].place) if ahead else "",
    )


def walk(
    sql: sqlite3.Connection, bands: Sequence[Band], start: Place | None, back: bool, size: int, matched: int | None
) -> list[Found]:
    """The next rows after `start`, or those before it, nearest first. `matched` counts those that a search found.

    Raises:
        TypeError, ValueError: The start is not a place in these bands.
    """
    found: list[Found] = []
    for band in reversed(bands) if back else bands:
        within = start is not None and band.key == start.band
        if start is not None and not within and (band.key < start.band) != back:
            continue
        if start is not None and within and len(start.row) != len(band.order.keys):
            raise ValueError("this place has other keys")
        row = start.row if start is not None and within else None
        found += _rows(sql, band, row, back, size - len(found), matched)
        if len(found) >= size:
            break
    return found


def _rows(
    sql: sqlite3.Connection, band: Band, start: Key | None, back: bool, size: int, matched: int | None
) -> list[Found]:
    order = band.order
    clauses, values = [order.where], list[int | str]()
    source = f"{order.table} AS r INDEXED BY {order.grouped if band.n <= FEW else order.ordered}"
    if matched is not None and matched <= FEW:
        source = f"matched CROSS JOIN {order.table} AS r ON r.id = matched.id"
    elif matched is not None:
        clauses.append("r.id IN (SELECT id FROM matched)")
    # A plus keeps SQLite from reading group by group what it should read in order.
    by_group = band.n <= FEW and (matched is None or matched > FEW)
    clauses.append(f"{'' if by_group else '+'}r.grp IN (SELECT value FROM json_each(?))")  # noqa: S608 - fixed parts only
    values.append(among(band.groups))
    keys = [f"r.{key}" for key in order.keys]
    if start is not None:
        clauses.append(f"({', '.join(keys)}) {'<' if back else '>'} ({', '.join('?' * len(keys))})")
        values += start
    query = (
        f"SELECT r.id, {', '.join(keys)} FROM {source} WHERE {' AND '.join(clauses)}"  # noqa: S608 - fixed parts only
        f" ORDER BY {', '.join(key + ' DESC' * back for key in keys)} LIMIT {size:d}"
    )
    return [Found(row[0], Place(band.key, tuple(row[1:]))) for row in sql.execute(query, values)]


def mark(sql: sqlite3.Connection, search: Search, table: str, version: int) -> int:
    """Note which rows a search finds in the connection's own table `matched`, where not done yet; says how many."""
    sql.execute("CREATE TEMP TABLE IF NOT EXISTS matched (id INTEGER PRIMARY KEY)")
    sql.execute("CREATE TEMP TABLE IF NOT EXISTS matched_by (search TEXT, n INTEGER)")
    name = msgspec.json.encode([table, version, *search.values]).decode()
    known = sql.execute("SELECT n FROM matched_by WHERE search = ?", (name,)).fetchone()
    if known is not None:
        return int(known[0])
    sql.execute("DELETE FROM matched")
    sql.execute("DELETE FROM matched_by")
    query = f"INSERT INTO matched SELECT rowid FROM {table} WHERE {search.where}"  # noqa: S608 - fixed parts only
    n = sql.execute(query, search.values).rowcount
    sql.execute("INSERT INTO matched_by VALUES (?, ?)", (name, n))
    return int(n)


def _written(sort: str, back: bool, place: Place) -> str:
    content = msgspec.json.encode(Cursor(sort, back, place.band, place.row))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read(text: str, sort: str) -> Cursor | None:
    try:
        content = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        cursor = msgspec.json.decode(content, type=Cursor)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError):
        return None
    numbers = [value for value in (*cursor.band, *cursor.row) if isinstance(value, int)]
    return cursor if cursor.sort == sort and all(abs(value) < 1 << 62 for value in numbers) else None
