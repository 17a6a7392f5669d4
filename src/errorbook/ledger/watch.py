"""Reading a ledger that others write to: snapshots that stay consistent, and a number that grows with every commit.

For what serves many readers for hours. It keeps nothing open between two reads, so a ledger may be moved or deleted
at any time; it writes nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from errorbook.errors import LedgerError
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.schema import LEDGER, explain

DEEPEST = 4
"""Folders between a folder and the runs below it that are looked for."""
MEMORY = 16_000
"""Kilobytes of pages that one reader keeps: there may be many at once."""


def run_folders(root: Path) -> Iterator[Path]:
    """The folders of the runs below a folder, which may be one itself."""
    for parent, folders, names in os.walk(root):
        if LEDGER in names:
            yield Path(parent)
        if LEDGER in names or len(Path(parent).relative_to(root).parts) >= DEEPEST:
            folders.clear()


class Signature(NamedTuple):
    """What the file system says of a ledger and its write-ahead log; a commit changes it, a read hardly ever does."""

    file: tuple[int, int, int]
    log: tuple[int, int, int]


def signature(folder: Path) -> Signature | None:
    """The signature of a run's ledger, or None if there is no such file."""
    file = stat(folder / LEDGER)
    return None if file is None else Signature(file, stat(folder / f"{LEDGER}-wal") or (0, 0, 0))


def stat(path: Path) -> tuple[int, int, int] | None:
    """What the file system says of one file, or None if there is none: it differs after every write."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def snapshot(folder: Path) -> Iterator[Ledger]:
    """A read-only ledger in which nothing changes while it is read, whatever the run appends meanwhile.

    Raises:
        LedgerError: There is no ledger any more, or it is damaged, of another version, or locked.
    """
    try:
        with open_ledger(folder / LEDGER) as ledger:
            ledger.connection.execute(f"PRAGMA cache_size = -{MEMORY}")
            ledger.connection.execute("BEGIN")
            yield ledger
    except sqlite3.DatabaseError as error:
        raise explain(error, folder / LEDGER) from error
    except FileNotFoundError as error:
        raise LedgerError(f"There is no ledger at '{folder / LEDGER}' any more.") from error


def version(ledger: Ledger) -> int:
    """How much was ever appended: every commit makes it larger, reading never does."""
    row = ledger.connection.execute(
        "SELECT (SELECT coalesce(max(seq), 0) FROM records) + (SELECT coalesce(max(seq), 0) FROM bodies)"
        " + (SELECT coalesce(sum(1 + done), 0) FROM events) + (SELECT count(*) FROM facts)"
    ).fetchone()
    return int(row[0])
