"""Takes what is whole out of a damaged ledger into a new one, so that the run can go on from it.

A row is whole if its text has the hash that it was kept under. What came of a lost row is left out as well: the run
makes it again, unless its cycle is decided. The rows keep their numbers, so their order stays what it was. The damaged
file is not changed.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.health import SEAL, decode_record, is_sealed
from errorbook.ledger.schema import migrate
from errorbook.ledger.sqlite_pages import FoundRow, read_rows
from errorbook.records import Response, content_hash, digest

_TOGETHER = {"Diagnosis", "Failure", "Neighbours", "Draft", "Vote"}
"""What is appended in one step with the call that it came of, just after it."""
_OF_A_TRAINING = ("Lesson", "Training", "Checkpoint")


class _Kept(NamedTuple):
    """A row of the table `records`."""

    kind: str
    key: str
    hash: str
    parent: str
    cycle: int
    body: str


class Salvage(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken over, by kind (`Response` among them), and what was not.

    `lost` counts what could not be read and what came of it; rows of which not even the kind is known are `unknown`.
    """

    kept: dict[str, int]
    lost: dict[str, int]
    facts: tuple[str, ...] = ()
    """Names of the facts that are lost."""


class _Rows:
    """What the pages hold, told apart by the shape of the rows."""

    def __init__(self, path: Path) -> None:
        self.facts: dict[str, str] = {}
        self.records: dict[int, _Kept] = {}
        self.bodies: dict[int, str] = {}
        self.answers: dict[int, tuple[int, str, str]] = {}
        self.events: dict[int, tuple[object, ...]] = {}
        self.named: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for row in read_rows(path):
            (self._take_table if row.number is not None else self._take_entry)(row)

    @cached_property
    def kinds(self) -> dict[int, str]:
        """The kind of every record that there ever was, by its number; one that nothing names is `unknown`."""
        kinds = {seq: row.kind for seq, row in self.records.items()}
        for seq in range(1, max([*kinds, *self.named], default=0) + 1):
            names = [kind for kind, _ in self.named[seq] if kind[:1].isupper() and kind.isalpha()]
            kinds.setdefault(seq, names[0] if names else "unknown")
        return kinds

    def _take_table(self, row: FoundRow) -> None:
        number = row.number or 0
        match row.values:
            case (None, str() as kind, str() as key, str() as hash, str() as parent, int() as cycle, str() as body):
                if hash == digest(kind, body) and decode_record(kind, body.encode()) is not None:
                    self.records[number] = _Kept(kind, key, hash, parent, cycle, body)
            case (None, str() as body):
                self.bodies[number] = body
            case (None, str(), int(), int(), int(), str(), str(), int() | float(), int() | float()):
                known = self.events.get(number)
                if known is None or known[3] < row.values[3]:  # type: ignore[operator]
                    self.events[number] = (number, *row.values[1:])

    def _take_entry(self, row: FoundRow) -> None:
        match row.values:
            case (str() as name, str() as value):
                self.facts[name] = value
            case (int() as evaluation, str() as example, str(), int(), int(), str() as hash, int() as seq):
                self.answers[seq] = (evaluation, example, hash)
            case (str() as one, str() as other, int() as number):  # kind and key, or parent and kind
                self.named[number].add((one, other))


def salvage(path: Path, fresh: Path) -> Salvage:
    """Write what is whole in the ledger at `path` into a new one at `fresh`, which must not be there yet.

    Raises:
        LedgerError: Nothing could be read, or the new file cannot be written.
    """
    if fresh.exists():
        raise LedgerError(f"'{fresh}' is there already; give --salvage a new folder.")
    found = _Rows(path)
    if not found.records:
        raise LedgerError(f"Nothing in '{path}' can be read any more; begin the run anew in another --out folder.")
    total = Counter(found.kinds.values()) + Counter({"Response": len(found.bodies.keys() | found.answers.keys())})
    lost = set(found.kinds) - _agreeing(found)
    records = {seq: row for seq, row in found.records.items() if seq not in lost}
    responses = _whole_responses(found, records)
    _drop_calls(records, max(found.kinds))
    _drop_orphans(records, responses)
    _drop_trainings(records, _damaged_cycles(found, records))
    _drop_orphans(records, responses)
    facts = {name: value for name, value in found.facts.items() if is_sealed(found.facts, name)}
    _write(fresh, facts, records, responses, found.events)
    kept = Counter(row.kind for row in records.values()) + Counter({"Response": len(responses)})
    gone = tuple(sorted(set(_seals(found.facts)) - facts.keys()))
    return Salvage(kept=dict(sorted(kept.items())), lost=dict(sorted((total - kept).items())), facts=gone)


