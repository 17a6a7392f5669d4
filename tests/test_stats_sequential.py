"""The gate's test in looks: its error rate is counted out, and its blocks depend on no order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errorbook.stats import Step, count_looks, draw_blocks, mcnemar_gain, take_looks

SIZES = st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=4).filter(
    lambda b: sum(map(len, b)) <= 9
)
ALPHAS = st.sampled_from([0.004, 0.05, 0.2, 0.5])


def even(looks: int) -> list[float]:
    """Blocks of one size each."""
    return [(number + 1) / looks for number in range(looks)]


def look_at(sizes: Sequence[Sequence[int]], signs: Sequence[int], alpha: float) -> list[Step]:
    """The steps if groups of these sizes have these signs."""
    flips = iter(signs)
    blocks = [Counter(size * next(flips) for size in block) for block in sizes]
    return take_looks(blocks, even(len(sizes)), alpha)


def all_signs(sizes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    return list(product((1, -1), repeat=sum(map(len, sizes))))


@given(SIZES, ALPHAS)
@settings(max_examples=12, deadline=None)
def test_of_all_ways_to_flip_the_signs_at_most_alpha_are_gains(sizes: list[list[int]], alpha: float) -> None:
    every = [look_at(sizes, signs, alpha) for signs in all_signs(sizes)]

    assert Fraction(sum(steps[-1].gained for steps in every), len(every)) <= alpha + 1e-9


@given(SIZES, ALPHAS)
@settings(max_examples=12, deadline=None)
def test_p_is_the_share_of_flips_that_gained_before_or_have_as_much(sizes: list[list[int]], alpha: float) -> None:
    flips = all_signs(sizes)
    every = [look_at(sizes, signs, alpha) for signs in flips]
    ends = list(accumulate(map(len, sizes)))
    flat = [size for block in sizes for size in block]
    sums = [[sum(a * b for a, b in zip(signs[:end], flat, strict=False)) for end in ends] for signs in flips]
    for steps, mine in list(zip(every, sums, strict=True))[:: max(1, len(every) // 40)]:
        look = len(steps) - 1
        as_far = [len(other) <= look or theirs[look] >= mine[look] for other, theirs in zip(every, sums, strict=True)]
        assert steps[-1].p == pytest.approx(sum(as_far) / len(every), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), ALPHAS)
def test_one_look_is_the_gate_as_it_was(fixed: int, broken: int, alpha: float) -> None:
    [step] = take_looks([{1: fixed, -1: broken}], [1.0], alpha)

    assert step.p == pytest.approx(mcnemar_gain(fixed, broken), rel=1e-9)
    assert step.allowed == alpha
    assert step.gained == (step.p <= alpha)


def test_a_look_depends_on_nothing_that_comes_after_it() -> None:
    blocks = [{1: 4, -1: 2}, {1: 3, -3: 1}, {2: 5}]
    whole = take_looks(blocks, even(4), 0.05)

    assert [take_looks(blocks[:number], even(4), 0.05) for number in (1, 2)] == [whole[:1], whole[:2]]


def test_a_clear_gain_ends_early_and_a_clear_loss_is_hopeless() -> None:
    assert len(take_looks([{1: 12}] * 8, even(8), 0.05)) == 1
    assert take_looks([{1: 2, -1: 9}] * 2, even(8), 0.05)[-1].hopeless
    assert not take_looks([{1: 6, -1: 5}], even(8), 0.05)[-1].hopeless


def test_nothing_that_changes_is_no_gain() -> None:
    assert [step.gained for step in take_looks([{}, {}], even(2), 0.05)] == [False, False]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=40), st.integers(1, 8), st.integers(0, 3), st.randoms())
def test_blocks_hold_every_question_once_and_no_group_is_divided(sizes, looks, seed, random) -> None:  # type: ignore[no-untyped-def]
    groups = [[f"{number}-{place}" for place in range(size)] for number, size in enumerate(sizes)]
    ids = [one for group in groups for one in group]
    together = [group for group in groups if len(group) > 1]
    blocks = draw_blocks(ids, together, looks, seed)

    assert sorted(one for block in blocks for one in block) == sorted(ids)
    assert blocks[0]
    assert len(blocks) == looks
    assert all(sum(bool({*group} & {*block}) for block in blocks) == 1 for group in groups)
    random.shuffle(ids)
    random.shuffle(together)
    assert draw_blocks(ids, together, looks, seed) == blocks


def test_another_seed_draws_another_order() -> None:
    ids = [str(number) for number in range(50)]

    assert draw_blocks(ids, [], 5, 1) != draw_blocks(ids, [], 5, 2)
    assert [len(block) for block in draw_blocks(ids, [], 5, 1)] == [10] * 5


def test_few_questions_are_looked_at_less_often() -> None:
    assert [count_looks(groups) for groups in (0, 9, 10, 35, 80, 2000)] == [1, 1, 1, 3, 8, 8]
