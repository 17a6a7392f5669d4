"""Opens a ledger's file and looks whether it is what was written, so that damage is one sentence in every command.

A ledger of moderate size is checked as a whole whenever it is opened; a larger one as far as it is read, and as a whole
by `errorbook doctor RUN`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from errorbook.errors import ErrorbookError, LedgerError
from errorbook.ledger.health import find_damage
from errorbook.ledger.schema import damaged, explain, migrate

CHECKED_AT_ONCE = 16_000_000
"""Bytes of the largest ledger that is checked whenever it is opened, which takes up to half a second."""
_REST = 20.0
"""A growing ledger that is opened again and again, as by the book's server, is checked a twentieth of the time."""
_CHECKED: dict[str, tuple[tuple[int, ...], float]] = {}
"""What each ledger looked like when this process checked it last, and when it may be checked again."""


@contextmanager
def opened(path: Path, readonly: bool) -> Iterator[sqlite3.Connection]:
    """A connection to the ledger, which was checked and is of the newest schema.

    Raises:
        LedgerError: It is missing, no ledger, damaged, too old or too new, busy, or on a full or read-only disk. Damage
            that shows only later, while the block reads, is raised as this too.
    """
    _refuse_no_file(path, readonly)
    try:
        connection = _connect(path, readonly)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    with closing(connection):
        try:
            migrate(connection, path, readonly)
            _check(connection, path)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise explain(error, path) from error
        try:
            yield connection
        except ErrorbookError:
            raise
        except Exception as error:  # whatever reading a damaged row led to, if there is one
            what = find_damage(connection)
            if not what:
                raise
            raise damaged(path, what) from error


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={'ro' if readonly else 'rwc'}", uri=True)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -65536")
        if not readonly:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 8192")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_no_file(path: Path, readonly: bool) -> None:
    """Say what is wrong with a place at which there is no file, or an empty one."""
    if path.exists() and not path.is_file():
        raise LedgerError(f"'{path}' is no file and so no ledger; give the folder of a run that was started.")
    if not path.exists() and readonly:
        raise LedgerError(f"There is no ledger at '{path}'; give the folder of a run that was started.")
    if not path.exists() or path.stat().st_size or _log_size(path):
        return
    # A run that is killed in its first moments leaves an empty file; one that has trained had more in it.
    if (path.parent / "checkpoints").is_dir():
        raise damaged(path, "the file is empty")
    if readonly:
        raise LedgerError(f"The ledger '{path}' is empty: nothing was recorded in it; 'errorbook run' begins it anew.")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage, unless the ledger is large or was looked at just now. Raises LedgerError."""
    begun, seen = time.monotonic(), _signature(path)
    known, next_time = _CHECKED.get(str(path), ((), 0.0))
    if seen[1] + _log_size(path) > CHECKED_AT_ONCE or seen == known or (seen[:3] == known[:3] and begun < next_time):
        return
    what = find_damage(connection)
    if what:
        raise damaged(path, what)
    now = time.monotonic()
    _CHECKED[str(path)] = (seen, now + _REST * (now - begun))


def _signature(path: Path) -> tuple[int, ...]:
    file = path.stat()
    return (file.st_ino, file.st_size, file.st_mtime_ns, _log_size(path))


def _log_size(path: Path) -> int:
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return 0
