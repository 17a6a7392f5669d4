"""One SQLite file of answers that models gave: what was asked before, by any run of this user, need not be asked again.

An entry is a whole request under a key that says who was asked, what and how; see `targets.remembered`. Everything in
here can be made again, so nothing that happens to the file stops a run: a damaged one is set aside and begun anew, one
that cannot be read or written is done without, and the user is told. Two processes may use it at once, also after a
`kill -9`. It does not know what a key or an answer means.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from errorbook.records import digest

T = TypeVar("T")
Note = Callable[[str], None]
"""Told what the user should know, in a sentence."""

FILE = "answers-1.sqlite"
"""Name of the file in the cache folder; raise its number with the schema, and an older version keeps its own."""
LIMIT = 512 * 1024 * 1024
"""Bytes that the file may hold: about a million responses of 500 characters. Beyond, the oldest go."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS answers (
        seq INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        proof TEXT NOT NULL,
        body BLOB NOT NULL
    )
"""
_DROP_OLDEST = "DELETE FROM answers WHERE seq IN (SELECT seq FROM answers ORDER BY seq LIMIT 8)"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PATIENCE = 30.0  # seconds to wait for another process; a write takes milliseconds


def on_stderr(sentence: str) -> None:
    """Tell the user on stderr."""
    sys.stderr.write(f"{sentence}\n")


class AnswerFile:
    """The answers in the file at `path`, which is opened for each call: once a block of questions, not once a question.

    So there is nothing to close, and a forked process shares no connection.
    """

    def __init__(self, path: Path, limit: int = LIMIT, note: Note = on_stderr) -> None:
        self.path = path
        self._limit = limit
        self._note = note
        self._given_up = False

    def find(self, key: str) -> bytes | None:
        """The answer that was kept under `key`, or None."""

        def read(sql: sqlite3.Connection) -> bytes | None:
            row = sql.execute("SELECT proof, body FROM answers WHERE key = ?", (key,)).fetchone()
            # SQLite does not notice every flipped bit; an entry that is not what was written is no answer.
            return row[1] if row is not None and row[0] == _proof(key, row[1]) else None

        return self._try(read)

    def keep(self, key: str, body: bytes) -> None:
        """Keep an answer, in the place of an earlier one with this key; the oldest make room if there is none."""

        def write(sql: sqlite3.Connection) -> None:
            sql.execute(
                "INSERT OR REPLACE INTO answers (key, proof, body) VALUES (?, ?, ?)", (key, _proof(key, body), body)
            )
            while _used(sql) > self._limit and sql.execute(_DROP_OLDEST).rowcount:
                pass

        self._try(write)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` returns, or None if the file does not let it: then nothing is remembered."""
        for _ in range(2):
            if self._given_up:
                break
            try:
                with _open(self.path) as sql:
                    return work(sql)
            except (sqlite3.Error, OSError) as error:
                if not self._begin_anew(error):
                    self._given_up = True
                    self._note(
                        f"Answers are not remembered: {self.path} cannot be used ({error}); see to it or delete it."
                    )
        return None

    def _begin_anew(self, error: Exception) -> bool:
        """Whether the file was damaged and is out of the way now."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return False
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            if _is_sound(self.path):  # another process was faster
                return True
            self.path.replace(aside)
            # A journal that is left would be rolled back into the new file.
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        except OSError:
            return False
        self._note(f"{self.path} was damaged ({error}); it is now {aside.name}, and answers are collected anew.")
        return True


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in one transaction. No WAL: the user's cache folder may be on a network, where it does not work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_PATIENCE)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        with connection:
            yield connection
    finally:
        connection.close()


def _used(sql: sqlite3.Connection) -> int:
    """Bytes in use, without reading the rows."""
    pages, free, size = (
        int(sql.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _is_sound(path: Path) -> bool:
    try:
        with _open(path) as sql:
            return bool(sql.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _proof(key: str, body: bytes) -> str:
    return digest(key, body)
