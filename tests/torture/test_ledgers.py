"""A short cut of the damaged ledgers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.torture.ledgers import DAMAGES, LEAST, MANY, Bench, list_losses, torment
from errorbook.ledger import salvage


def test_damaged_ledgers_are_one_sentence_or_do_no_harm() -> None:
    outcome = torment(1, seed=20)
    assert outcome.broken == ()
    assert outcome.tried >= len(DAMAGES)
    assert outcome.figures["salvaged"] == outcome.figures["went on"] >= 2
    kept = {name.removeprefix("kept after "): share for name, share in outcome.figures.items() if "kept" in name}
    assert all(0 < share <= 1 for share in kept.values())


def test_every_damage_has_a_share_that_is_kept() -> None:
    assert LEAST.keys() == DAMAGES.keys()


def test_a_salvage_that_keeps_little_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_losses({name: [1.0] * MANY for name in DAMAGES}) == []
    assert list_losses({"a table": [0.999], "a bit": [0.0] * (MANY - 1)})[0].startswith("salvage after 'a table' kept")
    assert len(list_losses({"a bit": [0.99, 0.8] * MANY, "cut": [0.9] * MANY})) == 1

    bench = Bench(tmp_path)
    figures = {"salvaged": 0.0, "went on": 0.0}
    DAMAGES["a table"](bench.damage(), random.Random(1))
    assert bench.salvage(figures) == ("", 1.0)

    DAMAGES["a table"](bench.damage(), random.Random(1))
    monkeypatch.setattr(salvage, "_whole_responses", lambda found, records: {})
    assert len(list_losses({"a table": [bench.salvage(figures)[1]]})) == 1
