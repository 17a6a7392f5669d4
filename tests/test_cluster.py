"""Misconceptions: like diagnoses come together, in whatever order they come, and each group gets its fair share."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from teacher_kit import example, mistake

from errorbook.instruct import FEW, assign, group_by_misconception, retry, share_out
from errorbook.records import Diagnosis, Mistake

CARRY = [
    ("dropped carry", "The student drops the carried ten when two digits add up to more than nine."),
    ("dropped carry", "The carried ten is forgotten in the next column."),
    ("missing carry", "When digits add to more than nine the student forgets the carried ten."),
    ("dropped carry", "It does not add the carried ten to the column of tens."),
]
ORDER = [
    ("order of operations", "The student adds before multiplying, strictly from left to right."),
    ("order of operations", "It works from left to right and ignores that multiplying comes first."),
    ("operation order", "The student adds first although multiplying has to come before."),
    ("order of operations", "Working left to right, the student does the addition before the multiplication."),
]
UNITS = [
    ("unit conversion", "The student divides by 100 where metres have to be turned into millimetres."),
    ("unit conversion", "It multiplies by ten instead of a thousand to turn metres into millimetres."),
    ("wrong unit conversion", "The student mixes up centimetres and millimetres in turning metres over."),
    ("unit conversion", "It believes that one metre has a hundred millimetres."),
]


def diagnosis(kind: str, misconception: str, task: str = "sums", difficulty: int = 2, place: int = 0) -> Diagnosis:
    return Diagnosis(
        response=f"r{place}",
        example=f"e{place}",
        task=task,
        strategy="cluster",
        error_kind=kind,
        misconception=misconception,
        skill="",
        difficulty=difficulty,
    )


def test_one_misconception_in_other_words_is_one_group() -> None:
    found = group_by_misconception([diagnosis(kind, text) for kind, text in [*CARRY, *ORDER, *UNITS]])
    assert sorted(found) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]


def test_a_few_diagnoses_are_grouped_by_their_kind_of_error_alone() -> None:
    few = [diagnosis("Dropped  carry", "a"), diagnosis("order", "b"), diagnosis("dropped carry", "c")]
    assert group_by_misconception(few) == [(0, 2), (1,)]
    assert len(few) <= FEW


def test_a_group_is_of_one_task() -> None:
    both = [diagnosis(*CARRY[0]), diagnosis(*CARRY[0], task="words")]
    assert group_by_misconception(both) == [(0,), (1,)]


def test_diagnoses_without_a_word_stay_together() -> None:
    rows = [diagnosis(kind, text) for kind, text in [*CARRY, *ORDER, *UNITS]]
    found = group_by_misconception([*rows, diagnosis("?", "!"), diagnosis("!", "?")])
    assert (12, 13) in found


TEXTS = st.sampled_from([*CARRY, *ORDER, *UNITS, ("?", "!"), ("guess", "The student guesses."), ("guess", "No idea.")])
DIAGNOSES = st.lists(st.builds(lambda text, task: diagnosis(text[0], text[1], task), TEXTS, st.sampled_from("ab")))


@given(DIAGNOSES, st.randoms(use_true_random=False))
def test_groups_are_a_partition_that_no_order_changes(rows: list[Diagnosis], rng: object) -> None:
    groups = group_by_misconception(rows)
    assert sorted(place for group in groups for place in group) == list(range(len(rows)))
    order = list(range(len(rows)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [rows[place] for place in order]
    assert contents(shuffled, group_by_misconception(shuffled)) == contents(rows, groups)


def contents(rows: list[Diagnosis], groups: list[tuple[int, ...]]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(sorted(rows[place].hash for place in group)) for group in groups)


SIZED = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), max_size=12)


@given(SIZED, st.integers(0, 300))
def test_the_whole_quota_is_given_out_and_no_group_goes_without(sizes: list[tuple[int, int]], quota: int) -> None:
    groups = [[diagnosis("k", "m", difficulty=difficulty)] * size for size, difficulty in sizes]
    given_out = share_out(groups, quota)
    assert sum(given_out) == (quota if groups else 0)
    assert not groups or quota < len(groups) or min(given_out) >= 1


def test_a_share_grows_with_the_root_of_the_size_and_with_difficulty() -> None:
    sizes = share_out([[diagnosis("k", "m")] * 64, [diagnosis("k", "m")] * 4], 102)
    assert sizes == [81, 21]
    hard, easy = share_out([[diagnosis("k", "m", difficulty=5)] * 9, [diagnosis("k", "m", difficulty=1)] * 9], 100)
    assert hard > easy


def diagnosed(n: int) -> list[tuple[Mistake, Diagnosis]]:
    wrong = [mistake(example(f"{place} + 1?", str(place + 1)), "Answer: 0", strategy="cluster") for place in range(n)]
    kinds = [CARRY[0] if place % 3 else ORDER[0] for place in range(n)]
    return [(item, diagnosis(*kind, place=place)) for place, (item, kind) in enumerate(zip(wrong, kinds, strict=True))]


def test_drafts_are_assigned_by_misconception_a_few_at_a_time_against_other_mistakes() -> None:
    assignments = assign(diagnosed(30), 40, cycle=1)
    assert sum(assignment.count for assignment in assignments) == 40
    assert max(assignment.count for assignment in assignments) <= 5
    assert [assignment.index for assignment in assignments] == list(range(len(assignments)))
    for assignment in assignments:
        assert assignment.mistake is not None
        assert assignment.diagnosis is not None
        assert len({assignment.mistake.hash, *(other.hash for other in assignment.alike)}) == 3
    firsts = [assignment.mistake.hash for assignment in assignments if assignment.mistake]
    assert len(set(firsts)) == len(firsts)
    again = retry(assignments, Counter({assignments[0].hash: 2}))
    assert [(item.count, item.round, item.alike) for item in again] == [(2, 1, assignments[0].alike)]
