"""Ledgers that others write to: found, told apart by what the file system says, and read without a change."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger_kit import make_evaluation, make_response, make_sample

from errorbook.errors import LedgerError
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.ledger.schema import LEDGER
from errorbook.ledger.watch import DEEPEST, MEMORY, run_folders, signature, snapshot, version
from errorbook.records import Sample


def put(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LEDGER).write_text("")
    return folder


def test_runs_are_found_four_folders_deep_and_not_within_each_other(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c" / "d"
    found = {put(tmp_path / "x"), put(tmp_path / "a" / "b" / "y"), put(deep)}
    put(tmp_path / "x" / "nested")
    put(tmp_path / "a" / "b" / "c" / "e" / "too deep")
    assert len(deep.relative_to(tmp_path).parts) == DEEPEST
    assert sorted(run_folders(tmp_path)) == sorted(found)
    put(tmp_path)
    assert list(run_folders(tmp_path)) == [tmp_path]
    assert list(run_folders(tmp_path / "absent")) == []


def test_a_signature_is_what_the_file_system_says(tmp_path: Path) -> None:
    assert signature(tmp_path) is None
    path, log = tmp_path / "ledger.sqlite", tmp_path / "ledger.sqlite-wal"
    path.write_text("content")
    os.utime(path, ns=(5, 7_000_000_001))
    assert signature(tmp_path) == ((path.stat().st_ino, 7, 7_000_000_001), (0, 0, 0))
    log.write_text("log")
    os.utime(log, ns=(5, 8_000_000_002))
    assert signature(tmp_path) == ((path.stat().st_ino, 7, 7_000_000_001), (log.stat().st_ino, 3, 8_000_000_002))


def test_every_commit_makes_the_version_larger_by_what_was_appended(tmp_path: Path) -> None:
    evaluation = make_evaluation()
    with open_ledger(tmp_path, "write") as ledger:
        versions = [version(ledger)]
        ledger.state("config", "{}")
        versions.append(version(ledger))
        ledger.append(make_sample(1), "k")
        versions.append(version(ledger))
        ledger.open_evaluation(evaluation)
        ledger.append_responses([make_response(evaluation, id) for id in "abc"])
        versions.append(version(ledger))
        for stage in ("diagnose", "write"):
            number = ledger.begin(Event(stage, 1, 0, 10))
        versions.append(version(ledger))
        ledger.advance(number, 4, 1.0)
        versions.append(version(ledger))
        assert list(ledger.all(Sample)) == [make_sample(1)]
        assert version(ledger) == versions[-1]
    grown = [after - before for before, after in itertools.pairwise(versions)]
    assert grown[0] >= 1
    assert grown[1:] == [1, 4, 2, 4]


def test_nothing_changes_within_a_snapshot(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as writer:
        writer.append(make_sample(1), "k1")
        with snapshot(tmp_path) as ledger:
            assert ledger.count(Sample) == 1
            writer.append(make_sample(2), "k2")
            assert ledger.count(Sample) == 1
            assert ledger.connection.execute("PRAGMA cache_size").fetchone()[0] == -MEMORY
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                ledger.connection.execute("DELETE FROM records")
        with snapshot(tmp_path) as ledger:
            assert ledger.count(Sample) == 2


def test_a_ledger_that_is_gone_or_damaged_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no ledger at"), snapshot(tmp_path):
        pass
    with open_ledger(tmp_path, "write"):
        pass
    with (
        pytest.raises(LedgerError, match=r"ledger\.sqlite' is damaged \(no such table: absent\);"),
        snapshot(tmp_path) as ledger,
    ):
        ledger.connection.execute("SELECT * FROM absent")
    with pytest.raises(LedgerError, match=r"There is no ledger at '.*ledger\.sqlite' any more"), snapshot(tmp_path):
        (tmp_path / "absent").read_text()
    with closing(sqlite3.connect(tmp_path / LEDGER)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer Errorbook"), snapshot(tmp_path):
        pass
