"""One SQLite file a run: every record, appended once, found by key, hash or parent. SQL stands in `ledger` alone.

A *key* says which piece of work a record answers (this response, that draft), so resuming is skipping known keys.
WAL mode makes each committed append survive `kill -9`; a power cut can lose the last moments, never the file. A lock
file admits one writer at a time and any number of readers. Times are kept apart in `events`: two runs of the same
file hold the same records. It does not know what the records mean, nor in which order work is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec
from filelock import FileLock, Timeout

from errorbook.errors import BusyError, LedgerError
from errorbook.ledger import keys
from errorbook.ledger.events import Event
from errorbook.ledger.health import SEAL
from errorbook.ledger.opening import opened
from errorbook.ledger.schema import LEDGER, explain
from errorbook.ledger.tables import Tables
from errorbook.records import Evaluation, Record, Response, Score, Unjudged, Verdict, content_hash, digest, encode
from errorbook.redact import mask_run_file

T = TypeVar("T", bound=Record)

RUN_FILE = "run_file"
"""The fact that is a text by the user, who may have written a key into a comment."""


class Entry(NamedTuple):
    """A record to append: `key` names the work it answers, `parent` the hash of the record that led to it."""

    record: Record
    key: str
    parent: str = ""


class ResponseTally(NamedTuple):
    """Counts of one evaluation's responses."""

    n: int
    right: int
    wrong: int
    unscorable: int
    truncated: int
    tokens: int


class SkillCount(NamedTuple):
    """How many examples of one skill two evaluations answered so; `after` is None if the second did not answer."""

    skill: str
    before: Verdict
    before_truncated: bool
    after: Verdict | None
    after_truncated: bool
    n: int


