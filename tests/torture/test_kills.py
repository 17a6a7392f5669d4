"""A short cut of the kills and of the outages."""

from __future__ import annotations

import pytest

from benchmarks.torture import kills, outages, small_run


@pytest.mark.timeout(300)
def test_a_killed_run_ends_as_an_undisturbed_one() -> None:
    outcome = kills.torment(1, seed=3)

    assert outcome.broken == ()
    assert outcome.tried >= 1


def test_kills_measure_nothing_if_the_undisturbed_run_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_run, "RUN_FILE", small_run.RUN_FILE.replace("accuracy = 0.3", "accuracy = 3"))

    with pytest.raises(RuntimeError, match="undisturbed, the run ended with 2"):
        kills.torment(1, seed=3)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_outage_leaves_the_ledger_as_it_would_be() -> None:
    outcome = outages.torment(1, seed=3)

    assert outcome.broken == ()
    assert outcome.tried >= 1
