"""Two evaluations side by side: counted, item by item and page by page, held to the same done in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest
from ledger_kit import make_evaluation, make_example, make_response, make_sample, record_answers, record_examples

from errorbook.errors import LedgerError
from errorbook.ledger.file import open_ledger
from errorbook.ledger.pairs import Pair, Pairs, Place, Totals, pair_evaluations
from errorbook.records import Evaluation, Response, Score, Verdict
from errorbook.stats import CHANGES, Change, change_of, pair

BEFORE = make_evaluation()
AFTER = make_evaluation(checkpoint="later")
OTHER = make_evaluation(checkpoint="of no interest")
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# Three of each pair of verdicts; the ids are such that no kind of change stands in one piece.
BOTH = {f"q{n * 7 % 27:02}": (VERDICTS[n % 3], VERDICTS[n // 3 % 3]) for n in range(27)}
ONLY_BEFORE, ONLY_AFTER = "q00x", "q99"
PLACES = sorted(
    (Place(change_of(*verdicts), id) for id, verdicts in BOTH.items()), key=lambda p: (CHANGES.index(p[0]), p[1])
)
WANTED: list[Sequence[Change]] = [CHANGES, *((change,) for change in CHANGES), ("still_right", "broken", "unclear"), ()]


def answer(evaluation: Evaluation, id: str, verdict: Verdict, side: str, cut: int) -> Response:
    """Every `cut`-th response is truncated, nothing was extracted from q05, and q03 and q10 have their own prompts."""
    number = int(id[1:3])
    return make_response(
        evaluation,
        id,
        truncated=number % cut == 0,
        prompt_hash=side if number in {3, 10} else "same",
        score=Score(verdict=verdict, extracted="" if number == 5 else f"{id} {side}"),
    )


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two ledgers. Their evaluations have other numbers, and another evaluation in each has the same examples."""
    first, second = (tmp_path_factory.mktemp(name) / "ledger.sqlite" for name in ("first", "second"))
    with open_ledger(first, "write") as ledger:
        ids = [*BOTH, ONLY_BEFORE]
        record_answers(ledger, OTHER, dict.fromkeys([*ids, ONLY_AFTER], "unscorable"))
        record_examples(ledger, [make_example(id) for id in ids if id not in {"q01", "q02"}])
        record_examples(ledger, [make_example("q02", split="dev"), make_example("q02", task="other")])
        ledger.append(make_sample(1), "sums:train:q01")
        ledger.open_evaluation(BEFORE)
        verdicts = {id: was for id, (was, _) in BOTH.items()} | {ONLY_BEFORE: "right"}
        ledger.append_responses([answer(BEFORE, id, was, "before", 2) for id, was in verdicts.items()])
    with open_ledger(second, "write") as ledger:
        ledger.append(make_sample(2), AFTER.hash)
        ledger.open_evaluation(AFTER)
        later = {id: now for id, (_, now) in BOTH.items()} | {ONLY_AFTER: "right"}
        ledger.append_responses([answer(AFTER, id, now, "after", 3) for id, now in reversed(later.items())])
        record_answers(ledger, OTHER, dict.fromkeys([*BOTH, ONLY_BEFORE], "unscorable"))
        record_examples(ledger, [make_example(id, question="of the second ledger") for id in BOTH])
    return first, second


@pytest.fixture(scope="module")
def pairs(ledgers: tuple[Path, Path]) -> Iterator[Pairs]:
    with pair_evaluations((ledgers[0], BEFORE), (ledgers[1], AFTER)) as pairs:
        yield pairs


def test_there_is_something_of_every_change() -> None:
    assert {place.change for place in PLACES} == set(CHANGES)
    assert len(BOTH) == 27


def test_totals_count_what_both_answered(pairs: Pairs) -> None:
    counts = dict.fromkeys(((was, now) for was in VERDICTS for now in VERDICTS), 3)
    numbers = [int(id[1:]) for id in BOTH]
    cut_before, cut_after = (sum(number % cut == 0 for number in numbers) for cut in (2, 3))
    assert pairs.totals() == Totals(pair(counts), truncated_before=cut_before, truncated_after=cut_after)
    assert cut_before != cut_after


def test_totals_of_nothing_are_zero(ledgers: tuple[Path, Path], tmp_path: Path) -> None:
    with open_ledger(tmp_path, "write") as ledger:
        ledger.open_evaluation(AFTER)
    with pair_evaluations((ledgers[0], BEFORE), (tmp_path / "ledger.sqlite", AFTER)) as pairs:
        assert pairs.totals() == Totals(pair({}), 0, 0)
        assert pairs.page(CHANGES, None, 9) == []
        assert pairs.other_prompts(9) == (0, 0)


