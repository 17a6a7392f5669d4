"""Whether a ledger is what was written: its pages, its tables, and every row against the hash that it was kept under.

It changes nothing and mends nothing (`salvage` takes out what is whole). What has no hash of its own, the times and
counts of stages, is checked by the database alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from errorbook import records
from errorbook.ledger.schema import expected_tables, explain
from errorbook.records import Evaluation, Record, Response, content_hash, digest

SEAL = "hash of "
"""What the name of a fact's hash begins with; it is a fact itself, and facts of older ledgers have none."""
_DAMAGED = (sqlite3.Error, UnicodeDecodeError, MemoryError, OverflowError)


class Damage(NamedTuple):
    """One thing that is wrong: the table (`pages` and `tables` for the file as a whole), and what, in a few words."""

    table: str
    what: str


def find_damage(connection: sqlite3.Connection) -> str:
    """The first damage in a few words, or an empty text if all is what was written."""
    with _steady(connection):
        return next((damage.what for damage in list_damage(connection)), "")


@contextmanager
def _steady(connection: sqlite3.Connection) -> Iterator[None]:
    """In one transaction, so that what a run appends meanwhile is not taken for damage."""
    begins = not connection.in_transaction
    if begins:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if begins:
            connection.rollback()


def list_damage(connection: sqlite3.Connection) -> Iterator[Damage]:
    """Everything that is wrong, the file as a whole first. A table that cannot be read any further is one damage."""
    checks = {
        "tables": _check_tables,
        "pages": _check_pages,
        "facts": _check_facts,
        "records": _check_records,
        "responses": _check_responses,
        "events": _check_events,
    }
    for table, check in checks.items():
        try:
            yield from (Damage(table, what) for what in check(connection))
        except _DAMAGED as error:
            what = str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
            yield Damage(table, f"{table}: {'a text is no UTF-8' if 'decode' in what else what}")


def check_ledger(path: Path) -> list[Damage]:
    """Everything that is wrong with the ledger at `path`, the references between its records too.

    Raises:
        LedgerError: There is no such file, or it cannot be opened.
    """
    try:
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection,
            _steady(connection),
        ):
            return [*list_damage(connection), *_list_orphans(connection)]
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _list_orphans(connection: sqlite3.Connection) -> Iterator[Damage]:
    """How many records came of one that is not there; the parent of a candidate is a set of lessons, no record."""
    query = (
        "SELECT kind, count(*) FROM records WHERE parent <> '' AND kind <> 'Checkpoint'"
        " AND parent NOT IN (SELECT hash FROM records) AND parent NOT IN (SELECT hash FROM responses) GROUP BY kind"
    )
    try:
        for kind, count in connection.execute(query):
            yield Damage("references", f"{count} of kind '{kind}' came of a record that is not there")
    except _DAMAGED:  # is listed above
        return


def decode_record(kind: str, body: bytes) -> Record | None:
    """The record that a row's JSON is, or None if this version of Errorbook knows no such record."""
    known = record_kinds().get(kind)
    try:
        return None if known is None else msgspec.json.decode(body, type=known)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@cache
def record_kinds() -> dict[str, type[Record]]:
    """Every kind of record by its name."""
    found = (getattr(records, name) for name in dir(records))
    return {item.__name__: item for item in found if isinstance(item, type) and issubclass(item, Record)}


def _check_tables(connection: sqlite3.Connection) -> Iterator[str]:
    there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    for name, sql in expected_tables().items():
        if there.get(name) != sql:
            yield f"its table or index '{name}' is {'another' if name in there else 'missing'}"


def _check_pages(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield " ".join(str(line).removeprefix("*** in database main ***").split())


def _check_facts(connection: sqlite3.Connection) -> Iterator[str]:
    facts = dict(connection.execute("SELECT name, value FROM facts"))
    for name, value in facts.items():
        if not isinstance(name, str) or not isinstance(value, str):
            yield "a fact is no text"
        elif not is_sealed(facts, name):
            yield f"the fact '{name}' is not what was written"


def is_sealed(facts: dict[str, str], name: str) -> bool:
    """Whether a fact is what was written; true if no hash of it was kept."""
    seal = facts.get(SEAL + name)
    return seal is None or seal == digest(facts[name])


def _check_records(connection: sqlite3.Connection) -> Iterator[str]:
    query = "SELECT seq, CAST(kind AS BLOB), hash, CAST(body AS BLOB), typeof(cycle) FROM records"
    for seq, kind, hash, body, cycle in connection.execute(query):
        # A flipped bit can make a column NULL, whatever the table allows.
        name = "" if kind is None else kind.decode(errors="replace")
        if body is None or hash != digest(name, body) or cycle != "integer":
            yield f"record {seq} is not what was written"
        elif decode_record(name, body) is None:
            yield f"record {seq}, '{name}', is of another version of Errorbook"


def _check_responses(connection: sqlite3.Connection) -> Iterator[str]:
    hashes = dict(connection.execute("SELECT seq, hash FROM records WHERE kind = ?", (Evaluation.__name__,)))
    decode = msgspec.json.Decoder(Response).decode
    rows = connection.execute(
        "SELECT seq, evaluation, example, verdict, truncated, tokens, hash, CAST(body AS BLOB)"
        " FROM responses LEFT JOIN bodies USING (seq)"
    )
    count = 0
    for seq, evaluation, *columns, hash, body in rows:
        count += 1
        if body is None or hash != content_hash(Response, body):
            yield f"response {seq} is not what was written"
            continue
        try:
            said = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield f"response {seq} is of another version of Errorbook"
            continue
        if [said.example, said.score.verdict, said.truncated, said.tokens] != columns:
            yield f"response {seq} is not what was counted"
        if said.evaluation != hashes.get(evaluation):
            yield f"response {seq} stands in another evaluation"
    total = connection.execute("SELECT count(*) FROM bodies").fetchone()[0]
    if total != count:
        yield f"{abs(total - count)} responses are incomplete"


def _check_events(connection: sqlite3.Connection) -> Iterator[str]:
    query = (
        "SELECT count(*) FROM events WHERE typeof(cycle) <> 'integer' OR typeof(done) <> 'integer'"
        " OR typeof(total) <> 'integer' OR typeof(at) <> 'real' OR typeof(seconds) <> 'real'"
    )
    if count := connection.execute(query).fetchone()[0]:
        yield f"{count} notes of stages are not what was written"
