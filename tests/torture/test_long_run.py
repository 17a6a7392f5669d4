"""A short cut of the long run."""

from __future__ import annotations

from benchmarks.torture.long_run import CYCLES, torment


def test_six_cycles_are_compared() -> None:
    outcome = torment(1, seed=1)
    assert outcome.tried == CYCLES
    assert not [sentence for sentence in outcome.broken if "took" not in sentence]  # a busy machine has no even pace
    assert outcome.figures["bytes a row"] < 4000
