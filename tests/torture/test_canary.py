"""A short cut of the canaries."""

from __future__ import annotations

from benchmarks.torture.canary import torment


def test_no_canary_is_written_or_printed() -> None:
    outcome = torment(1, seed=3)
    assert outcome.broken == ()
    assert outcome.figures["runs"] == 2
    assert outcome.figures["refused"] == outcome.tried - 2
