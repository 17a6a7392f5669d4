"""The keys as they stand in ledgers that exist: a run that was begun with one key must find its work under it again."""

from __future__ import annotations

import pytest

from errorbook.ledger import keys


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (keys.BASE, "base"),
        (keys.RULE, "rule"),
        (keys.examples("sums", "dev"), "sums:dev:"),
        (keys.example("sums", "dev", "q:1"), "sums:dev:q:1"),
        (keys.decision(2), "cycle:2"),
        (keys.diagnosis("r", "contrast"), "r:contrast"),
        (keys.call("write", "a"), "write:a"),
        (keys.draft("a", 0), "a:0"),
        (keys.noise("sums"), "noise:sums"),
        (keys.lesson(3, "h"), "3:h"),
        (keys.training(3), "training:3"),
        (keys.candidate(3, 1.0), "candidate:3:1"),
        (keys.candidate(3, 0.5), "candidate:3:0.5"),
        (keys.final_comparison("sums"), "final:sums:test"),
        (keys.correction("edit", "d", 12), "edit:d:12"),
        (keys.correction_number("edit:d:12"), 12),
    ],
)
def test_a_key_is_what_it_was(key: str | int, text: str | int) -> None:
    assert key == text
