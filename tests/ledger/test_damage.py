"""A damaged ledger is one sentence in every command, and what is whole in it becomes a run that goes on."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from loop_kit import config

from errorbook.cli.main import cli
from errorbook.errors import LedgerError
from errorbook.ledger import opening
from errorbook.ledger.file import open_ledger
from errorbook.ledger.health import check_ledger, list_damage
from errorbook.ledger.salvage import salvage
from errorbook.ledger.sqlite_pages import read_rows
from errorbook.loop import run
from errorbook.records import Decision, Draft, Sample
from errorbook.setup.run_doctor import examine_run, salvage_run

PAGE = 4096


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(config(), folder)
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def edit(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection, connection:
        connection.execute(statement)


def change(folder: Path, how: Callable[[bytearray], None]) -> None:
    path = folder / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    how(content)
    path.write_bytes(content)


def digest_of(folder: Path) -> str:
    with open_ledger(folder) as ledger:
        return ledger.digest()


ROWS = {
    "text": ("UPDATE records SET body = replace(body, '1', '2') WHERE kind = 'Draft'", "is not what was written"),
    "no JSON": ("UPDATE records SET body = '{' WHERE kind = 'Sample'", "is not what was written"),
    "no UTF-8": ("UPDATE facts SET value = CAST(x'ff' AS TEXT) WHERE name = 'config'", "a text is no UTF-8"),
    "verdict": ("UPDATE responses SET verdict = 'right'", "is not what was counted"),
    "moved": ("UPDATE responses SET evaluation = -evaluation", "stands in another evaluation"),
    "gone": ("DELETE FROM bodies WHERE seq = 3", "is not what was written"),
    "fact": ("UPDATE facts SET value = replace(value, '2', '3') WHERE name = 'config'", "the fact 'config' is not"),
    "table": ("DROP TABLE events", "'events' is missing"),
    "index": ("DROP INDEX records_by_hash", "'records_by_hash' is missing"),
    "column": ("ALTER TABLE bodies ADD COLUMN more TEXT", "'bodies' is another"),
    "kind": ("UPDATE records SET kind = 'Dream', hash = hash WHERE seq = 9", "is not what was written"),
}


@pytest.mark.parametrize(("statement", "what"), ROWS.values(), ids=ROWS)
def test_an_edited_row_is_named_before_anything_is_read(copy: Path, statement: str, what: str) -> None:
    edit(copy, statement)
    for mode in ("read", "write"):
        with pytest.raises(LedgerError, match="'errorbook doctor") as caught, open_ledger(copy, mode):
            pass
        assert what in str(caught.value)
        assert "\n" not in str(caught.value)


BYTES: dict[str, Callable[[bytearray], None]] = {
    "half": lambda content: content.__delitem__(slice(len(content) // 2, None)),
    "three": lambda content: content.__delitem__(slice(3, None)),
    "nothing": bytearray.clear,
    "no first page": lambda content: content.__setitem__(slice(PAGE), bytes(PAGE)),
    "another page": lambda content: content.__setitem__(slice(9 * PAGE, 10 * PAGE), random.Random(1).randbytes(PAGE)),
    "another encoding": lambda content: content.__setitem__(59, 2),
    "no ledger's mark": lambda content: content.__setitem__(slice(68, 72), b"ABCD"),
    "version 0": lambda content: content.__setitem__(slice(60, 64), bytes(4)),
}
COMMANDS = [
    "status RUN",
    "report RUN",
    "export RUN --what samples",
    "compare RUN WHOLE",
    "compare WHOLE RUN",
    "run FILE --out RUN",
    "import LOG --task arithmetic --label right --out RUN",
]
RUN_FILE = (
    '[run]\nname = "x"\n[target]\nengine = "scripted"\n[[tasks]]\nname = "arithmetic"\n[train]\nmethod = "scripted"\n'
)


@pytest.mark.parametrize("how", BYTES)
def test_every_command_says_it_in_one_sentence(how: str, copy: Path, finished: Path, tmp_path: Path) -> None:
    change(copy, BYTES[how])
    (tmp_path / "run.toml").write_text(RUN_FILE)
    (tmp_path / "log.jsonl").write_text('{"question": "Calculate 1 + 1.", "response": "Answer: 2"}\n')
    places = {"RUN": copy, "WHOLE": finished, "FILE": tmp_path / "run.toml", "LOG": tmp_path / "log.jsonl"}
    for command in COMMANDS:
        words = [str(places.get(word, word)) for word in command.split()]
        with pytest.raises(LedgerError, match=f"errorbook doctor {copy}") as caught:
            CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)
        assert "\n" not in str(caught.value)


def test_a_folder_or_a_pipe_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "a" / "ledger.sqlite").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "ledger.sqlite")
    for name in ("a", "b"):
        for mode in ("read", "write"):
            with pytest.raises(LedgerError, match="is no file"), open_ledger(tmp_path / name, mode):
                pass


def test_an_empty_file_is_where_a_run_was_killed_in_its_first_moments(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").touch()
    with pytest.raises(LedgerError, match="is empty: nothing was recorded"), open_ledger(tmp_path):
        pass
    with open_ledger(tmp_path, "write") as ledger:
        assert ledger.count(Sample) == 0


def test_a_large_ledger_is_blamed_only_for_what_it_does(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "CHECKED_AT_ONCE", 0)
    edit(copy, "UPDATE records SET body = '{' WHERE kind = 'Sample'")
    with open_ledger(copy) as ledger:
        assert ledger.count(Decision) == 2
    with pytest.raises(LedgerError, match="is damaged"), open_ledger(copy) as ledger:
        list(ledger.all(Sample))
    shutil.copy(copy / "ledger.sqlite", copy / "other.sqlite")
    edit_back(copy / "other.sqlite")
    with pytest.raises(KeyError), open_ledger(copy / "other.sqlite"):
        raise KeyError("a slip of ours")


def edit_back(path: Path) -> None:
    """Take the damaged rows away, so that nothing is wrong with what is left."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM records WHERE kind = 'Sample'")


