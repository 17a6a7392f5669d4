"""Counts that a report is made of: letters of verdicts, however few were answered, and rows of every kind."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ledger_kit import (
    make_draft,
    make_evaluation,
    make_example,
    make_response,
    make_sample,
    record_answers,
    record_examples,
)

from errorbook.ledger import counts
from errorbook.ledger.counts import VERDICT, Diagnosed, Letters
from errorbook.ledger.file import Entry, Ledger
from errorbook.records import Correction, Diagnosis, Draft, Evaluation, Rejection, Sample, Verdict
from errorbook.stats import CHANGES, pair

FIRST, SECOND, THIRD = (make_evaluation(checkpoint=name) for name in ("first", "second", "third"))


def answer(ledger: Ledger, evaluation: Evaluation, letters: str, ids: str = "cab") -> Evaluation:
    """Append these verdicts for the examples a, b and c, out of their order."""
    return record_answers(ledger, evaluation, {id: VERDICT[letter] for id, letter in zip(ids, letters, strict=True)})


def test_letters_are_one_a_response_in_the_order_of_the_ids(ledger: Ledger) -> None:
    answer(ledger, FIRST, "urw")
    answer(ledger, SECOND, "rr", "ca")
    ledger.open_evaluation(THIRD)
    ledger.append(make_sample(1), make_evaluation(checkpoint="absent").hash)
    letters = Letters(ledger)

    assert letters.of(FIRST) == "rwu"
    assert letters.of(SECOND) == "rr"
    assert letters.of(THIRD) == ""
    assert letters.of(make_evaluation(checkpoint="absent")) == ""
    assert letters.examples(FIRST) == ["a", "b", "c"]
    assert letters.verdicts(FIRST) == {"a": "right", "b": "wrong", "c": "unscorable"}
    assert letters.verdicts(SECOND) == {"a": "right", "c": "right"}
    assert letters.verdicts(THIRD) == {}


def test_examples_of_a_part_are_not_taken_for_those_of_the_whole(ledger: Ledger) -> None:
    answer(ledger, FIRST, "rr", "ca")
    answer(ledger, SECOND, "www")
    answer(ledger, THIRD, "rrr")
    letters = Letters(ledger)

    assert letters.examples(FIRST) == ["a", "c"]
    assert letters.examples(SECOND) == ["a", "b", "c"]
    assert letters.examples(FIRST) == ["a", "c"]
    assert letters.examples(THIRD) is letters.examples(SECOND)  # the same questions are read once
    other = answer(ledger, make_evaluation(checkpoint="third", examples="others"), "rrr", "zyx")
    assert letters.examples(other) == ["x", "y", "z"]


def test_an_evaluation_is_read_once(ledger: Ledger) -> None:
    answer(ledger, FIRST, "rr", "ca")
    letters = Letters(ledger)
    assert letters.of(FIRST) == "rr"
    ledger.append_responses([make_response(FIRST, "b")])
    assert letters.of(FIRST) == "rr"
    assert Letters(ledger).of(FIRST) == "rrr"


def test_paths_of_whole_evaluations(ledger: Ledger) -> None:
    answer(ledger, FIRST, "uww")
    answer(ledger, SECOND, "rrr")
    letters = Letters(ledger)

    assert letters.by_example([FIRST, SECOND]) == {"a": ("w", "r"), "b": ("w", "r"), "c": ("u", "r")}
    assert letters.paths([FIRST, SECOND]) == Counter({("w", "r"): 2, ("u", "r"): 1})
    assert letters.by_example([SECOND, FIRST])["c"] == ("r", "u")
    assert letters.paths([FIRST]) == Counter({("w",): 2, ("u",): 1})
    assert letters.by_example([FIRST]) == {"a": ("w",), "b": ("w",), "c": ("u",)}
    assert letters.by_example([]) == {}
    assert letters.paths([]) == Counter()


def test_paths_leave_out_who_was_not_asked(ledger: Ledger) -> None:
    answer(ledger, FIRST, "uww")
    answer(ledger, SECOND, "rr", "ca")
    other = answer(ledger, make_evaluation(checkpoint="third", examples="others"), "rrr", "dab")
    letters = Letters(ledger)

    assert letters.by_example([FIRST, SECOND]) == {"a": ("w", "r"), "b": ("w",), "c": ("u", "r")}
    assert letters.paths([FIRST, SECOND]) == Counter({("w", "r"): 1, ("w",): 1, ("u", "r"): 1})
    # Whole, of as many questions, but of others.
    assert letters.by_example([FIRST, other]) == {"a": ("w", "r"), "b": ("w", "r"), "c": ("u",), "d": ("r",)}
    assert letters.paths([FIRST, other]) == Counter({("w", "r"): 2, ("u",): 1, ("r",): 1})


def test_paths_of_two_parts_go_by_example_even_if_both_are_as_long(ledger: Ledger) -> None:
    answer(ledger, FIRST, "uw", "ca")
    answer(ledger, SECOND, "rr", "cb")
    letters = Letters(ledger)

    assert letters.by_example([FIRST, SECOND]) == {"a": ("w",), "b": ("r",), "c": ("u", "r")}
    assert letters.paths([FIRST, SECOND]) == Counter({("w",): 1, ("r",): 1, ("u", "r"): 1})


def test_two_whole_evaluations_are_paired(ledger: Ledger) -> None:
    answer(ledger, FIRST, "uwr")
    answer(ledger, SECOND, "wrw")
    letters = Letters(ledger)

    found: dict[tuple[Verdict, Verdict], int] = {
        ("unscorable", "wrong"): 1,
        ("wrong", "right"): 1,
        ("right", "wrong"): 1,
    }
    assert letters.pairing(FIRST, SECOND) == pair(found)
    ids = {change: letters.changed(FIRST, SECOND, change) for change in CHANGES}
    assert ids == {"broken": ("b",), "fixed": ("a",), "unclear": ("c",), "still_wrong": (), "still_right": ()}


def test_what_is_half_answered_cannot_be_paired(ledger: Ledger) -> None:
    answer(ledger, FIRST, "uwr")
    answer(ledger, SECOND, "wr", "ca")
    for before, after in ((FIRST, SECOND), (SECOND, FIRST)):
        with pytest.raises(ValueError, match="zip"):
            Letters(ledger).pairing(before, after)
        with pytest.raises(ValueError, match="zip"):
            Letters(ledger).changed(before, after, "fixed")


def test_skills_are_those_of_one_split(ledger: Ledger) -> None:
    record_examples(ledger, [make_example("a", skill="add"), make_example("b"), make_example("c:d", skill="carry")])
    record_examples(ledger, [make_example("e", split="dev", skill="x"), make_example("f", task="sum", skill="x")])
    ledger.append(make_sample(1, skill="x"), "sums:train:g")
    ledger.extend([Entry(make_example(key, skill="x"), key) for key in ("sums:train", "sums:train;h", "sums:trainx:i")])

    assert counts.read_skills(ledger, "sums", "train") == {"a": "add", "b": "", "c:d": "carry"}
    assert counts.read_skills(ledger, "sums", "test") == {}


def diagnosis(number: int, **changes: Any) -> Diagnosis:
    given: dict[str, Any] = {"task": "sums", "error_kind": "carry"} | changes
    return Diagnosis(
        response=f"r{number}", example=f"x{number}", strategy="error", misconception="m", skill="s", **given
    )


def test_samples_are_traced_to_their_diagnoses_and_cycles(ledger: Ledger) -> None:
    drafts = [make_draft(number) for number in range(3)]
    ledger.extend([Entry(drafts[0], "z", "g0"), Entry(drafts[1], "a", "g1"), Entry(drafts[2], "m")])
    ledger.append(make_sample(1), drafts[1].hash, cycle=2)
    ledger.append(make_sample(0), drafts[0].hash, cycle=1)
    ledger.append(make_sample(2), drafts[2].hash, cycle=1)
    ledger.append(make_sample(3), "of no draft", cycle=4)

    assert list(counts.read_draft_origins(ledger)) == [
        (drafts[0].hash, "g0"),
        (drafts[1].hash, "g1"),
        (drafts[2].hash, ""),
    ]
    assert list(counts.read_sample_origins(ledger)) == [(2, "g1"), (1, "g0"), (1, ""), (4, "")]


def test_diagnoses_come_in_order_with_where_they_stand(ledger: Ledger) -> None:
    two, one = diagnosis(2, task="words", error_kind="rhyme"), diagnosis(1)
    ledger.append(two, "z", cycle=3, parent="response 2")
    ledger.append(make_sample(1), "a", cycle=3)
    ledger.append(one, "a", cycle=1, parent="response 1")

    assert counts.read_diagnoses(ledger) == [Diagnosed(two.hash, two, 3), Diagnosed(one.hash, one, 1)]
    assert list(counts.read_diagnosis_origins(ledger)) == [
        (two.hash, "response 2", "words", "rhyme"),
        (one.hash, "response 1", "sums", "carry"),
    ]


def test_records_are_counted_by_cycle(ledger: Ledger) -> None:
    for number, cycle in enumerate((2, 1, 2, 0)):
        ledger.append(make_sample(number), f"k{number}", cycle=cycle)
    ledger.append(make_draft(1), "k", cycle=2)

    assert counts.count_per_cycle(ledger, Sample) == Counter({2: 2, 1: 1, 0: 1})
    assert counts.count_per_cycle(ledger, Draft) == Counter({2: 1})
    assert counts.count_per_cycle(ledger, Rejection) == Counter()


def test_rejections_are_counted_by_reason_the_most_frequent_first(ledger: Ledger) -> None:
    # In cycle 2 two reasons are as frequent: the one that came first stands first.
    for number, (cycle, reason) in enumerate([(2, "z"), (2, "a"), (1, "b"), (1, "a"), (1, "a"), (2, "m"), (2, "m")]):
        ledger.append(Rejection(draft=f"d{number}", task="sums", reason=reason), f"d{number}", cycle=cycle)

    found = counts.count_rejections(ledger)
    assert [(cycle, list(reasons.items())) for cycle, reasons in found.items()] == [
        (1, [("a", 2), ("b", 1)]),
        (2, [("m", 2), ("z", 1), ("a", 1)]),
    ]


def test_corrections_are_counted_by_kind(ledger: Ledger) -> None:
    for number, kind in enumerate(("strike", "edit", "strike", "score")):
        ledger.append(Correction(subject="d", kind=kind), f"{kind}:d:{number}")  # type: ignore[arg-type]
    assert list(counts.count_corrections(ledger).items()) == [("edit", 1), ("score", 1), ("strike", 2)]
