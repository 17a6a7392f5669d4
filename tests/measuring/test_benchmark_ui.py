"""The benchmark of the browser book asks the real server for every kind of page, and sees what a run appends."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ui import Report, measure, render
from benchmarks.ui_ledger import CYCLES, append_open, write
from errorbook.ledger.file import open_ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Draft, Evaluation, Rejection, Sample

PAGES = {
    "runs",
    "run",
    "effects",
    "book",
    "book, further on",
    "search",
    "question",
    "samples",
    "search samples",
    "sample",
    "call",
    "compare",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("runs") / "big", 1000)


def test_every_kept_checkpoint_answers_every_question_but_those_left_open(run: Path) -> None:
    with open_ledger(run) as ledger:
        points = Checkpoints(ledger)
        kept = [one for one in ledger.all(Evaluation) if one.checkpoint in points.chain]
        answered = sum(ledger.tally(one).n for one in kept)
        verified = ledger.count(Sample) + ledger.count(Rejection)
        written = ledger.count(Draft)

    assert len(points.chain) == CYCLES
    assert answered == CYCLES * 1000 - 5
    assert written == verified > 200


def test_open_questions_are_answered_until_none_is_left(tmp_path: Path) -> None:
    run = write(tmp_path / "big", 1000)

    assert [append_open(run, 1000, 3, "now") for _ in range(3)] == [3, 2, 0]


def test_a_run_that_is_whole_is_not_written_again(run: Path) -> None:
    before = (run / "ledger.sqlite").stat().st_mtime_ns

    assert write(run, 1000) == run
    assert (run / "ledger.sqlite").stat().st_mtime_ns == before


@pytest.mark.slow
def test_every_kind_of_page_is_served_and_changes_are_seen(tmp_path: Path) -> None:
    values = measure(tmp_path / "runs", tmp_path / "cache", items=4000, rounds=3)
    found = {(value.part, value.name): value.value for value in values}

    assert {part for part, _ in found} >= PAGES
    assert all(0 < found[part, "largest"] < 300 for part in PAGES)
    assert found["live", "the slowest"] < 20
    assert found["live", "sent for ten answers"] < 100
    assert "| book | largest |" in render(Report(machine="here", items=4000, values=values))
