"""What was appended since someone last looked: each record and response once, in order, in portions of any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_kit import make_draft, make_evaluation, make_response, make_sample, record_answers

from errorbook.ledger import changes
from errorbook.ledger.changes import BareResponse, Heads, NewAnswer, NewRecord
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.records import encode

FIRST = make_evaluation()
SECOND = make_evaluation(checkpoint="d" * 32)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Two evaluations among other records: seven records and five responses, appended out of the order of the ids."""
    with open_ledger(tmp_path, "write") as ledger:
        ledger.extend([Entry(make_sample(1), "s1", "p1"), Entry(make_draft(1), "d1", "p2")], cycle=3)
        ledger.open_evaluation(FIRST, cycle=4)
        ledger.extend([Entry(make_sample(2), "s2"), Entry(make_draft(2), "d2")])
        ledger.append_responses([make_response(FIRST, "b", "wrong"), make_response(FIRST, "a")])
        record_answers(ledger, SECOND, {"c": "unscorable", "a": "wrong"})
        ledger.append_responses([make_response(FIRST, "c", "unscorable", text="the third")])
        ledger.append(make_sample(3), "s3", cycle=5)
        yield ledger


def test_an_empty_ledger_has_heads_and_nothing_else(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        assert changes.heads(ledger) == Heads(record=0, response=0)
        assert changes.record_hash(ledger, 1) == ""
        assert changes.records_after(ledger, 0, ["Sample"], 9) == []
        assert changes.answers_after(ledger, 0, 9) == []
        assert changes.evaluations(ledger) == []
        assert changes.find_answer(ledger, "h") is None


def test_heads_count_records_and_responses_apart(ledger: Ledger) -> None:
    assert changes.heads(ledger) == Heads(record=7, response=5)


def test_a_number_says_which_record_it_is(ledger: Ledger) -> None:
    assert changes.record_hash(ledger, 1) == make_sample(1).hash
    assert changes.record_hash(ledger, 3) == FIRST.hash
    assert changes.record_hash(ledger, 7) == make_sample(3).hash
    assert changes.record_hash(ledger, 8) == ""


def test_a_new_record_comes_with_all_that_the_ledger_knows_of_it(ledger: Ledger) -> None:
    record = make_sample(1)
    assert changes.records_after(ledger, 0, ["Sample"], 1) == [
        NewRecord(seq=1, kind="Sample", key="s1", hash=record.hash, cycle=3, body=encode(record).decode())
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        (["Sample"], ["s1", "s2", "s3"]),
        (["Draft", "Sample"], ["s1", "d1", "s2", "d2", "s3"]),
        (("Evaluation", "Vote"), [FIRST.hash, SECOND.hash]),
        (["Vote"], []),
        ([], []),
    ],
)
def test_portions_of_any_size_hold_each_record_once(
    ledger: Ledger, kinds: list[str], wanted: list[str], limit: int
) -> None:
    found, seq = [], 0
    while portion := changes.records_after(ledger, seq, kinds, limit):
        assert len(portion) <= limit
        found += [record.key for record in portion]
        seq = portion[-1].seq
    assert found == wanted


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_portions_of_any_size_hold_each_response_once(ledger: Ledger, limit: int) -> None:
    found: list[NewAnswer] = []
    while portion := changes.answers_after(ledger, len(found), limit):
        assert len(portion) <= limit
        found += portion
    names = [(FIRST, "b"), (FIRST, "a"), (SECOND, "c"), (SECOND, "a"), (FIRST, "c")]
    assert found == [NewAnswer(seq, evaluation.hash, id) for seq, (evaluation, id) in enumerate(names, 1)]


def test_evaluations_come_with_their_numbers(ledger: Ledger) -> None:
    assert changes.evaluations(ledger) == [(3, FIRST), (6, SECOND)]


def test_answers_of_one_evaluation_come_by_example_and_go_on_behind_one(ledger: Ledger) -> None:
    answers = [BareResponse("a", "right", 2), BareResponse("b", "wrong", 1), BareResponse("c", "unscorable", 5)]
    assert changes.answers_of(ledger, 3, "", 9) == answers
    assert changes.answers_of(ledger, 3, "", 2) == answers[:2]
    assert changes.answers_of(ledger, 3, "a", 1) == answers[1:2]
    assert changes.answers_of(ledger, 3, "aa", 9) == answers[1:]
    assert changes.answers_of(ledger, 3, "c", 9) == []
    assert changes.answers_of(ledger, 6, "", 9) == [BareResponse("a", "wrong", 4), BareResponse("c", "unscorable", 3)]
    assert changes.answers_of(ledger, 4, "", 9) == []


def test_the_answer_to_one_example_is_that_of_the_evaluation(ledger: Ledger) -> None:
    assert changes.answer_to(ledger, 3, "a") == BareResponse("a", "right", 2)
    assert changes.answer_to(ledger, 6, "a") == BareResponse("a", "wrong", 4)
    assert changes.answer_to(ledger, 6, "b") is None
    assert changes.answer_to(ledger, 4, "a") is None


def test_whether_an_evaluation_has_answers_up_to_a_number(ledger: Ledger) -> None:
    assert [changes.has_answers(ledger, 3, upto) for upto in (0, 1, 2)] == [False, True, True]
    assert [changes.has_answers(ledger, 6, upto) for upto in (2, 3, 9)] == [False, True, True]
    assert not changes.has_answers(ledger, 4, 9)


def test_a_text_is_found_by_its_number(ledger: Ledger) -> None:
    assert changes.read_text(ledger, 1) == "answer to b"
    assert changes.read_text(ledger, 5) == "the third"
    assert changes.read_text(ledger, 6) == ""


def test_a_response_is_found_by_its_hash(ledger: Ledger) -> None:
    assert changes.find_answer(ledger, make_response(SECOND, "a", "wrong").hash) == (6, "a")
    assert changes.find_answer(ledger, make_response(FIRST, "b", "wrong").hash) == (3, "b")
    assert changes.find_answer(ledger, make_response(FIRST, "b", "right").hash) is None
