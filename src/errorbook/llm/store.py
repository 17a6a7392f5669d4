"""One SQLite file of everything that was ever asked: what was sent, what it may have cost, and the reply's raw bytes.

A row is written before its request is sent, with the worst case it may cost; the reply is added before anybody reads
it. So after `kill -9` at most the requests in the air are bought again, and what they may have cost counts as spent.
Writes are committed in groups by one thread: under load a commit carries dozens of them. WAL mode makes each commit
survive `kill -9`. It does not know what requests mean, and no key ever reaches it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.errors import LedgerError
from errorbook.llm.budget import Amount

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE calls (
        seq INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        at REAL NOT NULL,
        sends INTEGER NOT NULL,
        held_nano INTEGER NOT NULL,
        held_tokens INTEGER NOT NULL,
        spent_nano INTEGER NOT NULL DEFAULT 0,
        spent_tokens INTEGER NOT NULL DEFAULT 0,
        cost_nano INTEGER NOT NULL DEFAULT 0,
        batch TEXT NOT NULL DEFAULT '',
        reply BLOB
    );
    CREATE INDEX calls_by_batch ON calls (batch) WHERE batch <> '';
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE batches (
        id TEXT PRIMARY KEY,
        endpoint TEXT NOT NULL,
        at REAL NOT NULL,
        state TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE calls ADD COLUMN assumed_nano INTEGER NOT NULL DEFAULT 0",
)
"""Schema changes in order; the file's `user_version` counts those applied. Never edit one that was released."""

_INTEND = """
    INSERT INTO calls (key, at, sends, held_nano, held_tokens, batch) VALUES (?, ?, 1, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET
        at = excluded.at,
        sends = sends + 1,
        spent_nano = spent_nano + held_nano,
        spent_tokens = spent_tokens + held_tokens,
        assumed_nano = assumed_nano + held_nano,
        held_nano = excluded.held_nano,
        held_tokens = excluded.held_tokens,
        batch = excluded.batch
"""
_KEEP = """
    UPDATE calls SET reply = ?, cost_nano = ?, held_nano = 0, held_tokens = 0, batch = '',
        spent_nano = spent_nano + ?, spent_tokens = spent_tokens + ?, assumed_nano = assumed_nano + ? WHERE key = ?
"""
_SETTLE = """
    UPDATE calls SET held_nano = 0, held_tokens = 0, batch = '',
        spent_nano = spent_nano + ?, spent_tokens = spent_tokens + ?, assumed_nano = assumed_nano + ? WHERE key = ?
"""
LINGER = 0.004
"""Seconds that a write without haste waits for others."""
_GROUP = 256
"""Writes committed together at most."""

Ticket = Callable[[], None]
"""Called when a write is on the disk."""
Commit = Callable[[list[Ticket], LedgerError | None], None]
"""Told of each commit, in the writer's thread: the tickets of its writes, and why writing has failed if it has."""


class StoredReply(NamedTuple):
    """A reply from the store: its raw body and what it cost."""

    body: bytes
    cost_nano: int


class _Write(NamedTuple):
    statement: str
    values: tuple[Any, ...]
    ticket: Ticket | None = None
    flushed: threading.Event | None = None
    urgent: bool = True


