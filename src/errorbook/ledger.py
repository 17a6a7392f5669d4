"""One SQLite file a run: every record, appended once, found by key, hash or parent. The only module with SQL.

A *key* says which piece of work a record answers (this response, that draft), so resuming is skipping known keys.
WAL mode makes each committed append survive `kill -9`; a power cut can lose the last moments, never the file. A lock
file admits one writer at a time and any number of readers. Times are kept apart in `events`: two runs of the same
file hold the same records. It does not know what the records mean, nor in which order work is done.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec
from filelock import FileLock, Timeout

from errorbook.errors import LedgerError
from errorbook.records import Evaluation, Record, Response, Verdict, digest

T = TypeVar("T", bound=Record)

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
        at REAL NOT NULL,
        stage TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        seconds REAL NOT NULL,
        items INTEGER NOT NULL
    );
    """,
)
"""Schema changes in order; the file's `user_version` counts those applied. Never edit one that was released."""


class Entry(NamedTuple):
    """A record to append: `key` names the work it answers, `parent` the hash of the record that led to it."""

    record: Record
    key: str
    parent: str = ""


class Tally(NamedTuple):
    """Counts of one evaluation's responses."""

    n: int
    right: int
    wrong: int
    unscorable: int
    truncated: int
    tokens: int


class Event(NamedTuple):
    """How long a stage took: unix time of its end, wall seconds, and the number of items it finished."""

    at: float
    stage: str
    cycle: int
    seconds: float
    items: int


