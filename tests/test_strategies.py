"""Every strategy and control of the table: whole runs at equal budgets, and plans that count what is then asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_kit import config
from msgspec.structs import replace

from errorbook.config import Config
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.loop import run
from errorbook.records import Call, Decision, Diagnosis, Draft, Evaluation, Example, Lesson, Sample, Vote
from errorbook.setup.plan import make_plan
from errorbook.strategies.table import NAMES, find

QUOTA = 78
"""Two samples for each of the 39 train questions, all of which the base gets wrong."""


def all_wrong(name: object, rounds: int = 1, cycles: int = 1) -> Config:
    """A run whose base answers every train question wrongly, so that a plan's bounds are met."""
    made = config(cycles=str(cycles), accuracy="0.0", gain="0.0")
    return replace(made, strategy=replace(made.strategy, name=name, rounds=rounds))


def some_right(name: object, **changes: object) -> Config:
    made = config(cycles="1", accuracy="0.4")
    return replace(made, strategy=replace(made.strategy, name=name, **changes))


def count_calls(ledger: Ledger) -> int:
    return ledger.count(Call)


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_and_its_plan_counts_what_is_asked(name: str, tmp_path: Path) -> None:
    made = all_wrong(name)
    plan = make_plan(made)

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert [one.outcome for one in ledger.all(Decision)] == ["reject"]
        if name == "cluster":  # how many groups there are, only the diagnoses tell
            assert 39 < count_calls(ledger) <= plan.calls
        else:
            assert count_calls(ledger) == plan.calls
        drawn = sum(one.n for one in ledger.all(Evaluation) if one.generation.temperature)
        assert drawn == plan.responses - make_plan(all_wrong("gold")).responses
        assert (drawn > 0) == (name == "self")
        if name != "self":
            assert ledger.count(Draft) == plan.drafts == QUOTA
        assert ledger.count(Vote) == plan.votes == 0


@pytest.mark.parametrize("name", NAMES)
def test_equal_budgets_are_equal(name: str, tmp_path: Path) -> None:
    made = some_right(name, rounds=6)

    run(made, tmp_path)
    with open_ledger(tmp_path) as ledger:
        wrong = sum(
            response.score.verdict == "wrong"
            for one in ledger.all(Evaluation, 1)
            if (one.task, one.split) == ("arithmetic", "train")
            for response in ledger.responses(one)
        )
        samples, lessons = list(ledger.all(Sample)), [one for one in ledger.all(Lesson) if not one.replay]
        assert wrong > 10
        assert len(samples) == len(lessons) == 2 * wrong
        assert {sample.strategy for sample in samples} == {name}
        assert {draft.strategy for draft in ledger.all(Draft)} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_each_asks_the_instructor_for_no_more_than_the_table_says(name: str, tmp_path: Path) -> None:
    run(some_right(name), tmp_path)
    with open_ledger(tmp_path) as ledger:
        purposes = {call.purpose for call in ledger.all(Call)}
        assert ("diagnose" in purposes) == (ledger.count(Diagnosis) > 0) == find(name).diagnoses
        assert ("write" in purposes) == find(name).asks_instructor
        train = {one.question for one in ledger.all(Example) if (one.task, one.split) == ("arithmetic", "train")}
        kept = [draft.question in train for draft in ledger.all(Draft)]
        assert all(kept) if find(name).restates else not any(kept)
