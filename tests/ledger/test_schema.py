"""Ledgers of every schema are opened, brought up to date and read; whatever is no ledger is refused in one sentence.

A file `schema_N.sql` is the text of a ledger as schema N wrote it, with a whole small run. It is kept as it is.
After a schema is added, write its own file. A file that exists is not written again:

    python tests/ledger/test_schema.py
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from errorbook import records
from errorbook.config import parse
from errorbook.corrections.inbox import submit
from errorbook.errors import LedgerError
from errorbook.ledger import schema
from errorbook.ledger.file import open_ledger
from errorbook.ledger.schema import APPLICATION, MIGRATIONS
from errorbook.loop import run
from errorbook.records import Correction, Decision, Draft, Evaluation, Record, Response, Sample
from errorbook.report.build import build

HERE = Path(__file__).parent
KEPT = sorted(HERE.glob("schema_*.sql"))
RUN_FILE = """
[run]
name = "kept"
cycles = 1
seed = 1

[target]
engine = "scripted"
accuracy = 0.4
gain = 0.4

[instructor]
kind = "tutor"

[[tasks]]
name = "arithmetic"
train = 13
dev = 26
test = 13

[strategy]
name = "contrast"
retriever = "scripted"
k = 1

[train]
method = "scripted"
"""


def restore(text: Path, folder: Path) -> Path:
    """The ledger that a kept text describes."""
    path = folder / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text.read_text(encoding="utf-8"))
    return path


def write_kept(path: Path) -> None:
    """Write the text of a small run's ledger under the present schema."""
    with tempfile.TemporaryDirectory() as folder:
        run(parse(RUN_FILE), Path(folder))
        with open_ledger(folder) as ledger:
            sample = next(ledger.all(Sample))
        submit(Path(folder), Correction(subject=sample.draft, kind="strike", author="someone", reason="Too easy."))
        with closing(sqlite3.connect(Path(folder) / "ledger.sqlite")) as connection:
            marks = f"PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {len(MIGRATIONS)};\n"
            path.write_text("\n".join(connection.iterdump()) + f"\n{marks}", encoding="utf-8")


def bodies(path: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, recorded hash and JSON of everything that was appended."""
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute("SELECT kind, hash, body FROM records")
        yield from connection.execute("SELECT 'Response', hash, body FROM responses JOIN bodies USING (seq)")


def test_every_schema_has_a_kept_ledger() -> None:
    assert [file.name for file in KEPT] == [f"schema_{number}.sql" for number in range(1, len(MIGRATIONS) + 1)]


@pytest.mark.parametrize("kept", KEPT, ids=lambda file: file.stem)
def test_a_kept_ledger_is_brought_up_to_date_and_read_in_full(kept: Path, tmp_path: Path) -> None:
    path = restore(kept, tmp_path)
    with open_ledger(path, "write") as ledger:
        assert ledger.count(Decision) == 1
        assert ledger.count(Correction) == 1
        for sample in ledger.all(Sample):
            assert ledger.get(Draft, sample.draft) is not None
        for evaluation in ledger.all(Evaluation):
            assert ledger.tally(evaluation).n == evaluation.n == len(list(ledger.responses(evaluation)))
        assert build(ledger).funnel.samples == ledger.count(Sample)


@pytest.mark.parametrize("kept", KEPT, ids=lambda file: file.stem)
def test_what_was_appended_long_ago_still_has_its_hash(kept: Path, tmp_path: Path) -> None:
    """The hash is how a record is found, so no change of the records may change an old one's."""
    found = set()
    for kind, hash, body in bodies(restore(kept, tmp_path)):
        record = msgspec.json.decode(body, type=getattr(records, kind))
        assert record.hash == hash
        found.add(type(record))
    assert {Decision, Draft, Evaluation, Response, Sample} <= found


def test_the_next_change_of_the_schema_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restore(KEPT[-1], tmp_path)
    before = list(bodies(path))
    invented = "ALTER TABLE events ADD COLUMN host TEXT NOT NULL DEFAULT 'here';"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, invented))

    with pytest.raises(LedgerError, match="of an older version; 'errorbook run' on its run file updates it"):
        open_ledger(path).__enter__()
    for _ in range(2):  # the second time there is nothing left to change
        with open_ledger(path, "write") as ledger:
            events = ledger.connection.execute("SELECT host FROM events").fetchall()
            assert {row[0] for row in events} == {"here"}
    with open_ledger(path) as ledger:
        assert ledger.connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) + 1
    assert list(bodies(path)) == before


