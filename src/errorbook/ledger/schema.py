"""The ledger's tables, as numbered changes to an empty file, and what its failures mean. It opens nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from errorbook.errors import LedgerError

LEDGER = "ledger.sqlite"
"""The file's name in a run's folder."""
APPLICATION = 0x4552424B
"""The mark ("ERBK") by which a file says that it is a ledger: SQLite's `application_id`."""

# What is counted and compared lies apart from the texts, in the order of the examples: a report of a million responses
# reads 100 MB in one go, and an append changes one scattered page a row, not three.
MIGRATIONS: tuple[str, ...] = (
    f"""
    PRAGMA application_id = {APPLICATION};
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        hash TEXT NOT NULL,
        parent TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE UNIQUE INDEX records_by_key ON records (kind, key);
    CREATE INDEX records_by_hash ON records (hash);
    CREATE INDEX records_by_parent ON records (parent, kind);
    CREATE TABLE responses (
        evaluation INTEGER NOT NULL REFERENCES records (seq),
        example TEXT NOT NULL,
        verdict TEXT NOT NULL,
        truncated INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        hash TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (evaluation, example)
    ) WITHOUT ROWID;
    CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        stage TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        done INTEGER NOT NULL,
        total INTEGER NOT NULL,
        task TEXT NOT NULL,
        split TEXT NOT NULL,
        at REAL NOT NULL,
        seconds REAL NOT NULL
    );
    """,
)
"""Schema changes in order; the file's `user_version` counts those applied. An entry is never edited: add one, and keep
a ledger of the schema before it in tests/ledger (see test_schema.py there)."""


def expected_tables() -> dict[str, str]:
    """The statement that made each table and index of the newest schema, by name, as SQLite keeps it."""
    return _make_tables(MIGRATIONS)


@cache
def _make_tables(changes: tuple[str, ...]) -> dict[str, str]:
    with closing(sqlite3.connect(":memory:")) as empty:
        for change in changes:
            empty.executescript(change)
        return dict(empty.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def migrate(connection: sqlite3.Connection, path: Path, readonly: bool) -> None:
    """Bring a new or older ledger to the newest schema, each change committed whole.

    Raises:
        LedgerError: The file is not a ledger, a newer Errorbook wrote it, or it would have to be changed to be read.
    """
    owner, version = connection.execute(
        "SELECT (SELECT * FROM pragma_application_id), (SELECT * FROM pragma_user_version)"
    ).fetchone()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    ours = expected_tables().keys() <= tables
    if tables and (owner != APPLICATION or not version):
        if ours:
            raise damaged(path, "its first page is not what was written")
        raise LedgerError(
            f"'{path}' is not a ledger, or a version of Errorbook from before its first release wrote it; use another"
            " --out folder."
        )
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"The ledger '{path}' was written by a newer Errorbook; upgrade with 'pip install -U errorbook'."
        )
    if version < len(MIGRATIONS) and readonly:
        raise LedgerError(
            f"The ledger '{path}' is empty or of an older version; 'errorbook run' on its run file updates it."
        )
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")


def damaged(path: Path, what: str) -> LedgerError:
    """The error for a ledger that is not what was written; `what` is the damage in a few words."""
    return LedgerError(
        f"The ledger '{path}' is damaged ({what}); 'errorbook doctor {path.parent}' says what is whole, and with"
        " '--salvage NEW' it puts that into the new folder NEW."
    )


def explain(error: Exception, path: Path) -> LedgerError:
    """What a failure of the database means for the user, and the fix."""
    code, text = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    if code == sqlite3.SQLITE_FULL:
        return LedgerError(
            f"The disk that holds '{path}' is full; free some space and give the same command again: nothing is lost."
        )
    if code == sqlite3.SQLITE_NOTADB:
        return LedgerError(
            f"'{path}' is not a ledger, or its first page is damaged; give another --out folder, or see what"
            f" 'errorbook doctor {path.parent}' can read of it."
        )
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return LedgerError(f"The ledger '{path}' cannot be opened for writing; check the folder's permissions.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return LedgerError(f"The ledger '{path}' is in use by another program; close it and try again.")
    if code == sqlite3.SQLITE_CORRUPT or any(sign in text for sign in ("decode", "malformed", "no such")):
        return damaged(path, "a text is no UTF-8" if "decode" in text else text)
    return LedgerError(f"The ledger '{path}' cannot be used ({text}); 'errorbook doctor {path.parent}' checks it.")
