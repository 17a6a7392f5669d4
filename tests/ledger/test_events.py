"""The events of a run: one a stage, which goes on where a killed run goes on, and says how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_kit import RUN_FILE, config

from errorbook.config import parse
from errorbook.errors import BudgetError
from errorbook.ledger.events import Event
from errorbook.ledger.file import open_ledger
from errorbook.ledger.watch import version
from errorbook.loop import run
from errorbook.records import Lesson, Training


def test_a_stage_that_did_not_end_goes_on_and_never_loses_what_is_done(tmp_path: Path) -> None:
    asked = Event("evaluate", 1, 0, 10, "sums", "dev", at=5.0)
    with open_ledger(tmp_path, "write") as ledger:
        number = ledger.begin(asked)
        ledger.advance(number, 7, 2.5)
        before = version(ledger)
        number = ledger.begin(asked._replace(at=9.0))
        ledger.advance(number, 3, 1.0)
        assert ledger.events() == [asked._replace(done=7, seconds=3.5)]
        ledger.advance(number, 10, 1.0)
        assert version(ledger) > before
        assert ledger.begin(asked._replace(at=20.0)) != number
        ledger.begin(asked._replace(split="test"))
        assert [(event.split, event.done) for event in ledger.events()] == [("dev", 10), ("dev", 0), ("test", 0)]


def test_what_is_watched_is_what_the_ledger_keeps(tmp_path: Path) -> None:
    seen: list[Event] = []
    run(config(), tmp_path, seen.append)
    with open_ledger(tmp_path) as ledger:
        kept = ledger.events()
    ended = {event.at: event for event in seen}
    assert [(event.stage, event.cycle, event.task, event.split) for event in kept] == [
        (event.stage, event.cycle, event.task, event.split) for event in ended.values()
    ]
    assert all(event.done == event.total for event in ended.values())
    assert all(event.done == event.total > 0 and event.seconds > 0 for event in kept)
    assert [event.at for event in kept] == sorted(event.at for event in kept)


@pytest.mark.parametrize("epochs", ["1", "3"])
def test_every_stage_is_told_in_one_unit_from_begin_to_end(epochs: str, tmp_path: Path) -> None:
    seen: dict[float, list[Event]] = {}
    whole = parse(f"{RUN_FILE}epochs = {epochs}\nbatch_size = 5\n")
    run(whole, tmp_path, lambda event: seen.setdefault(event.at, []).append(event))

    trainings = [told for told in seen.values() if told[0].stage == "train"]
    for told in seen.values():
        assert {event.total for event in told} == {told[0].total}, told[0].stage
        assert [event.done for event in told] == sorted(event.done for event in told)
    with open_ledger(tmp_path) as ledger:
        cycles = [cycle for cycle in (1, 2) if ledger.count(Lesson, cycle)]
        assert [told[0].total for told in trainings] == [ledger.count(Lesson, cycle) for cycle in cycles]
        steps = [training.steps for training in ledger.all(Training)]
    assert [len(told) - 2 for told in trainings] == steps, "each step is told"
    assert all(0 < told[1].done < told[0].total for told in trainings)


def test_a_run_that_is_stopped_notes_how_far_its_stage_was(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.stage == "diagnose" and event.done == 3:
            raise BudgetError("Enough.")

    with pytest.raises(BudgetError):
        run(config(), tmp_path, stop)
    with open_ledger(tmp_path) as ledger:
        stopped = ledger.events()[-1]
    assert (stopped.stage, stopped.done) == ("diagnose", 3)
    run(config(), tmp_path)
    with open_ledger(tmp_path) as ledger:
        resumed = [event for event in ledger.events() if event.stage == "diagnose" and event.cycle == 1]
    assert [(event.at, event.done) for event in resumed] == [(stopped.at, stopped.total)]