class Ledger:
    """An open ledger. Made by `open_ledger`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._sql = connection
        self.path = path
        self._evaluations: dict[str, int] = {}

    @property
    def root(self) -> Path:
        """The run's folder: checkpoint folders are relative to it."""
        return self.path.parent

    # facts ------------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A fact about the run, or None: `config` (canonical JSON), `run_file` (its text), `plugins`, `version`."""
        row = self._sql.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def state(self, name: str, value: str) -> None:
        """Record a fact once and for all; a different value for a known fact raises LedgerError."""
        known = self.fact(name)
        if known is None:
            with self._writing():
                self._sql.execute("INSERT INTO facts VALUES (?, ?)", (name, value))
        elif known != value:
            raise LedgerError(f"The ledger '{self.path}' holds another {name} for this run; use another --out folder.")

    # records ----------------------------------------------------------------------------------------------------

    def append(self, record: Record, key: str, cycle: int = 0, parent: str = "") -> None:
        """Append one record; see `extend`."""
        self.extend([Entry(record, key, parent)], cycle)

    def extend(self, entries: Iterable[Entry], cycle: int = 0) -> None:
        """Append records in one transaction: all or none are kept. A key that is known is left as it is."""
        rows = [
            (type(record).__name__, key, record.hash, parent, cycle, _encode(record)) for record, key, parent in entries
        ]
        with self._writing():
            self._sql.executemany(
                "INSERT OR IGNORE INTO records (kind, key, hash, parent, cycle, body) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def find(self, kind: type[T], key: str) -> T | None:
        """The record of this kind with this key, or None."""
        row = self._sql.execute("SELECT body FROM records WHERE kind = ? AND key = ?", (kind.__name__, key)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def get(self, kind: type[T], hash: str) -> T | None:
        """The record of this kind with this content hash, or None."""
        row = self._sql.execute(
            "SELECT body FROM records WHERE hash = ? AND kind = ?", (hash, kind.__name__)
        ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def all(self, kind: type[T], cycle: int | None = None, parent: str | None = None) -> Iterator[T]:
        """Records of one kind in the order of appending, of one cycle or one parent where given."""
        decode = msgspec.json.Decoder(kind).decode
        for row in self._select("body", kind, cycle, parent):
            yield decode(row[0])

    def keys(self, kind: type[Record], cycle: int | None = None) -> set[str]:
        """The known keys of one kind."""
        return {row[0] for row in self._select("key", kind, cycle, None)}

    def count(self, kind: type[Record], cycle: int | None = None) -> int:
        """How many records of one kind there are."""
        return int(next(iter(self._select("count(*)", kind, cycle, None)))[0])

    def _select(self, what: str, kind: type[Record], cycle: int | None, parent: str | None) -> Iterator[sqlite3.Row]:
        clauses, values = ["kind = ?"], [kind.__name__]
        if cycle is not None:
            clauses.append("cycle = ?")
            values.append(str(cycle))
        if parent is not None:
            clauses.append("parent = ?")
            values.append(parent)
        query = f"SELECT {what} FROM records WHERE {' AND '.join(clauses)} ORDER BY seq"  # noqa: S608 - fixed parts only
        return iter(self._sql.execute(query, values))

    # responses --------------------------------------------------------------------------------------------------

    def open_evaluation(self, evaluation: Evaluation, cycle: int = 0) -> None:
        """Record an evaluation's identity, so that its responses can be appended; known ones are left as they are."""
        self.append(evaluation, key=evaluation.hash, cycle=cycle, parent=evaluation.checkpoint)

    def append_responses(self, responses: Sequence[Response]) -> None:
        """Append responses of opened evaluations in one transaction; an example that is answered is left as it is."""
        rows = [
            (
                self._evaluation(response.evaluation),
                response.example,
                response.hash,
                response.score.verdict,
                response.truncated,
                response.tokens,
                _encode(response),
            )
            for response in responses
        ]
        with self._writing():
            self._sql.executemany(
                "INSERT OR IGNORE INTO responses (evaluation, example, hash, verdict, truncated, tokens, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def answered(self, evaluation: Evaluation) -> set[str]:
        """Ids of the examples that this evaluation has a response for."""
        rows = self._sql.execute(
            "SELECT example FROM responses WHERE evaluation = ?", (self._evaluation(evaluation.hash),)
        )
        return {row[0] for row in rows}

    def responses(self, evaluation: Evaluation, verdict: Verdict | None = None) -> Iterator[Response]:
        """The evaluation's responses in the order of their example ids, of one verdict where given."""
        decode = msgspec.json.Decoder(Response).decode
        rows = self._sql.execute(
            "SELECT body FROM responses WHERE evaluation = ? AND (? IS NULL OR verdict = ?) ORDER BY example",
            (self._evaluation(evaluation.hash), verdict, verdict),
        )
        for row in rows:
            yield decode(row[0])

    def verdicts(self, evaluation: Evaluation) -> dict[str, Verdict]:
        """Verdict by example id; cheap, the responses' texts are not read."""
        rows = self._sql.execute(
            "SELECT example, verdict FROM responses WHERE evaluation = ? ORDER BY example",
            (self._evaluation(evaluation.hash),),
        )
        return {row[0]: row[1] for row in rows}

    def response(self, hash: str) -> Response | None:
        """The response with this content hash, or None."""
        row = self._sql.execute("SELECT body FROM responses WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Response)

    def tally(self, evaluation: Evaluation) -> Tally:
        """Counts of the evaluation's responses so far."""
        row = self._sql.execute(
            "SELECT count(*), sum(verdict = 'right'), sum(verdict = 'wrong'), sum(verdict = 'unscorable'),"
            " sum(truncated), sum(tokens) FROM responses WHERE evaluation = ?",
            (self._evaluation(evaluation.hash),),
        ).fetchone()
        return Tally(*(int(value or 0) for value in row))

    def _evaluation(self, hash: str) -> int:
        if hash not in self._evaluations:
            row = self._sql.execute("SELECT seq FROM records WHERE kind = 'Evaluation' AND key = ?", (hash,)).fetchone()
            if row is None:
                raise LedgerError(f"The ledger '{self.path}' has no evaluation {hash}; open it before appending to it.")
            self._evaluations[hash] = int(row[0])
        return self._evaluations[hash]

    # events and the whole ---------------------------------------------------------------------------------------

    def note(self, stage: str, cycle: int, seconds: float, items: int) -> None:
        """Record how long a stage took. Events are not part of the run's content."""
        with self._writing():
            self._sql.execute(
                "INSERT INTO events (at, stage, cycle, seconds, items) VALUES (?, ?, ?, ?, ?)",
                (time.time(), stage, cycle, seconds, items),
            )

    def events(self) -> list[Event]:
        """All events in order."""
        rows = self._sql.execute("SELECT at, stage, cycle, seconds, items FROM events ORDER BY seq")
        return [Event(*row) for row in rows]

    def digest(self) -> str:
        """Hash of the whole content, timings aside: equal for two runs that did the same work."""
        records = self._sql.execute("SELECT kind, key, hash, parent, cycle FROM records ORDER BY kind, key")
        responses = self._sql.execute("SELECT hash FROM responses ORDER BY hash")
        return digest(*(repr(tuple(row)) for row in records), *(row[0] for row in responses))

    def total_cost(self) -> float:
        """Dollars spent on instructor calls so far."""
        row = self._sql.execute(
            "SELECT coalesce(sum(json_extract(body, '$.cost_usd')), 0) FROM records WHERE kind = 'Call'"
        ).fetchone()
        return float(row[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._sql:
                yield
        except sqlite3.OperationalError as error:
            raise _explain(error, self.path) from error


@contextmanager
def open_ledger(path: Path | str, mode: Literal["read", "write"] = "read") -> Iterator[Ledger]:
    """Open a run's ledger; "write" creates it where missing, migrates it, and locks out a second writer.

    Args:
        path: The ledger file, or the run's folder.
        mode: "read" never changes anything and works while a run goes on.

    Raises:
        LedgerError: Missing (when reading), not a ledger, too new, busy, or on a full or read-only disk.
    """
    path = Path(path)
    if path.is_dir() or not path.suffix:
        path = path / "ledger.sqlite"
    if mode == "read":
        with closing(_connect(path, readonly=True)) as connection:
            yield Ledger(connection, path)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=0), closing(_connect(path, readonly=False)) as connection:
            yield Ledger(connection, path)
    except Timeout:
        raise LedgerError(f"Another process is writing to '{path}'; wait for it or stop it.") from None
    except OSError as error:
        if error.filename and Path(error.filename).parent == path.parent:
            raise LedgerError(f"The folder '{path.parent}' cannot be written ({error.strerror}).") from None
        raise


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    if readonly and not path.is_file():
        raise LedgerError(f"There is no ledger at '{path}'; give the folder of a run that was started.")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={'ro' if readonly else 'rwc'}", uri=True)
        connection.execute("PRAGMA foreign_keys = ON")
        if not readonly:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path, readonly)
    except sqlite3.DatabaseError as error:
        raise _explain(error, path) from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path, readonly: bool) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
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


def _encode(record: Record) -> str:
    return msgspec.json.encode(record).decode()


def _explain(error: sqlite3.DatabaseError, path: Path) -> LedgerError:
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