def test_a_change_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restore(KEPT[-1], tmp_path)
    broken = "ALTER TABLE events ADD COLUMN host TEXT; ALTER TABLE nothing ADD COLUMN host TEXT;"
    with monkeypatch.context() as changed:
        changed.setattr(schema, "MIGRATIONS", (*MIGRATIONS, broken))
        with pytest.raises(LedgerError, match="cannot be used"):
            open_ledger(path, "write").__enter__()
    with open_ledger(path, "write") as ledger:
        columns = [row[1] for row in ledger.connection.execute("PRAGMA table_info(events)")]
    assert "host" not in columns


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        ("PRAGMA user_version = 2", "from before its first release wrote it; use another --out folder"),
        ("PRAGMA application_id = 99", "is not a ledger"),
        (f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 99", "newer Errorbook; upgrade with"),
    ],
)
def test_a_file_of_another_kind_or_time_is_refused(tmp_path: Path, mode: str, marks: str, sentence: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE facts (name TEXT, value TEXT); {marks};")
    with pytest.raises(LedgerError, match=sentence):
        open_ledger(path, mode).__enter__()  # type: ignore[arg-type]
    with closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["facts"]


def test_the_command_line_says_it_in_one_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        connection.executescript("CREATE TABLE facts (name TEXT, value TEXT); PRAGMA user_version = 2;")
    command = [str(Path(sys.executable).parent / "errorbook"), "report", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "use another --out folder" in done.stderr


def test_an_empty_file_is_no_ledger_to_read_and_becomes_one_to_write(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    with pytest.raises(LedgerError) as caught:
        open_ledger(path).__enter__()
    assert str(caught.value) == (
        f"The ledger '{path}' is empty: nothing was recorded in it; 'errorbook run' begins it anew."
    )
    with open_ledger(path, "write") as ledger:
        marks = [
            ledger.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        ]
    assert marks == [int.from_bytes(b"ERBK"), len(MIGRATIONS)]


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (
            sqlite3.SQLITE_FULL,
            "full",
            "The disk that holds 'run/x.sqlite' is full; free some space and give the same command again: nothing is"
            " lost.",
        ),
        (
            sqlite3.SQLITE_NOTADB,
            "file is not a database",
            "'run/x.sqlite' is not a ledger, or its first page is damaged; give another --out folder, or see what"
            " 'errorbook doctor run' can read of it.",
        ),
        (sqlite3.SQLITE_READONLY, "readonly", "DENIED"),
        (sqlite3.SQLITE_READONLY | 4 << 8, "an extended code", "DENIED"),
        (sqlite3.SQLITE_CANTOPEN, "unable to open", "DENIED"),
        (sqlite3.SQLITE_PERM, "not permitted", "DENIED"),
        (sqlite3.SQLITE_BUSY, "locked", "BUSY"),
        (sqlite3.SQLITE_LOCKED, "locked", "BUSY"),
        (sqlite3.SQLITE_CORRUPT, "what it says", "DAMAGED (what it says)"),
        (sqlite3.SQLITE_ERROR, "malformed JSON", "DAMAGED (malformed JSON)"),
        (sqlite3.SQLITE_ERROR, "no such table: records", "DAMAGED (no such table: records)"),
        (0, "Could not decode to UTF-8", "DAMAGED (a text is no UTF-8)"),
        (None, "no such column", "DAMAGED (no such column)"),
        (
            sqlite3.SQLITE_IOERR,
            "disk I/O error",
            "The ledger 'run/x.sqlite' cannot be used (disk I/O error); 'errorbook doctor run' checks it.",
        ),
    ],
)
def test_each_failure_of_the_database_is_one_sentence_with_the_fix(code: int | None, text: str, sentence: str) -> None:
    short = {
        "DENIED": "The ledger 'run/x.sqlite' cannot be opened for writing; check the folder's permissions.",
        "BUSY": "The ledger 'run/x.sqlite' is in use by another program; close it and try again.",
    }
    if sentence.startswith("DAMAGED"):
        what = sentence.removeprefix("DAMAGED ")
        sentence = (
            f"The ledger 'run/x.sqlite' is damaged {what}; 'errorbook doctor run' says what is whole, and with"
            " '--salvage NEW' it puts that into the new folder NEW."
        )
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code
    assert str(schema.explain(error, Path("run/x.sqlite"))) == short.get(sentence, sentence)


def test_every_kind_of_record_in_a_kept_ledger_is_known() -> None:
    for kept in KEPT:
        kinds = {line.split("'")[1] for line in kept.read_text(encoding="utf-8").splitlines() if '"records"' in line}
        assert all(issubclass(getattr(records, kind), Record) for kind in kinds)


if __name__ == "__main__":
    wanted = HERE / f"schema_{len(MIGRATIONS)}.sql"
    if wanted.exists():
        sys.exit(f"{wanted.name} is kept as it is.")
    write_kept(wanted)