def test_an_item_holds_both_verdicts_the_question_and_both_extracts(pairs: Pairs) -> None:
    found = {item.place.example: item for item in pairs.page(CHANGES, None, 100)}
    assert list(found.values()) == [
        Pair(
            place=place,
            before=BOTH[place.example][0],
            after=BOTH[place.example][1],
            question="" if place.example in {"q01", "q02"} else f"question of {place.example}",
            extracted_before="" if place.example == "q05" else f"{place.example} before",
            extracted_after="" if place.example == "q05" else f"{place.example} after",
        )
        for place in PLACES
    ]


def test_questions_are_cut(pairs: Pairs, tmp_path: Path) -> None:
    assert pairs.page(CHANGES, None, 1, question=5)[0].question == "quest"
    assert pairs.page_before(CHANGES, PLACES[1], 1, question=6)[0].question == "questi"
    with open_ledger(tmp_path, "write") as ledger:
        record_answers(ledger, BEFORE, {"a": "right", "b": "right"})
        record_examples(ledger, [make_example(id, question="\N{SNOWMAN}" * 301) for id in "ab"])
    path = tmp_path / "ledger.sqlite"
    with pair_evaluations((path, BEFORE), (path, BEFORE)) as same:
        assert same.page(CHANGES, None, 1)[0].question == "\N{SNOWMAN}" * 300
        assert same.page_before(CHANGES, Place("still_right", "b"), 1)[0].question == "\N{SNOWMAN}" * 300


@pytest.mark.parametrize("wanted", WANTED, ids="+".join)
@pytest.mark.parametrize("size", [0, 1, 4, 100])
def test_pages_go_on_and_back_from_every_place(pairs: Pairs, wanted: Sequence[Change], size: int) -> None:
    def places(items: list[Pair]) -> list[Place]:
        return [item.place for item in items]

    kept = [place for place in PLACES if place.change in wanted]
    assert places(pairs.page(wanted, None, size)) == kept[:size]
    # Places of every item, and one of no item: it stands between two.
    for place in [*PLACES, Place("unclear", "q12x")]:
        rank = (CHANGES.index(place.change), place.example)
        behind = [other for other in kept if (CHANGES.index(other.change), other.example) > rank]
        ahead = [other for other in kept if (CHANGES.index(other.change), other.example) < rank]
        assert places(pairs.page(wanted, place, size)) == behind[:size]
        assert places(pairs.page_before(wanted, place, size)) == ahead[max(len(ahead) - size, 0) :]


def test_both_answers_in_full_or_none(pairs: Pairs) -> None:
    for id, (was, now) in BOTH.items():
        assert pairs.both(id) == (answer(BEFORE, id, was, "before", 2), answer(AFTER, id, now, "after", 3))
    assert pairs.both(ONLY_BEFORE) is None
    assert pairs.both(ONLY_AFTER) is None
    assert pairs.both("absent") is None


def test_a_place_is_known_for_what_both_answered(pairs: Pairs) -> None:
    assert [pairs.place_of(place.example) for place in PLACES] == PLACES
    assert pairs.place_of(ONLY_BEFORE) is None
    assert pairs.place_of(ONLY_AFTER) is None


def test_other_words_are_counted_among_the_first_questions(pairs: Pairs) -> None:
    ids = sorted(BOTH)
    for size in (0, 1, 3, 4, 10, 11, 27, 99):
        assert pairs.other_prompts(size) == (sum(id in {"q03", "q10"} for id in ids[:size]), min(size, 27))


@pytest.mark.parametrize("side", [0, 1])
def test_an_evaluation_of_another_run_is_refused(ledgers: tuple[Path, Path], side: int) -> None:
    evaluations = [BEFORE, AFTER]
    evaluations[side] = make_evaluation(checkpoint="unknown")
    sentence = f"The ledger has no evaluation {evaluations[side].hash}; compare the run that it is from."
    with pytest.raises(LedgerError) as caught:
        pair_evaluations((ledgers[0], evaluations[0]), (ledgers[1], evaluations[1])).__enter__()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_that_cannot_be_read_is_one_sentence_and_is_left_as_it_is(
    ledgers: tuple[Path, Path], tmp_path: Path, side: int
) -> None:
    files = [(ledgers[0], BEFORE), (ledgers[1], AFTER)]
    files[side] = (tmp_path / "absent.sqlite", files[side][1])
    with pytest.raises(LedgerError, match="cannot be opened"):
        pair_evaluations(files[0], files[1]).__enter__()
    assert not files[side][0].exists()
    files[side][0].write_text("I am a shopping list, and a long one at that." * 50)
    with pytest.raises(LedgerError, match="is not a ledger, or "):
        pair_evaluations(files[0], files[1]).__enter__()


def test_a_folder_with_signs_of_an_address_is_found(tmp_path: Path) -> None:
    path = tmp_path / "50% off?mode=x#1" / "ledger.sqlite"
    with open_ledger(path, "write") as ledger:
        record_answers(ledger, BEFORE, {"a": "right"})
    with pair_evaluations((path, BEFORE), (path, BEFORE)) as pairs:
        assert pairs.place_of("a") == Place("still_right", "a")