def _seals(facts: dict[str, str]) -> Iterable[str]:
    """The names of all facts that are known to have been there."""
    return (name.removeprefix(SEAL) for name in facts)


def _agreeing(found: _Rows) -> set[int]:
    """The numbers of the records of which the indexes say the same, as far as they say anything."""
    agreeing = set()
    for seq, row in found.records.items():
        said = {(row.kind, row.key), (row.parent, row.kind)}
        if found.named[seq] <= said:
            agreeing.add(seq)
    return agreeing


def _whole_responses(found: _Rows, records: dict[int, _Kept]) -> dict[int, tuple[int, Response, str]]:
    """The responses with the hash that they were kept under, and whose evaluation is there, by their number."""
    evaluations = {row.hash: seq for seq, row in records.items() if row.kind == "Evaluation"}
    whole = {}
    for seq, body in found.bodies.items():
        answer = found.answers.get(seq)
        if answer is None or answer[2] != content_hash(Response, body.encode()):
            continue
        try:
            said = msgspec.json.decode(body, type=Response)
        except msgspec.DecodeError:
            continue
        number = evaluations.get(said.evaluation)
        if number is not None and answer[:2] == (number, said.example):
            whole[seq] = (number, said, body)
    return whole


def _drop_calls(records: dict[int, _Kept], last: int) -> None:
    """Leave out each call of which a result may be lost: the call says that the work is done."""
    for seq in [seq for seq, row in records.items() if row.kind == "Call"]:
        group = [seq]
        while group[-1] + 1 in records and records[group[-1] + 1].kind in _TOGETHER:
            group.append(group[-1] + 1)
        after = group[-1] + 1
        if after <= last and after not in records:
            for each in group:
                del records[each]


def _drop_orphans(records: dict[int, _Kept], responses: dict[int, tuple[int, Response, str]]) -> None:
    """Leave out what came of a record that is lost, and what came of that."""
    while True:
        known = {row.hash for row in records.values()}
        known |= {content_hash(Response, body.encode()) for _, _, body in responses.values()}
        # A candidate's parent is the set of its lessons, which is no record; its own parent is told apart below.
        orphans = {
            seq for seq, row in records.items() if row.parent and row.kind != "Checkpoint" and row.parent not in known
        }
        evaluations = {seq for seq, row in records.items() if row.kind == "Evaluation"} - orphans
        astray = {seq for seq, (number, _, _) in responses.items() if number not in evaluations}
        if not orphans and not astray:
            return
        for seq in orphans:
            del records[seq]
        for seq in astray:
            del responses[seq]


def _damaged_cycles(found: _Rows, records: dict[int, _Kept]) -> set[int]:
    """The cycles that are not decided and of which a record is left out."""
    decided = {row.cycle for row in records.values() if row.kind == "Decision"}
    gone = {row.cycle for seq, row in found.records.items() if seq not in records}
    unread = any(seq not in found.records for seq in found.kinds)
    open_cycles = {row.cycle for row in found.records.values()} - decided
    return (open_cycles if unread else gone & open_cycles) - {0}


def _drop_trainings(records: dict[int, _Kept], cycles: set[int]) -> None:
    """Leave out the trainings of these cycles: their samples may come out otherwise the second time."""
    for seq, row in list(records.items()):
        if row.cycle in cycles and row.kind in _OF_A_TRAINING and row.key != keys.BASE:
            del records[seq]


def _write(
    path: Path,
    facts: dict[str, str],
    records: dict[int, _Kept],
    responses: dict[int, tuple[int, Response, str]],
    events: dict[int, tuple[object, ...]],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        migrate(connection, path, readonly=False)
        with connection:
            connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            rows = ((seq, *row) for seq, row in sorted(records.items()))
            connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            for seq, (number, said, body) in sorted(responses.items()):
                columns = (said.example, said.score.verdict, said.truncated, said.tokens)
                hash = content_hash(Response, body.encode())
                values = (number, *columns, hash, seq)
                connection.execute("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                connection.execute("INSERT OR IGNORE INTO bodies VALUES (?, ?)", (seq, body))
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", sorted(events.values()))