class Ledger(Tables):
    """An open ledger. Made by `open_ledger`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._sql = connection
        self.path = path
        self._evaluations: dict[str, int] = {}
        self._tallies: dict[str, ResponseTally] = {}
        self._alike: dict[str, list[int]] = {}
        self._cost, self._cost_upto = 0.0, 0
        self._joined = False

    @property
    def root(self) -> Path:
        """The run's folder: checkpoint folders are relative to it."""
        return self.path.parent

    @property
    def connection(self) -> sqlite3.Connection:
        """For the other modules of this folder, which ask what only people want to know; nothing else uses it."""
        return self._sql

    # facts ------------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A fact about the run, or None: `config` (canonical JSON), `run_file` (its text), `plugins`, `version`."""
        row = self._sql.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def state(self, name: str, value: str) -> None:
        """Record a fact once and for all; a different value for a known fact raises LedgerError."""
        value = mask_run_file(value) if name == RUN_FILE else value
        known = self.fact(name)
        if known is None:
            with self._writing():
                self._sql.execute("INSERT INTO facts VALUES (?, ?)", (name, value))
                self._sql.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (SEAL + name, digest(value)))
        elif known != value:
            raise LedgerError(f"The ledger '{self.path}' holds another {name} for this run; use another --out folder.")

    # records ----------------------------------------------------------------------------------------------------

    def append(self, record: Record, key: str, cycle: int = 0, parent: str = "") -> None:
        """Append one record; see `extend`."""
        self.extend([Entry(record, key, parent)], cycle)

    def extend(self, entries: Iterable[Entry], cycle: int = 0) -> None:
        """Append records in one transaction: all or none are kept. A key that is known is left as it is.

        Raises:
            LedgerError: The disk is full, or the file cannot be written.
        """
        # Resuming depends on it: what a resumed run appends a second time stays what it was at first.
        rows = [
            (type(record).__name__, key, record.hash, parent, cycle, encode(record).decode())
            for record, key, parent in entries
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
        """Records of one kind in the order of appending, of one cycle or one parent if given."""
        decode = msgspec.json.Decoder(kind).decode
        for row in self._select("body", kind, cycle, parent):
            yield decode(row[0])

    def by_hash(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        """All records of one kind with their recorded hash, which computing it anew would cost more than reading."""
        decode = msgspec.json.Decoder(kind).decode
        for row in self._select("hash, body", kind, None, None):
            yield row[0], decode(row[1])

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
        """Append responses of opened evaluations in one transaction; an example that is answered is left as it is.

        Raises:
            LedgerError: An evaluation was not opened, the disk is full, or the file cannot be written.
        """
        with self._writing():
            last = int(self._sql.execute("SELECT coalesce(max(seq), 0) FROM bodies").fetchone()[0])
            bodies: list[tuple[int, str]] = []
            for response in responses:
                body = encode(response)
                new = self._sql.execute(
                    "INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        self._evaluation(response.evaluation),
                        response.example,
                        response.score.verdict,
                        response.truncated,
                        response.tokens,
                        content_hash(Response, body),  # the text is long: encode it once
                        last + len(bodies) + 1,
                    ),
                )
                if new.rowcount:
                    bodies.append((last + len(bodies) + 1, body.decode()))
            self._sql.executemany("INSERT INTO bodies VALUES (?, ?)", bodies)

    def discard(self, evaluation: Evaluation) -> None:
        """Take back an evaluation that turned out to be none, texts without a verdict included.

        Nothing may have been made of it yet.
        """
        number = self._evaluation(evaluation.hash)
        with self._writing():
            self._sql.execute(
                "DELETE FROM bodies WHERE seq IN (SELECT seq FROM responses WHERE evaluation = ?)", (number,)
            )
            self._sql.execute("DELETE FROM responses WHERE evaluation = ?", (number,))
            self._sql.execute("DELETE FROM records WHERE kind = 'Unjudged' AND parent = ?", (evaluation.hash,))
            self._sql.execute("DELETE FROM records WHERE seq = ?", (number,))
        self._evaluations.pop(evaluation.hash, None)
        self._tallies.pop(evaluation.hash, None)
        self._alike.clear()  # others may have it among those that they recall scores from

    def answered(self, evaluation: Evaluation) -> set[str]:
        """Ids of the examples that this evaluation has a response for."""
        rows = self._sql.execute(
            "SELECT example FROM responses WHERE evaluation = ?", (self._evaluation(evaluation.hash),)
        )
        return {row[0] for row in rows}

    def keep_unjudged(self, responses: Sequence[Unjudged]) -> None:
        """Keep the texts of responses that have no verdict; one that is kept already stays as it is."""
        self.extend(Entry(item, keys.unjudged(item.evaluation, item.example), item.evaluation) for item in responses)

    def unjudged(self, evaluation: Evaluation) -> list[Unjudged]:
        """The responses of the evaluation that have no verdict yet."""
        done = self.answered(evaluation)
        return [item for item in self.all(Unjudged, parent=evaluation.hash) if item.example not in done]

    def recall(self, evaluation: Evaluation, example: str, text: str) -> Score | None:
        """The score that the same scorer gave the same text before, as the response to the same example."""
        if evaluation.hash not in self._alike:
            alike = [item.hash for item in self.all(Evaluation) if _judged_alike(item, evaluation)]
            self._alike[evaluation.hash] = [self._evaluation(hash) for hash in alike]
        for number in self._alike[evaluation.hash]:
            found = self._one_response("evaluation = ? AND example = ?", number, example)
            if found is not None and found.text == text:
                return found.score
        return None

    def responses(self, evaluation: Evaluation, verdict: Verdict | None = None) -> Iterator[Response]:
        """The evaluation's responses in the order of their example ids, of one verdict if given."""
        decode = msgspec.json.Decoder(Response).decode
        rows = self._sql.execute(
            "SELECT body FROM responses JOIN bodies USING (seq)"
            " WHERE evaluation = ? AND (? IS NULL OR verdict = ?) ORDER BY example",
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

    def answer(self, evaluation: Evaluation, example: str) -> Response | None:
        """The evaluation's response to one example, or None."""
        return self._one_response("evaluation = ? AND example = ?", self._evaluation(evaluation.hash), example)

    def response(self, hash: str, example: str | None = None) -> Response | None:
        """The response with this content hash, or None; without its example's id the whole ledger is searched."""
        if example is None:
            return self._one_response("hash = ?", hash)
        known = "evaluation IN (SELECT seq FROM records WHERE kind = 'Evaluation')"
        return self._one_response(f"{known} AND example = ? AND hash = ?", example, hash)

    def _one_response(self, where: str, *values: int | str) -> Response | None:
        query = f"SELECT body FROM responses JOIN bodies USING (seq) WHERE {where}"  # noqa: S608 - fixed parts only
        row = self._sql.execute(query, values).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Response)

    def tally(self, evaluation: Evaluation) -> ResponseTally:
        """Counts of the evaluation's responses so far."""
        if evaluation.hash in self._tallies:
            return self._tallies[evaluation.hash]
        row = self._sql.execute(
            "SELECT count(*), sum(verdict = 'right'), sum(verdict = 'wrong'), sum(verdict = 'unscorable'),"
            " sum(truncated), sum(tokens) FROM responses WHERE evaluation = ?",
            (self._evaluation(evaluation.hash),),
        ).fetchone()
        found = ResponseTally(*(int(value or 0) for value in row))
        if found.n == evaluation.n:  # no response is ever added to it, or changed
            self._tallies[evaluation.hash] = found
        return found

    def reworded(self, before: Evaluation, after: Evaluation) -> int:
        """How many questions were put in other words to the second: rendered prompts are compared by their hash."""
        query = (
            "SELECT count(*) FROM responses AS a JOIN responses AS b ON b.evaluation = ? AND b.example = a.example"
            " JOIN bodies AS x ON x.seq = a.seq JOIN bodies AS y ON y.seq = b.seq WHERE a.evaluation = ?"
            " AND json_extract(x.body, '$.prompt_hash') <> json_extract(y.body, '$.prompt_hash')"
        )
        values = self._evaluation(after.hash), self._evaluation(before.hash)
        return int(self._sql.execute(query, values).fetchone()[0])

    def by_skill(self, before: Evaluation, after: Evaluation | None) -> list[SkillCount]:
        """Counts of what two evaluations answered, by the recorded examples' skill; without one they are left out."""
        rows = self._sql.execute(
            "SELECT json_extract(r.body, '$.skill') AS skill, a.verdict, a.truncated, b.verdict, b.truncated, count(*)"
            " FROM responses AS a JOIN records AS r ON r.kind = 'Example' AND r.key = ? || a.example"
            " LEFT JOIN responses AS b ON b.evaluation = ? AND b.example = a.example"
            " WHERE a.evaluation = ? AND skill <> '' GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
            (
                keys.examples(before.task, before.split),
                self._evaluation(after.hash) if after else None,
                self._evaluation(before.hash),
            ),
        )
        return [SkillCount(skill, old, bool(cut), new, bool(new_cut), n) for skill, old, cut, new, new_cut, n in rows]

    def _evaluation(self, hash: str) -> int:
        if hash not in self._evaluations:
            row = self._sql.execute("SELECT seq FROM records WHERE kind = 'Evaluation' AND key = ?", (hash,)).fetchone()
            if row is None:
                raise LedgerError(f"The ledger '{self.path}' has no evaluation {hash}; open it before appending to it.")
            self._evaluations[hash] = int(row[0])
        return self._evaluations[hash]

    def is_without_responses(self) -> bool:
        """Whether no question was answered yet."""
        return self._sql.execute("SELECT 1 FROM responses LIMIT 1").fetchone() is None

    def count_all(self) -> int:
        """How many records there are, responses aside."""
        return int(self._sql.execute("SELECT count(*) FROM records").fetchone()[0])

    def clear(self) -> None:
        """Begin anew: only for a ledger that holds no result."""
        with self._writing():
            for table in ("bodies", "responses", "records", "facts", "events"):
                self._sql.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names only
        self._evaluations.clear()

    # events and the whole ---------------------------------------------------------------------------------------

    def begin(self, event: Event) -> int:
        """Record that a stage begins, and return its number; one that did not end goes on, as the last event."""
        names = (event.stage, event.cycle, event.total, event.task, event.split)
        with self._writing():
            row = self._sql.execute(
                "UPDATE events SET seq = (SELECT max(seq) + 1 FROM events) WHERE done < total"
                " AND (stage, cycle, total, task, split) = (?, ?, ?, ?, ?) RETURNING seq",
                names,
            ).fetchone()
            row = (
                row
                or self._sql.execute(
                    "INSERT INTO events (stage, cycle, total, task, split, at, done, seconds)"
                    " VALUES (?, ?, ?, ?, ?, ?, 0, 0) RETURNING seq",
                    (*names, event.at),
                ).fetchone()
            )
            return int(row[0])

    def advance(self, number: int, done: int, seconds: float) -> None:
        """Record how far a stage is: its finished items, which never get fewer, and seconds to add to its time."""
        with self._writing():
            self._sql.execute(
                "UPDATE events SET done = max(done, ?), seconds = seconds + ? WHERE seq = ?", (done, seconds, number)
            )

    def events(self) -> list[Event]:
        """The events in order, one a stage."""
        columns = ", ".join(Event._fields)
        rows = self._sql.execute(f"SELECT {columns} FROM events ORDER BY seq")  # noqa: S608 - fixed parts only
        return [Event(*row) for row in rows]

    def digest(self) -> str:
        """Hash of the whole content but for timings and failures of the machinery: equal if the same work was done."""
        kept = "SELECT kind, key, hash, parent, cycle FROM records WHERE kind <> 'Unjudged' ORDER BY kind, key"
        records = self._sql.execute(kept)
        responses = self._sql.execute("SELECT hash FROM responses ORDER BY hash")
        return digest(*(repr(tuple(row)) for row in records), *(row[0] for row in responses))

    def total_cost(self) -> float:
        """Dollars spent on instructor calls so far. Only what is new is added up, so it may be asked after each."""
        kind = "+kind" if self._cost_upto else "kind"  # a plus keeps SQLite from reading all calls by their index
        newest = f"SELECT sum(json_extract(body, '$.cost_usd')) FROM records WHERE {kind} = 'Call' AND seq > ?"  # noqa: S608
        query = f"SELECT (SELECT max(seq) FROM records), ({newest})"  # noqa: S608 - fixed parts only
        upto, usd = self._sql.execute(query, (self._cost_upto,)).fetchone()
        self._cost, self._cost_upto = self._cost + (usd or 0.0), upto or self._cost_upto
        return self._cost

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that the block records is kept, or none of it, if it raises or is killed."""
        with self._writing():
            self._joined = True
            try:
                yield
            finally:
                self._joined = False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._joined:  # what encloses it commits
            yield
            return
        try:
            with self._sql:
                yield
        except sqlite3.OperationalError as error:
            raise explain(error, self.path) from error


def _judged_alike(one: Evaluation, other: Evaluation) -> bool:
    return (one.task, one.split, one.scorer) == (other.task, other.split, other.scorer)


@contextmanager
def open_ledger(path: Path | str, mode: Literal["read", "write"] = "read") -> Iterator[Ledger]:
    """Open a run's ledger; "write" creates it if it is missing, migrates it, and locks out a second writer.

    Args:
        path: The ledger file, or the run's folder.
        mode: "read" never changes anything and works while a run goes on.

    Raises:
        LedgerError: Missing (when reading), not a ledger, damaged, too old or too new, busy, or on a full or read-only
            disk.
    """
    path = Path(path)
    if path.name != LEDGER and (path.is_dir() or not path.suffix):
        path = path / LEDGER
    if mode == "read":
        with opened(path, readonly=True) as connection:
            yield Ledger(connection, path)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The lock is held as long as the connection: keys tell what is done only if nobody else appends meanwhile.
        with FileLock(path.with_suffix(".lock"), timeout=0), opened(path, readonly=False) as connection:
            yield Ledger(connection, path)
    except Timeout:
        raise BusyError(f"Another process is writing to '{path}'; wait for it or stop it.") from None
    except OSError as error:
        if error.filename and Path(error.filename).parent == path.parent:
            raise LedgerError(f"The folder '{path.parent}' cannot be written ({error.strerror}).") from None
        raise
