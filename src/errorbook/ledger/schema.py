"""The ledger's tables, as numbered changes to an empty file, and what its failures mean. It opens nothing."""

from __future__ import annotations

from pathlib import Path

from errorbook.errors import LedgerError

MIGRATIONS: tuple[str, ...] = (
    """
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
        seq INTEGER PRIMARY KEY,
        evaluation INTEGER NOT NULL REFERENCES records (seq),
        example TEXT NOT NULL,
        hash TEXT NOT NULL,
        verdict TEXT NOT NULL,
        truncated INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE UNIQUE INDEX responses_by_example ON responses (evaluation, example);
    CREATE INDEX responses_by_hash ON responses (hash);
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
    # What is counted and compared lies apart from the texts, in the order of the examples: a report of a million
    # responses reads 100 MB in one go, and an append changes one scattered page a row, not three.
    """
    DROP INDEX responses_by_example;
    DROP INDEX responses_by_hash;
    ALTER TABLE responses RENAME TO old_responses;
    CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
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
    INSERT INTO bodies SELECT seq, body FROM old_responses;
    INSERT INTO responses SELECT evaluation, example, verdict, truncated, tokens, hash, seq FROM old_responses;
    DROP TABLE old_responses;
    """,
)
"""Schema changes in order; the file's `user_version` counts those applied. Never edit one that was released."""


def explain(error: Exception, path: Path) -> LedgerError:
    """What a failure of the database means for the user, and the fix."""
    text = str(error)
    if "full" in text:
        return LedgerError(
            f"The disk that holds '{path}' is full; free some space and give the same command again: nothing is lost."
        )
    if "not a database" in text or "malformed" in text:
        return LedgerError(f"'{path}' is not a ledger, or it is damaged; give another --out folder.")
    if "readonly" in text or "unable to open" in text:
        return LedgerError(f"The ledger '{path}' cannot be opened for writing; check the folder's permissions.")
    if "locked" in text:
        return LedgerError(f"The ledger '{path}' is in use by another program; close it and try again.")
    return LedgerError(f"The ledger '{path}' cannot be used ({text}).")