def test_pages_hold_what_the_tables_say(finished: Path) -> None:
    path = finished / "ledger.sqlite"
    rows = list(read_rows(path))
    with closing(sqlite3.connect(path)) as connection:
        for table, columns in (("records", 7), ("bodies", 2), ("events", 9)):
            wanted = {tuple(row) for row in connection.execute(f"SELECT * FROM {table}")}
            found = {(row.number, *row.values[1:]) for row in rows if row.number and len(row.values) == columns}
            assert wanted <= found
        for table in ("facts", "responses"):
            wanted = {tuple(row) for row in connection.execute(f"SELECT * FROM {table}")}
            assert wanted <= {row.values for row in rows if row.number is None}


def test_pages_of_the_log_come_before_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.execute("INSERT INTO words VALUES ('kept')")
        connection.commit()
        long = "long " * 5000
        connection.execute("INSERT INTO words VALUES (?)", (long,))
        connection.commit()
        assert {row.values[0] for row in read_rows(path) if len(row.values) == 1} == {"kept", long}


def test_a_whole_ledger_is_salvaged_as_it_is(finished: Path, tmp_path: Path) -> None:
    found = salvage(finished / "ledger.sqlite", tmp_path / "new" / "ledger.sqlite")
    assert found.lost == {}
    assert found.facts == ()
    assert digest_of(tmp_path / "new") == digest_of(finished)
    assert all(item.ok for item in examine_run(finished))


@pytest.mark.parametrize("how", ["no first page", "another page", "half"])
def test_a_salvaged_run_is_whole_and_goes_on(how: str, copy: Path, finished: Path, tmp_path: Path) -> None:
    wanted = digest_of(finished)
    change(copy, BYTES[how])
    before = (copy / "ledger.sqlite").read_bytes()
    assert not all(item.ok for item in examine_run(copy))

    salvage_run(copy, tmp_path / "new")

    assert (copy / "ledger.sqlite").read_bytes() == before
    assert check_ledger(tmp_path / "new" / "ledger.sqlite") == []
    assert all(item.ok for item in examine_run(tmp_path / "new"))
    run(config(), tmp_path / "new")
    if how != "another page":  # its rows may be of a cycle that is decided, which stays as it is
        assert digest_of(tmp_path / "new") == wanted


def test_what_came_of_a_lost_record_is_lost_too_and_named(copy: Path, tmp_path: Path) -> None:
    edit(
        copy,
        "UPDATE records SET body = replace(body, '\"', '''') WHERE seq = (SELECT min(seq) FROM records"
        " WHERE kind = 'Draft')",
    )
    found = salvage(copy / "ledger.sqlite", tmp_path / "new" / "ledger.sqlite")
    assert found.lost["Draft"] >= 1
    assert found.lost["Call"] >= 1
    with open_ledger(tmp_path / "new") as ledger:
        assert all(ledger.get(Draft, sample.draft) for sample in ledger.all(Sample))


def test_nothing_is_overwritten_and_nothing_is_promised(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is there already"):
        salvage_run(copy, tmp_path)
    with pytest.raises(LedgerError, match="in the run's own folder"):
        salvage_run(copy, copy / "new")
    (copy / "ledger.sqlite").write_bytes(b"no pages")
    with pytest.raises(LedgerError, match="can be read any more"):
        salvage_run(copy, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_doctor_tells_the_way_out(copy: Path, tmp_path: Path) -> None:
    whole = CliRunner().invoke(cli, ["doctor", str(copy)], standalone_mode=False)
    assert whole.return_value == 0
    assert "is whole." in whole.output
    shutil.rmtree(next((copy / "checkpoints").iterdir()))
    assert "is missing" in CliRunner().invoke(cli, ["doctor", str(copy)], standalone_mode=False).output
    edit(copy, "UPDATE records SET hash = 'x' WHERE seq = 40")
    said = CliRunner().invoke(cli, ["doctor", str(copy)], standalone_mode=False)
    assert said.return_value == 2
    assert "record 40 is not what was written" in said.output
    saved = CliRunner().invoke(cli, ["doctor", str(copy), "--salvage", str(tmp_path / "new")], standalone_mode=False)
    assert saved.return_value == 0
    assert "Lost: " in saved.output
    assert (tmp_path / "new" / "checkpoints").is_dir()


@pytest.mark.parametrize("column", ["kind", "hash", "body", "cycle"])
def test_a_column_that_became_nothing_is_a_damaged_record(column: str) -> None:
    """A flipped bit of a row's header can do that to a column that the table wants filled."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE records (seq, kind, hash, body, cycle)")
        connection.execute("INSERT INTO records VALUES (7, 'Draft', 'h', '{}', 1)")
        connection.execute(f"UPDATE records SET {column} = NULL")

        found = [damage for damage in list_damage(connection) if damage.table == "records"]

    assert [str(damage.what) for damage in found] == ["record 7 is not what was written"]