class Store:
    """An open store. Reading is safe from any thread; writes go through the writer's thread in order."""

    def __init__(self, path: Path, on_commit: Commit) -> None:
        self.path = path
        self.failure: LedgerError | None = None
        self._on_commit = on_commit
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._reader, self._connection = _open(path)
        # The only writer of this process: the order of the queue is the order on the disk.
        self._thread = threading.Thread(target=self._work, name="errorbook-store", daemon=True)
        self._thread.start()

    # reading ------------------------------------------------------------------------------------------------------

    def find(self, key: str) -> StoredReply | None:
        """The reply to a request, or None if there is none yet."""
        rows = self._read("SELECT reply, cost_nano FROM calls WHERE key = ? AND reply IS NOT NULL", (key,))
        return StoredReply(*rows[0]) if rows else None

    def spent(self, prefix: str = "") -> Amount:
        """What all runs have spent, or keys with a prefix; what was in the air when a process died counts in full."""
        total = (
            "SELECT SUM(spent_nano + held_nano), SUM(spent_tokens + held_tokens), SUM(sends),"
            " SUM(assumed_nano + held_nano) FROM calls WHERE substr(key, 1, ?) = ?"
        )
        return Amount(*(value or 0 for value in self._read(total, (len(prefix), prefix))[0]))

    def fact(self, name: str) -> str | None:
        """A remembered fact, such as an endpoint's dialect."""
        rows = self._read("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def batches(self, endpoint: str, state: str) -> list[str]:
        """Ids of an endpoint's batches in a state, oldest first."""
        statement = "SELECT id FROM batches WHERE endpoint = ? AND state = ? ORDER BY at, id"
        return [str(row[0]) for row in self._read(statement, (endpoint, state))]

    def in_batch(self, batch: str) -> dict[str, Amount]:
        """The requests of a batch that are not settled, by key, with what is held for each."""
        rows = self._read("SELECT key, held_nano, held_tokens FROM calls WHERE batch = ?", (batch,))
        return {str(key): Amount(nano, tokens, 1) for key, nano, tokens in rows}

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with self._lock:
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from None

    # writing ------------------------------------------------------------------------------------------------------

    def intend(self, key: str, held: Amount, ticket: Ticket | None = None, batch: str = "") -> None:
        """Before sending: this request may cost `held`. What an earlier attempt still holds counts as spent."""
        self._writes.put(_Write(_INTEND, (key, time.time(), held.nano, held.tokens, batch), ticket, urgent=False))

    def keep(self, key: str, body: bytes, spent: Amount, ticket: Ticket | None = None) -> None:
        """A reply came and cost this."""
        self._write(_KEEP, (body, spent.nano, spent.nano, spent.tokens, spent.assumed, key), ticket)

    def settle(self, key: str, spent: Amount) -> None:
        """No reply came; this much counts as spent."""
        self._write(_SETTLE, (spent.nano, spent.tokens, spent.assumed, key), None)

    def withdraw(self, key: str) -> None:
        """The request was not sent after all."""
        self._write("UPDATE calls SET held_nano = 0, held_tokens = 0, sends = sends - 1 WHERE key = ?", (key,))

    def remember(self, name: str, value: str) -> None:
        """Set a fact."""
        self._write("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))

    def forget(self, key: str = "") -> None:
        """The reply (without a key: every reply) is of no use: it is bought again. What it cost stays spent."""
        self._write("UPDATE calls SET reply = NULL WHERE ? IN ('', key)", (key,))

    def batch(self, batch: str, endpoint: str, state: str, formerly: str = "") -> None:
        """Record a batch's state; `formerly` is the provisional id that its requests were intended under."""
        statement = "INSERT INTO batches VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state"
        self._write(statement, (batch, endpoint, time.time(), state))
        if formerly:
            self._write("UPDATE calls SET batch = ? WHERE batch = ?", (batch, formerly))
            self._write("DELETE FROM batches WHERE id = ?", (formerly,))

    def flush(self) -> None:
        """Wait until everything written so far is on the disk. Raises LedgerError if it could not be written."""
        done = threading.Event()
        self._writes.put(_Write("SELECT 1", (), flushed=done))
        while not done.wait(1.0):
            self.require_alive()
        if self.failure is not None:
            raise self.failure

    def require_alive(self) -> None:
        """Raise LedgerError if nothing can be written any more: whoever waits for a write would wait for ever."""
        if self.failure is not None:
            raise self.failure
        if not self._thread.is_alive():
            raise _unwritable(self.path, RuntimeError("the thread that writes has ended"))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writes.put(None)
        self._thread.join()
        with self._lock:
            self._reader.close()

    def _write(self, statement: str, values: tuple[Any, ...], ticket: Ticket | None = None) -> None:
        self._writes.put(_Write(statement, values, ticket))

    def _work(self) -> None:
        """Write until the end. Whatever is raised here ends the work of all who wait, and says why."""
        last = False
        while not last and (first := self._writes.get()) is not None:
            group, last = _group(self._writes, first)
            try:
                if self.failure is None:
                    _commit(self._connection, group)
            except Exception as error:
                self.failure = _unwritable(self.path, error)
            with suppress(RuntimeError):  # whoever was to be told has closed its loop
                self._on_commit([write.ticket for write in group if write.ticket], self.failure)
            for write in group:
                if write.flushed:
                    write.flushed.set()
        self._connection.close()


def _group(writes: queue.SimpleQueue[_Write | None], first: _Write) -> tuple[list[_Write], bool]:
    """The writes that are waiting, `first` at their head, and whether the end was among them.

    Requests are written down ahead of their time, so they wait a moment for a reply to share its commit.
    """
    group, urgent = [first], first.urgent
    until = time.monotonic() + LINGER
    while len(group) < _GROUP:
        try:
            write = writes.get_nowait() if urgent else writes.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        if write is None:
            return group, True
        group.append(write)
        urgent = urgent or write.urgent
    return group, False


def _commit(connection: sqlite3.Connection, group: Iterable[_Write]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for write in group:
            connection.execute(write.statement, write.values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection to read and one to write, the schema brought up to date."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = _connect(path)
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise LedgerError(f"{path} was written by a newer Errorbook; install that version to use it.")
        for number in range(version, len(MIGRATIONS)):
            writer.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")
        return _connect(path), writer
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _unreadable(path: Path, error: Exception) -> LedgerError:
    return LedgerError(f"{path} cannot be read as a store of calls ({error}); move it away or name another file.")


def _unwritable(path: Path, error: Exception) -> LedgerError:
    return LedgerError(f"{path} could not be written ({error}); free some disk space and run again, nothing is lost.")
