"""What becomes of a question: one fate each, counted alike from single verdicts and from the ledger's letters."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.ledger.counts import Letters
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.records import Evaluation, Generation, Response, Score, Verdict
from errorbook.render.words import FATE_MEANING
from errorbook.report.cycles import count_bands
from errorbook.report.fates import FATES, Fate, fate_of

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
PATHS = st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=6)
ANSWERS = st.lists(st.lists(st.sampled_from([None, *VERDICTS]), min_size=3, max_size=3), max_size=12)
"""Of each question: what three checkpoints answered; None where one was not asked yet."""


def test_every_fate_is_explained() -> None:
    assert set(FATE_MEANING) == set(FATES)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_question_that_was_asked_once_waits(verdict: Verdict) -> None:
    assert fate_of([verdict]) == "waiting"


@given(st.lists(st.sampled_from(VERDICTS), min_size=2, max_size=6))
def test_a_fate_says_how_it_began_and_how_it_ended(path: list[Verdict]) -> None:
    fate = fate_of(path)

    assert (fate in {"broken", "still_right"}) == (path[0] == "right")
    assert (fate in {"fixed", "still_right"}) == (path[-1] == "right")
    assert (fate == "stubborn") == ("right" not in path)


@given(st.lists(PATHS, max_size=40))
def test_the_bands_partition_the_questions_whatever_the_verdicts(paths: list[list[Verdict]]) -> None:
    letters = Counter(tuple(verdict[0] for verdict in path) for path in paths)
    found = {band.fate: band for band in count_bands(letters)}

    assert list(found) == list(FATES)
    assert sum(band.n for band in found.values()) == len(paths)
    for fate in FATES:
        own = [path for path in paths if fate_of(path) == fate]
        assert found[fate].n == len(own)
        assert found[fate].unscorable == sum(path[-1] == "unscorable" for path in own)


@settings(max_examples=40, deadline=None)
@given(ANSWERS)
def test_counts_from_the_ledger_equal_those_from_single_verdicts(answers: list[list[Verdict | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder) / "ledger.sqlite", "write") as ledger:
        asked = [record(ledger, side, [path[side] for path in answers]) for side in range(3)]
        letters = Letters(ledger)
        paths = [[verdict for verdict in path if verdict] for path in answers]
        wanted = Counter[Fate](fate_of(path) for path in paths if path)
        counted = {band.fate: band.n for band in count_bands(letters.paths(asked)) if band.n}

        assert counted == dict(wanted)
        assert letters.by_example(asked) == {
            f"q{number:02}": tuple(verdict[0] for verdict in path) for number, path in enumerate(paths) if path
        }
        if all(None not in path for path in answers):
            was, now = ([path[side] == "right" for path in answers] for side in (0, 2))
            fixed = sum(new and not old for old, new in zip(was, now, strict=True))
            pairing = letters.pairing(asked[0], asked[2])
            assert (pairing.fixed, pairing.broken) == (fixed, fixed - sum(now) + sum(was))
            assert (pairing.right_before, pairing.right_after) == (sum(was), sum(now))
            ids = letters.changed(asked[0], asked[2], "fixed")
            assert ids == tuple(f"q{place:02}" for place, old in enumerate(was) if now[place] and not old)


def test_letters_stand_in_the_order_of_the_examples_however_they_were_appended(tmp_path: Path) -> None:
    verdicts = [VERDICTS[number * 7 % 3] for number in range(99)]
    with open_ledger(tmp_path / "ledger.sqlite", "write") as ledger:
        evaluation = record(ledger, 0, verdicts, step=37)
        letters = Letters(ledger)

        assert letters.of(evaluation) == "".join(verdict[0] for verdict in verdicts)
        assert letters.examples(evaluation) == list(ledger.verdicts(evaluation))


def record(ledger: Ledger, side: int, verdicts: list[Verdict | None] | list[Verdict], step: int = 1) -> Evaluation:
    """One checkpoint's evaluation of the questions q00, q01, ...; a None is not answered."""
    evaluation = Evaluation(
        checkpoint=f"{side}" * 32,
        task="sums",
        split="train",
        target="t" * 32,
        examples="e" * 32,
        n=len(verdicts),
        generation=Generation(max_new_tokens=8),
        scorer="exact",
    )
    responses = [
        Response(
            evaluation=evaluation.hash,
            example=f"q{number:02}",
            task="sums",
            split="train",
            prompt_hash="p" * 32,
            text="",
            tokens=1,
            truncated=False,
            score=Score(verdict=verdict),
        )
        for number, verdict in enumerate(verdicts)
        if verdict is not None
    ]
    ledger.open_evaluation(evaluation)
    ledger.append_responses([responses[index * step % len(responses)] for index in range(len(responses))])
    return evaluation
