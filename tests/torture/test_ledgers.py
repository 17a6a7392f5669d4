"""A short cut of the damaged ledgers."""

from __future__ import annotations

from benchmarks.torture.ledgers import DAMAGES, torment


def test_damaged_ledgers_are_one_sentence_or_do_no_harm() -> None:
    outcome = torment(1, seed=20)
    assert outcome.broken == ()
    assert outcome.tried >= len(DAMAGES)
    assert outcome.figures["salvaged"] == outcome.figures["went on"] >= 2
