"""Means over seeds and questions: what must hold for any data, coverage where the truth is known, and the power."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

from errorbook.stats import holm
from errorbook.stats.mixed import Mean, mean_of, ratio_of, resample_questions, rescale
from errorbook.stats.seeds_needed import (
    Noise,
    detectable_difference,
    find_power,
    questions_needed,
    seeds_needed,
)

CALM = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""
P_VALUES = some.lists(some.floats(0, 1), min_size=1, max_size=8)


@CALM
@given(P_VALUES)
def test_holm_is_never_below_the_p_value_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)

    assert all(p <= one <= 1 for p, one in zip(p_values, adjusted, strict=True))
    assert all(one <= len(p_values) * p or one == 1 for p, one in zip(sorted(p_values), sorted(adjusted), strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [one for _, one in pairs] == sorted(one for _, one in pairs)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def crossed(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One measure of which every seed asks every question: sums and counts."""
    return values[None].astype(float), np.ones(values.shape)


def nested(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One measure of which every seed has questions of its own."""
    seeds, n = values.shape
    sums, counts = np.zeros((1, seeds, seeds * n)), np.zeros((seeds, seeds * n))
    for seed in range(seeds):
        sums[0, seed, seed * n : (seed + 1) * n] = values[seed]
        counts[seed, seed * n : (seed + 1) * n] = 1
    return sums, counts


def mean_from(data: tuple[NDArray[np.float64], NDArray[np.float64]], draws: int = 2000) -> Mean:
    found = mean_of(resample_questions(*data, draws), 0)
    assert found is not None
    return found


@some.composite
def tables(draw: Any) -> NDArray[np.float64]:
    seeds, n = draw(some.integers(2, 5)), draw(some.integers(4, 20))
    cells = draw(some.lists(some.sampled_from([-1, 0, 1]), min_size=seeds * n, max_size=seeds * n))
    return np.array(cells, dtype=float).reshape(seeds, n)


@CALM
@given(tables(), some.sampled_from([crossed, nested]))
def test_what_holds_for_any_verdicts(values: NDArray[np.float64], design: Any) -> None:
    found = mean_from(design(values), draws=200)
    mirrored = mean_from(design(-values), draws=200)
    turned = mean_from(design(values[::-1]), draws=200)

    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high
    assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert (turned.low, turned.high) == pytest.approx((found.low, found.high), abs=0.2)
    assert mean_from(design(values), draws=200) == found


@CALM
@given(tables())
def test_a_question_that_is_asked_twice_in_one_group_is_no_more_evidence(values: NDArray[np.float64]) -> None:
    sums, counts = crossed(values)
    once, twice = mean_from((sums, counts), draws=200), mean_from((2 * sums, 2 * counts), draws=200)

    assert twice.value == pytest.approx(once.value)
    assert twice.between == pytest.approx(once.between)


def test_with_questions_of_their_own_it_is_the_t_interval_of_the_seeds() -> None:
    random = np.random.default_rng(8)
    shares = np.array([0.1, 0.5, 0.3, 0.7])
    values = (random.random((4, 100)) < shares[:, None]).astype(float)
    seeds = values.mean(axis=1)
    found = mean_from(nested(values), draws=200)

    assert found.degrees == pytest.approx(3)
    assert found.high - found.value == pytest.approx(3.182446 * seeds.std(ddof=1) / 2)


def test_seeds_that_agree_by_chance_do_not_hide_the_questions() -> None:
    values = np.tile(np.array([1.0, 0.0, -1.0, 0.0, 1.0]), (3, 40))  # three seeds with equal means
    found = mean_from(nested(values))

    expected = 1.96 * values[0].std() / math.sqrt(values.size)
    assert found.high - found.value == pytest.approx(expected, rel=0.1)


def test_one_seed_speaks_for_its_questions_alone() -> None:
    found = mean_from(crossed(np.array([[1.0, 0.0, 0.0, 1.0] * 50])))

    assert found.between is None
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(200), rel=0.1)


def test_nothing_that_changed_is_no_proof_of_nothing() -> None:
    found = mean_from(nested(np.zeros((3, 50))))

    assert found.low < 0 < found.high
    assert found.p_value == 1.0


def test_a_measure_without_some_seeds_is_taken_over_the_others() -> None:
    sums, counts = crossed(np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    sums = np.concatenate([sums, sums])
    sums[1, 1] = np.nan
    resampled = resample_questions(sums, counts, draws=100)
    one, other = mean_of(resampled, 0), mean_of(resampled, 1)

    assert one is not None
    assert other is not None
    assert (one.seeds, other.seeds) == (3, 2)
    assert other.value == pytest.approx(0.75)
    assert mean_of(rescale(resampled, np.full((2, 3), np.nan)), 0) is None


@pytest.mark.slow
@pytest.mark.parametrize("design", ["nested", "crossed"])
@pytest.mark.parametrize("between", [0.0, 0.05])
def test_the_interval_holds_the_truth_as_often_as_it_says(design: str, between: float) -> None:
    random = np.random.default_rng(11)
    held = 0
    trials, seeds, n = 120, 4, 60
    for _ in range(trials):
        taste = random.normal(0, 0.3, n) if design == "crossed" else random.normal(0, 0.3, (seeds, n))
        chance = np.clip(0.3 + taste + random.normal(0, between, (seeds, 1)), -1, 1)
        values = np.sign(chance) * (random.random((seeds, n)) < np.abs(chance))
        found = mean_from(crossed(values) if design == "crossed" else nested(values), draws=120)
        held += found.low <= 0.3 <= found.high

    assert held / trials >= 0.9


def test_the_ratio_is_all_that_is_not_refused() -> None:
    random = np.random.default_rng(3)
    below = random.random((4, 80)) < 0.4
    above = below | (random.random((4, 80)) < 0.3)
    sums = np.stack([above, below, above]).astype(float)
    counts = np.ones((4, 80))
    ratio = ratio_of(resample_questions(sums, counts, draws=400), 0, 1)
    assert ratio is not None
    assert ratio.interval is not None

    for times in ratio.interval:  # at its ends "above - times * below" is just about refused
        resampled = resample_questions(np.stack([sums[0] - times * sums[1]]), counts, draws=400)
        at_end = mean_of(resampled, 0)
        assert at_end is not None
        assert at_end.p_value == pytest.approx(0.05, abs=0.03)
    assert ratio.interval.low < ratio.value < ratio.interval.high


def test_a_ratio_to_what_may_be_nothing_has_no_bounds() -> None:
    random = np.random.default_rng(5)
    sums = np.stack([random.random((3, 50)) < 0.5, random.integers(-1, 2, (3, 50))]).astype(float)
    ratio = ratio_of(resample_questions(sums, np.ones((3, 50)), draws=200), 0, 1)

    assert ratio is not None
    assert ratio.interval is None


def test_rescaling_to_costs_changes_a_ratio_by_theirs() -> None:
    random = np.random.default_rng(7)
    sums = (random.random((2, 4, 60)) < np.array([0.6, 0.4])[:, None, None]).astype(float)
    resampled = resample_questions(sums, np.ones((4, 60)), draws=300)
    plain = ratio_of(resampled, 0, 1)
    dear = ratio_of(rescale(resampled, np.array([[0.5] * 4, [1.0] * 4])), 0, 1)

    assert plain is not None
    assert dear is not None
    assert plain.interval is not None
    assert dear.interval == pytest.approx((plain.interval.low / 2, plain.interval.high / 2))


NOISE = Noise(discordant=0.3, between=0.02)


def test_power_grows_with_seeds_questions_and_the_difference() -> None:
    seeds = [find_power(0.04, n, 390, NOISE) for n in range(2, 12)]
    questions = [find_power(0.04, 5, n, NOISE) for n in (50, 100, 200, 400, 800)]
    differences = [find_power(size / 100, 5, 390, NOISE) for size in range(1, 12)]

    for found in (seeds, questions, differences):
        assert found == sorted(found)
        assert 0 < found[0] < found[-1] <= 1
    assert find_power(0.0, 5, 390, NOISE) == pytest.approx(0.025, abs=0.001)  # one side of the test
    assert find_power(0.04, 1, 390, NOISE) == 0


def test_what_is_needed_is_just_enough() -> None:
    seeds, questions = seeds_needed(0.05, 390, NOISE), questions_needed(0.05, 5, NOISE)
    smallest = detectable_difference(5, 390, NOISE)
    assert seeds is not None
    assert questions is not None
    assert smallest is not None

    assert find_power(0.05, seeds, 390, NOISE) >= 0.8 > find_power(0.05, seeds - 1, 390, NOISE)
    assert find_power(0.05, 5, questions, NOISE) >= 0.8 > find_power(0.05, 5, questions - 1, NOISE)
    assert find_power(smallest, 5, 390, NOISE) == pytest.approx(0.8, abs=0.001)


def test_no_number_of_questions_makes_up_for_seeds_that_differ() -> None:
    assert questions_needed(0.02, 3, Noise(0.3, 0.05)) is None
    assert detectable_difference(1, 390, NOISE) is None
    assert find_power(0.05, 5, 390, Noise(0.3, 0.02, shared=1.0)) < find_power(0.05, 5, 390, NOISE)


@pytest.mark.slow
def test_the_power_is_that_of_the_test_itself() -> None:
    random = np.random.default_rng(2)
    seeds, n, difference = 5, 150, 0.06
    found = 0
    for _ in range(150):
        true = difference + random.normal(0, NOISE.between, seeds)
        shares = np.stack([(0.3 - true) / 2, np.full(seeds, 0.7), (0.3 + true) / 2], axis=1)
        values = np.stack([random.choice([-1, 0, 1], n, p=row / row.sum()) for row in shares])
        result = mean_from(nested(values.astype(float)), draws=60)
        found += result.p_value < 0.05

    assert found / 150 == pytest.approx(find_power(difference, seeds, n, NOISE), abs=0.12)
