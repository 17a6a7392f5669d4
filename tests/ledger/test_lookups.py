"""What belongs to one thing, among things that look like it: other kinds, other parents, keys that begin alike."""

from __future__ import annotations

from ledger_kit import make_draft, make_evaluation, make_response, make_sample, record_answers

from errorbook.ledger.file import Entry, Ledger
from errorbook.ledger.lookups import RecordOrigin, find_by_prefix, find_children, find_origin, find_responses
from errorbook.records import Draft, Response, Sample


def test_an_origin_is_that_of_the_first_record_of_the_kind(ledger: Ledger) -> None:
    ledger.append(make_sample(1), "z", cycle=2, parent="first")
    ledger.append(make_sample(1), "a", cycle=7, parent="second")
    ledger.append(make_draft(1), "a", cycle=9, parent="third")

    assert find_origin(ledger, Sample, make_sample(1).hash) == RecordOrigin(cycle=2, parent="first")
    assert find_origin(ledger, Draft, make_draft(1).hash) == RecordOrigin(cycle=9, parent="third")
    assert find_origin(ledger, Draft, make_sample(1).hash) is None
    assert find_origin(ledger, Sample, "nothing") is None


def test_children_are_those_of_one_kind_and_one_parent_in_order(ledger: Ledger) -> None:
    ledger.append(make_sample(2), "z", cycle=4, parent="p")
    ledger.append(make_sample(1), "y", cycle=3, parent="other")
    ledger.append(make_draft(1), "x", cycle=5, parent="p")
    ledger.append(make_sample(3), "a", cycle=1, parent="p")

    assert find_children(ledger, Sample, "p") == [(4, make_sample(2)), (1, make_sample(3))]
    assert find_children(ledger, Draft, "p") == [(5, make_draft(1))]
    assert find_children(ledger, Draft, "other") == []


def test_a_prefix_ends_with_its_colon(ledger: Ledger) -> None:
    names = ["a:9", "a", "a;", "a:", "ab:1", "A:1", "a:b:c", "b:1", "a;1", "a:\N{SNOWMAN}"]
    ledger.extend([Entry(make_sample(number), key) for number, key in enumerate(names)], cycle=6)
    ledger.append(make_draft(1), "a:draft", cycle=7)

    assert find_by_prefix(ledger, Sample, "a") == [(6, make_sample(number)) for number in (0, 3, 6, 9)]
    assert find_by_prefix(ledger, Sample, "a:b") == [(6, make_sample(6))]
    assert find_by_prefix(ledger, Draft, "a") == [(7, make_draft(1))]
    assert find_by_prefix(ledger, Draft, "c") == []


def test_responses_are_found_by_hash_within_their_evaluation(ledger: Ledger) -> None:
    first, second = make_evaluation(), make_evaluation(checkpoint="later")
    ledger.append(make_sample(1), second.hash)  # of another kind, with the key of an evaluation
    record_answers(ledger, first, {"b": "wrong", "a": "right"})
    record_answers(ledger, second, {"a": "right"})
    one, two = make_response(first, "a"), make_response(first, "b", "wrong")
    foreign = make_response(second, "a")

    def find(evaluation: str, *wanted: Response) -> dict[str, Response]:
        return find_responses(ledger, evaluation, [response.hash for response in wanted])

    assert find(first.hash, one, two) == {one.hash: one, two.hash: two}
    assert find(first.hash, two) == {two.hash: two}
    assert find(first.hash, foreign, one) == {one.hash: one}
    assert find(second.hash, foreign, one) == {foreign.hash: foreign}
    assert find(first.hash) == {}
    assert find("nothing", one) == {}
