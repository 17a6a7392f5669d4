"""The keys as they stand in ledgers that exist: a run that was begun with one key must find its work under it again."""

from __future__ import annotations

from errorbook.ledger import keys


def test_each_key_is_what_it_was() -> None:
    assert (keys.BASE, keys.RULE) == ("base", "rule")
    assert keys.examples("sums", "dev") == "sums:dev:"
    assert keys.example("sums", "dev", "q:1") == "sums:dev:q:1"
    assert keys.decision(2) == "cycle:2"
    assert keys.diagnosis("r", "contrast") == "r:contrast"
    assert keys.call("write", "a") == "write:a"
    assert keys.draft("a", 0) == "a:0"
    assert keys.noise("sums") == "noise:sums"
    assert keys.lesson(3, "h") == "3:h"
    assert keys.training(3) == "training:3"
    assert keys.candidate(3, 1.0) == "candidate:3:1"
    assert keys.candidate(3, 0.5) == "candidate:3:0.5"
    assert keys.final_comparison("sums") == "final:sums:test"
    assert keys.correction("edit", "d", 12) == "edit:d:12"


def test_the_number_of_a_correction_stands_at_the_end_of_its_key() -> None:
    assert keys.correction_number("edit:d:12") == 12
    assert keys.correction_number(keys.correction("strike", "d:1", 3)) == 3
