"""The catalogue's tables, and how what people type becomes a search that always is one. It opens nothing.

Rows that are alike in everything that is filtered by share a *group*, which counts them. There are few groups, so
counts and filters look at groups, and only the rows that a page shows are read.
"""

from __future__ import annotations

import re
import sqlite3
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

VERSION = 3
"""Part of the file's name: raise it with any change here or in what is filled in."""
NEWEST = 1 << 48
"""Drafts are numbered down from here, so that the newest come first."""
LONGEST = 20_000
"""Characters of each text that are searched."""

_TABLES = """
    CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE cycles (cycle INTEGER PRIMARY KEY, position INTEGER, trained INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE places (
        place INTEGER PRIMARY KEY,
        task TEXT NOT NULL,
        split TEXT NOT NULL,
        n INTEGER NOT NULL DEFAULT 0,
        done INTEGER NOT NULL DEFAULT 0,
        upto TEXT
    );
    CREATE TABLE evaluations (
        place INTEGER NOT NULL, position INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (place, position)
    ) WITHOUT ROWID;
    CREATE TABLE item_groups (
        grp INTEGER PRIMARY KEY,
        place INTEGER NOT NULL,
        skill TEXT NOT NULL,
        kind TEXT NOT NULL,
        path TEXT NOT NULL,
        fate TEXT NOT NULL,
        n INTEGER NOT NULL DEFAULT 0,
        UNIQUE (place, skill, kind, path, fate)
    );
    CREATE TABLE items (
        id INTEGER PRIMARY KEY,
        place INTEGER NOT NULL,
        example TEXT NOT NULL,
        grp INTEGER NOT NULL,
        answer INTEGER NOT NULL DEFAULT 0,
        by_newest INTEGER NOT NULL DEFAULT 0,
        by_drafts INTEGER NOT NULL DEFAULT 0,
        samples INTEGER NOT NULL DEFAULT 0,
        corrected INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX items_in_order ON items (place, example, grp);
    CREATE INDEX items_by_newest ON items (by_newest, place, example, grp);
    CREATE INDEX items_by_drafts ON items (by_drafts, place, example, grp);
    CREATE INDEX items_by_group ON items (grp, example);
    CREATE TABLE diagnosed (
        hash TEXT PRIMARY KEY, item INTEGER NOT NULL, kind TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE draft_groups (
        grp INTEGER PRIMARY KEY,
        task TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        kind TEXT NOT NULL,
        strategy TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        n INTEGER NOT NULL DEFAULT 0,
        UNIQUE (task, outcome, reason, kind, strategy, cycle)
    );
    CREATE TABLE drafts (
        id INTEGER PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        item INTEGER,
        grp INTEGER NOT NULL,
        checked TEXT NOT NULL DEFAULT 'waiting',
        change TEXT NOT NULL DEFAULT '',
        since INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX drafts_in_order ON drafts (id, grp);
    CREATE INDEX drafts_by_group ON drafts (grp, id);
"""
# Nothing but these writes a group's `n`, so it always is the number of its rows.
_COUNTED = (
    "CREATE TRIGGER {what}_added AFTER INSERT ON {what}s BEGIN"
    " UPDATE {what}_groups SET n = n + 1 WHERE grp = new.grp; END",
    "CREATE TRIGGER {what}_moved AFTER UPDATE OF grp ON {what}s BEGIN"
    " UPDATE {what}_groups SET n = n - 1 WHERE grp = old.grp;"
    " UPDATE {what}_groups SET n = n + 1 WHERE grp = new.grp; END",
)
_COLUMNS = {
    "item_search": "question, answer, misconception, names",
    "draft_search": "question, answer, solution, names",
}
_WORDS = 16  # of a search; more say nothing more


class Search(NamedTuple):
    """A condition on a search table, and its values."""

    where: str
    values: tuple[str, ...]


