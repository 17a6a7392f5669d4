"""The catalogue's file: where it lies, and connections to it.

It lies in the cache folder, so anything may happen to it: if it was deleted or is damaged it is made anew, and if it
cannot be written a temporary file takes its place. Any number of processes read it and write to it in turn.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import suppress
from pathlib import Path

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
_PATIENCE = 10.0  # seconds to wait for another writer; a portion takes a tenth of one
_MEMORY = 8192  # KiB that a connection may keep of the file


class CatalogueStore:
    """The file of one ledger's catalogue. `close` when done."""

    def __init__(self, ledger: Path, folder: Path, full_text: bool = True) -> None:
        self._name = f"{digest(str(ledger.resolve()))}-{VERSION}.sqlite"
        self.full_text = full_text
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        forget(folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / self._name

    def identity(self) -> tuple[int, int] | None:
        """What tells the file that lies there now from one that lay there before; None if there is none."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return (stat.st_dev, stat.st_ino)

    def connect(self) -> sqlite3.Connection:
        """A new connection to the file, which is made if it is missing. Any thread may use it, one at a time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA cache_size = -{_MEMORY}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection, self.full_text)
            os.utime(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def mend(self, error: Exception) -> bool:
        """Delete the file if it is what failed; return whether it was. A file that cannot be deleted is left alone."""
        spoilt = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SPOILT or "no such table" in str(error)
        if not spoilt and not isinstance(error, OSError):
            return False
        try:
            for end in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)
            self.connect().close()
        except (sqlite3.Error, OSError):
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="errorbook-catalogue-")
                self._folder = Path(self._temporary.name)
        return True

    def close(self) -> None:
        """Delete the temporary folder, if there is one."""
        if self._temporary is not None:
            self._temporary.cleanup()


def forget(folder: Path, now: float | None = None) -> None:
    """Delete the catalogues that were not opened for `FORGOTTEN` seconds."""
    now = time.time() if now is None else now
    with suppress(OSError):  # another process may be at it, too
        for path in folder.glob("*.sqlite"):
            if now - path.stat().st_mtime > FORGOTTEN:
                for end in (".sqlite-wal", ".sqlite-shm", ".sqlite"):
                    path.with_suffix(end).unlink(missing_ok=True)
