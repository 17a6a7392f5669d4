import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from errorbook import stats


@st.composite
def paired_counts(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 300))
    fixed = draw(st.integers(0, n))
    broken = draw(st.integers(0, n - fixed))
    return fixed, broken, n


def test_mcnemar_is_the_exact_sign_test() -> None:
    assert stats.mcnemar_gain(9, 1) == pytest.approx(11 / 1024)
    assert stats.mcnemar(9, 1) == pytest.approx(22 / 1024)
    assert stats.mcnemar_gain(0, 0) == 1.0


def test_tango_interval_of_a_small_study() -> None:
    """Both ends solve Tango's score equation for 12 and 2 discordant pairs of 50, checked by hand."""
    low, high = stats.paired_interval(12, 2, 50)
    assert low == pytest.approx(0.0611, abs=5e-4)
    assert high == pytest.approx(0.3447, abs=5e-4)


@given(paired_counts())
def test_the_interval_holds_the_estimate_and_mirrors(counts: tuple[int, int, int]) -> None:
    fixed, broken, n = counts
    low, high = stats.paired_interval(fixed, broken, n)
    assert -1 <= low <= (fixed - broken) / n <= high <= 1
    mirrored = stats.paired_interval(broken, fixed, n)
    assert mirrored.low == pytest.approx(-high, abs=1e-6)
    assert mirrored.high == pytest.approx(-low, abs=1e-6)


@given(paired_counts(), st.floats(0.01, 0.5))
def test_non_inferiority_agrees_with_its_interval(counts: tuple[int, int, int], margin: float) -> None:
    """The test at 2.5% rejects exactly where the 95% interval lies above -margin."""
    fixed, broken, n = counts
    low = stats.paired_interval(fixed, broken, n).low
    if abs(low + margin) > 1e-4:
        assert (stats.not_worse(fixed, broken, n, margin) < 0.025) == (low > -margin)


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_the_proportion(right: int, n: int) -> None:
    right = min(right, n)
    low, high = stats.wilson(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_nothing_observed_says_nothing() -> None:
    assert stats.wilson(0, 0) == (0.0, 1.0)
    assert stats.paired_interval(0, 0, 0) == (-1.0, 1.0)
    assert stats.not_worse(0, 0, 0, 0.1) == 1.0


def test_detectable_gain_reaches_its_power() -> None:
    """Exact power of the McNemar test at the forecast gain, over all numbers of discordant pairs."""
    n, alpha, discordant = 200, 0.025, 0.3
    gain = stats.detectable_gain(n, alpha, discordant)
    share = (discordant + gain) / 2 / discordant
    power = 0.0
    for pairs in range(n + 1):
        chance = float(binom.pmf(pairs, n, discordant))
        wins = [fixed for fixed in range(pairs + 1) if stats.mcnemar_gain(fixed, pairs - fixed) <= alpha]
        if chance > 1e-9 and wins:
            power += chance * float(binom.sf(min(wins) - 1, pairs, share))
    assert 0.72 < power < 0.86
    assert stats.detectable_gain(20000, alpha) < gain < stats.detectable_gain(50, alpha)
    assert math.isclose(stats.detectable_gain(0, alpha), 1.0)