class State(NamedTuple):
    """What a catalogue was made from, and how far: `version` grows with every change of the catalogue.

    `first` and `last` are the hashes of the ledger's first record and of the last one that was read, `records`,
    `responses` and `heads` numbers of rows of the ledger: those read last, and its newest record.
    """

    version: int
    first: str = ""
    last: str = ""
    records: int = 0
    responses: int = 0
    heads: int = 0
    chain: str = ""


def read_state(sql: sqlite3.Connection) -> State:
    """The catalogue's own account of itself."""
    return State(**dict(sql.execute("SELECT name, value FROM state").fetchall()))


def write_state(sql: sqlite3.Connection, **values: str | int) -> None:
    """Change some of it."""
    sql.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", values.items())


def prepare(sql: sqlite3.Connection, full_text: bool = True) -> None:
    """Make the tables if they are missing."""
    if not _has_tables(sql):
        with transaction(sql):
            if not _has_tables(sql):  # another process may have made them meanwhile
                make_tables(sql, full_text)


def make_tables(sql: sqlite3.Connection, full_text: bool) -> None:
    """Make all tables, in an open transaction."""
    for statement in filter(str.strip, _TABLES.split(";")):
        sql.execute(statement)
    for statement in _COUNTED:
        sql.execute(statement.format(what="item"))
        sql.execute(statement.format(what="draft"))
    for table, columns in _COLUMNS.items():
        _search_table(sql, table, columns, full_text)
    # Larger than that of any catalogue of this ledger before: what was remembered of it is not taken for this.
    write_state(sql, version=time.time_ns() // 1000)


def clear(sql: sqlite3.Connection) -> None:
    """Take all tables away, in an open transaction."""
    for table in _COLUMNS:
        sql.execute(f"DROP TABLE {table}")
    for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        sql.execute(f"DROP TABLE {name}")


def _has_tables(sql: sqlite3.Connection) -> bool:
    return sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone() is not None


@contextmanager
def transaction(sql: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what is written in here; other writers wait."""
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        sql.execute("ROLLBACK")
        raise
    sql.execute("COMMIT")


def _search_table(sql: sqlite3.Connection, table: str, columns: str, full_text: bool) -> None:
    if full_text:
        try:
            sql.execute(
                f"CREATE VIRTUAL TABLE {table} USING fts5 ({columns}, tokenize = 'unicode61 remove_diacritics 2')"
            )
            return
        except sqlite3.OperationalError as error:
            if "no such module" not in str(error):
                raise
    sql.execute(f"CREATE TABLE {table} (rowid INTEGER PRIMARY KEY, {columns})")


def has_full_text(sql: sqlite3.Connection) -> bool:
    """Whether words are looked up in an index; SQLite can be built without."""
    row = sql.execute("SELECT sql FROM sqlite_master WHERE name = 'item_search'").fetchone()
    return row is not None and "fts5" in row[0]


def search(table: str, text: str, full_text: bool) -> Search | None:
    """What finds the rows with every word of the text, the last one as a beginning; None if there are no words.

    Each word goes in quotes, so nothing that people type is taken for the search's own grammar. A single letter begins
    too many words to say anything, so it is one. A text of signs alone is looked for as it is.
    """
    words = [word for word in re.split(r"[\s\x00-\x1f\x7f]+", encodable(text)) if word][:_WORDS]
    spoken = [word for word in words if any(unicodedata.category(sign)[0] in "LN" for sign in word)]
    if full_text and spoken:
        phrases = ['"' + word.replace('"', '""') + '"' for word in spoken]
        return Search(f"{table} MATCH ?", (" ".join(phrases) + "*" * (len(spoken[-1]) > 1),))
    if not words:
        return None
    columns = " || ' ' || ".join(_COLUMNS[table].split(", "))
    patterns = tuple("%" + re.sub(r"([%_!])", r"!\1", word) + "%" for word in words)
    return Search(" AND ".join([f"{columns} LIKE ? ESCAPE '!'"] * len(patterns)), patterns)


def encodable(text: str) -> str:
    """What SQLite can be asked: half a character pair, which a link may hold, is not text."""
    return text.encode("utf-8", "replace").decode("utf-8")
