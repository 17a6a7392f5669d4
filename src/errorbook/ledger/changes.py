"""What was appended to a ledger since someone last looked, in order and in portions, and the answers side by side.

Apart from `file`, which serves the loop: only the catalogue asks these. Rows are never changed or taken away, so the
last number that was read says where to go on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from errorbook.ledger.file import Ledger
from errorbook.records import Evaluation, Verdict


class Heads(NamedTuple):
    """The numbers of the newest record and of the newest response; 0 if there is none."""

    record: int
    response: int


class NewRecord(NamedTuple):
    """One appended record, not decoded."""

    seq: int
    kind: str
    key: str
    hash: str
    cycle: int
    body: str


class NewAnswer(NamedTuple):
    """One appended response: the evaluation's hash, and which example it answers."""

    seq: int
    evaluation: str
    example: str


class BareResponse(NamedTuple):
    """One response of an evaluation, without its text."""

    example: str
    verdict: Verdict
    seq: int


class _Named(msgspec.Struct):
    evaluation: str
    example: str


class _Said(msgspec.Struct):
    text: str


_named = msgspec.json.Decoder(_Named).decode
_said = msgspec.json.Decoder(_Said).decode


def heads(ledger: Ledger) -> Heads:
    """How far the ledger is."""
    row = ledger.connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM records), 0), coalesce((SELECT max(seq) FROM bodies), 0)"
    ).fetchone()
    return Heads(*row)


def record_hash(ledger: Ledger, seq: int) -> str:
    """The hash of the record with this number, empty if there is none: tells one ledger from another."""
    row = ledger.connection.execute("SELECT hash FROM records WHERE seq = ?", (seq,)).fetchone()
    return "" if row is None else str(row[0])


def records_after(ledger: Ledger, seq: int, kinds: Collection[str], limit: int) -> list[NewRecord]:
    """The next records of these kinds, at most so many."""
    marks = ", ".join("?" * len(kinds))
    rows = ledger.connection.execute(  # the plus keeps SQLite from sorting all records of a kind
        "SELECT seq, kind, key, hash, cycle, body FROM records"  # noqa: S608 - question marks only
        f" WHERE seq > ? AND +kind IN ({marks}) ORDER BY seq LIMIT ?",
        (seq, *kinds, limit),
    )
    return [NewRecord(*row) for row in rows]


def answers_after(ledger: Ledger, seq: int, limit: int) -> list[NewAnswer]:
    """The next responses of any evaluation, at most so many."""
    rows = ledger.connection.execute("SELECT seq, body FROM bodies WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
    found = []
    for number, body in rows:
        named = _named(body)
        found.append(NewAnswer(number, named.evaluation, named.example))
    return found


def evaluations(ledger: Ledger) -> list[tuple[int, Evaluation]]:
    """All evaluations with the number under which their responses are kept, in order."""
    rows = ledger.connection.execute("SELECT seq, body FROM records WHERE kind = 'Evaluation' ORDER BY seq")
    return [(seq, msgspec.json.decode(body, type=Evaluation)) for seq, body in rows]


def answers_of(ledger: Ledger, evaluation: int, after: str, limit: int) -> list[BareResponse]:
    """The evaluation's next responses in the order of their example ids, at most so many."""
    rows = ledger.connection.execute(
        "SELECT example, verdict, seq FROM responses WHERE evaluation = ? AND example > ? ORDER BY example LIMIT ?",
        (evaluation, after, limit),
    )
    return [BareResponse(*row) for row in rows]


def answer_to(ledger: Ledger, evaluation: int, example: str) -> BareResponse | None:
    """The evaluation's response to one example, or None."""
    row = ledger.connection.execute(
        "SELECT example, verdict, seq FROM responses WHERE evaluation = ? AND example = ?", (evaluation, example)
    ).fetchone()
    return None if row is None else BareResponse(*row)


def has_answers(ledger: Ledger, evaluation: int, upto: int) -> bool:
    """Whether some of the evaluation's responses have a number up to this one."""
    query = "SELECT 1 FROM responses WHERE evaluation = ? AND seq <= ? LIMIT 1"
    return ledger.connection.execute(query, (evaluation, upto)).fetchone() is not None


def read_text(ledger: Ledger, seq: int) -> str:
    """The text of the response with this number, empty if there is none."""
    row = ledger.connection.execute("SELECT body FROM bodies WHERE seq = ?", (seq,)).fetchone()
    return "" if row is None else _said(row[0]).text


def find_answer(ledger: Ledger, hash: str) -> tuple[int, str] | None:
    """Evaluation number and example of the response with this hash, or None. Reads all, so for what is rare."""
    row = ledger.connection.execute("SELECT evaluation, example FROM responses WHERE hash = ?", (hash,)).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))
