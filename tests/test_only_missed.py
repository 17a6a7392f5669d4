"""`only_missed = true` in `[verify]`: what the target answers right already is no sample."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from loop_kit import config
from msgspec.structs import replace

from errorbook.config import Config
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.loop import run
from errorbook.records import Evaluation, Rejection, Sample


def choosy(strategy: str = "error", rounds: int = 8, accuracy: str = "0.6") -> Config:
    made = config(cycles="1", accuracy=accuracy)
    return replace(
        made,
        strategy=replace(made.strategy, name=strategy, rounds=rounds),
        verify=replace(made.verify, only_missed=True),
    )


def list_right(ledger: Ledger) -> set[str]:
    """The drafts whose questions the target answered right when it was asked them."""
    practice = [one for one in ledger.all(Evaluation) if one.task.endswith(":practice")]
    answers = [answer for one in practice for answer in ledger.responses(one)]
    return {answer.example for answer in answers if answer.score.verdict == "right"}


@pytest.mark.parametrize("strategy", ["error", "cluster", "undirected", "augment"])
def test_samples_are_what_the_target_gets_wrong_and_as_many_as_without(tmp_path: Path, strategy: str) -> None:
    made = choosy(strategy)
    run(replace(made, verify=replace(made.verify, only_missed=False)), tmp_path / "all")
    run(made, tmp_path / "run")

    with open_ledger(tmp_path / "all") as ledger:
        wanted = ledger.count(Sample)
    with open_ledger(tmp_path / "run") as ledger:
        right = list_right(ledger)
        rejected = Counter(one.reason for one in ledger.all(Rejection))
        assert {one.draft for one in ledger.all(Sample)}.isdisjoint(right)
        assert rejected["known"] > wanted / 2
        assert {one.draft for one in ledger.all(Rejection) if one.reason == "known"} <= right
        assert 0.9 * wanted <= ledger.count(Sample) <= wanted  # a few questions may stay known in every round


def test_samples_that_keep_a_train_question_are_not_asked_about(tmp_path: Path) -> None:
    run(choosy("gold"), tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        assert ledger.count(Sample) > 0
        assert not any(one.task.endswith(":practice") for one in ledger.all(Evaluation))


@pytest.mark.parametrize("moment", [1, 3])
def test_a_run_killed_while_it_asks_goes_on_to_the_same_samples(tmp_path: Path, moment: int) -> None:
    seen = 0

    def stop(event: Event) -> None:
        nonlocal seen
        seen += event.stage == "verify"
        if seen >= moment:
            raise KeyboardInterrupt

    run(choosy(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(choosy(), tmp_path / "cut", stop)
    run(choosy(), tmp_path / "cut")

    with open_ledger(tmp_path / "whole") as whole, open_ledger(tmp_path / "cut") as cut:
        assert list(whole.all(Sample)) == list(cut.all(Sample))
        assert list(whole.all(Rejection)) == list(cut.all(Rejection))


def test_a_target_that_knows_all_that_is_written_ends_in_plain_words(tmp_path: Path) -> None:
    made = choosy(rounds=2, accuracy="0.97")
    run(made, tmp_path / "run")

    with open_ledger(tmp_path / "run") as ledger:
        assert ledger.count(Rejection) > 0
