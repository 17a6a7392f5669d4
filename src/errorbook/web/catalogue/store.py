"""The catalogue's file: where it lies, who may write to it, and connections to it that threads share out.

It lies in the cache folder, so anything may happen to it: where it was deleted or is damaged it is made anew, where it
cannot be written a temporary file takes its place. One process at a time fills it, any number read meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from errorbook.records import digest
from errorbook.web.catalogue.schema import VERSION, prepare

FORGOTTEN = 30 * 24 * 3600.0
"""Seconds after which a catalogue that nobody opened is deleted."""
_SPOILT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
}
_PATIENCE = 10.0  # seconds to wait for another process; a portion takes milliseconds
_MEMORY = 4096  # KiB that a connection may keep of the file
_IDLE = 4  # connections that wait for the next question
_FILLING = 16384  # the same for the one that writes


class Store:
    """The file of one ledger's catalogue. `close` when done."""

    def __init__(self, ledger: Path, folder: Path, full_text: bool = True) -> None:
        self._name = f"{digest(str(ledger.resolve()))}-{VERSION}.sqlite"
        self.full_text = full_text
        self._idle: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._made = (0, 0)
        self._folder = folder
        try:
            self._prepare()
        except (sqlite3.Error, OSError):
            self._discard()  # damaged, or it cannot be written
        forget(folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / self._name

    def close(self) -> None:
        """Close all connections; what is lent out is closed when it comes back."""
        with self._guard:
            self._made = (0, 0)
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own, in a state of the catalogue that does not change."""
        connection, made = self._taken()
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        with self._guard:
            if made == self._made and len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def filling(self) -> Iterator[sqlite3.Connection | None]:
        """The one connection that may write, or None while another process or thread has it."""
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=0, thread_local=False):
                connection, _ = self._taken()
                try:
                    connection.execute(f"PRAGMA cache_size = -{_FILLING}")
                    yield connection
                finally:
                    connection.close()
        except Timeout:
            yield None

    def mend(self, error: Exception) -> bool:
        """Begin anew where the file is what failed; whether it was."""
        spoilt = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SPOILT or "no such table" in str(error)
        if spoilt or isinstance(error, OSError):
            self._discard()
            return True
        return False

    def _taken(self) -> tuple[sqlite3.Connection, tuple[int, int]]:
        if _identity(self.path) != self._made:  # deleted, or made anew by another process
            self._drop()
            self._prepare()
        with self._guard:
            if self._idle:
                return self._idle.pop(), self._made
        return _connect(self.path), self._made

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        connection = _connect(self.path)
        try:
            prepare(connection, self.full_text)
        finally:
            connection.close()
        os.utime(self.path)
        self._made = _identity(self.path)

    def _drop(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _discard(self) -> None:
        """Delete the file and make it anew; where that cannot be, in a temporary folder."""
        self._drop()
        try:
            for end in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)
            self._prepare()
        except (sqlite3.Error, OSError):
            if self._temporary is not None:
                raise
            self._temporary = tempfile.TemporaryDirectory(prefix="errorbook-catalogue-")
            self._folder = Path(self._temporary.name)
            self._prepare()


def forget(folder: Path, now: float | None = None) -> None:
    """Delete the catalogues that were not opened for `FORGOTTEN` seconds."""
    now = time.time() if now is None else now
    with suppress(OSError):  # another process may be at it, too
        for path in folder.glob("*.sqlite"):
            if now - path.stat().st_mtime > FORGOTTEN:
                for end in (".sqlite-wal", ".sqlite-shm", ".lock", ".sqlite"):
                    path.with_suffix(end).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{_MEMORY}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
