import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

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
    assert stats.mcnemar_gain(0, 0) == stats.mcnemar(0, 0) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipys_binomial_test(fixed: int, broken: int) -> None:
    assume(fixed + broken)
    wanted = {kind: binomtest(fixed, fixed + broken, alternative=kind).pvalue for kind in ("greater", "two-sided")}

    assert stats.mcnemar_gain(fixed, broken) == pytest.approx(wanted["greater"])
    assert stats.mcnemar(fixed, broken) == pytest.approx(wanted["two-sided"])
    assert stats.mcnemar(fixed, broken) <= 1.0


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


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 9), (1, 9), (5, 9), (8, 9), (9, 9), (70, 300)])
def test_wilson_agrees_with_scipy(right: int, n: int, confidence: float) -> None:
    wanted = binomtest(right, n).proportion_ci(confidence, method="wilson")

    assert stats.wilson(right, n, confidence) == pytest.approx(tuple(wanted), abs=1e-12)
    assert stats.wilson(right, n) == stats.wilson(right, n, 0.95)


def test_no_and_all_right_are_exact_ends() -> None:
    assert {stats.wilson(0, n).low for n in range(1, 200)} == {0.0}
    assert {stats.wilson(n, n).high for n in range(1, 200)} == {1.0}


@pytest.mark.parametrize("n", [1, 2, 40])
def test_everything_fixed_or_broken_is_an_exact_end(n: int) -> None:
    assert stats.paired_interval(n, 0, n).high == 1.0
    assert stats.paired_interval(0, n, n).low == -1.0
    assert -1.0 < stats.paired_interval(0, n, n).high < 1.0


@given(paired_counts(), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_ends_of_the_interval_solve_the_score_equation(counts: tuple[int, int, int], confidence: float) -> None:
    """At each end the likeliest shares under that difference, found by search, lie z standard errors away."""
    fixed, broken, n = counts
    assume(fixed > 0 and broken > 0)
    z = float(norm.ppf(0.5 + confidence / 2))
    for end, sign in zip(stats.paired_interval(fixed, broken, n, confidence), (1, -1), strict=True):

        def unlikeliness(share: float, end: float = end) -> float:
            """Of the share of broken items, if the difference is `end`."""
            rest = 1 - 2 * share - end
            return -(fixed * math.log(share + end) + broken * math.log(share) + (n - fixed - broken) * math.log(rest))

        low, high = max(0.0, -end), (1 - end) / 2
        share = float(minimize_scalar(unlikeliness, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
        error = math.sqrt((2 * share + end - end * end) / n)
        assert (fixed - broken) / n - end == pytest.approx(sign * z * error, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_interval_without_any_change_is_known_exactly(n: int) -> None:
    z = float(norm.ppf(0.975))
    assert stats.paired_interval(0, 0, n) == pytest.approx((-z * z / (n + z * z), z * z / (n + z * z)), abs=1e-8)


def test_nothing_observed_says_nothing() -> None:
    assert stats.wilson(0, 0) == (0.0, 1.0)
    assert stats.paired_interval(0, 0, 0) == (-1.0, 1.0)
    assert stats.not_worse(0, 0, 0, 0.1) == 1.0


def exact_power(n: int, alpha: float, discordant: float, gain: float) -> float:
    """The power of the gain test, summed over every table there can be with SciPy's distributions."""
    share = (discordant + gain) / 2 / discordant
    power = 0.0
    for pairs in range(n + 1):
        wins = [fixed for fixed in range(pairs + 1) if binom.sf(fixed - 1, pairs, 0.5) <= alpha]
        if wins:
            power += float(binom.pmf(pairs, n, discordant) * binom.sf(min(wins) - 1, pairs, share))
    return power


@pytest.mark.parametrize(
    ("n", "alpha", "discordant", "power"),
    [(60, 0.05, 0.3, 0.8), (100, 0.025, 0.3, 0.8), (150, 0.05 / 3, 0.5, 0.9), (90, 0.01, 0.6, 0.5)],
)
def test_the_power_at_the_detectable_gain_is_exactly_what_is_asked(
    n: int, alpha: float, discordant: float, power: float
) -> None:
    gain = stats.detectable_gain(n, alpha, discordant, power)

    assert gain is not None
    assert exact_power(n, alpha, discordant, gain) == pytest.approx(power, abs=1e-6)
    gains = [stats.detectable_gain(items, alpha) or 0.0 for items in (20000, 500, 50)]
    assert 0 < gains[0] < gains[1] < gains[2]


@given(st.integers(300, 3000), st.sampled_from([0.01, 0.05]), st.sampled_from([0.3, 0.6]), st.sampled_from([0.8, 0.9]))
def test_the_exact_gain_is_near_connors_and_never_far_below(
    n: int, alpha: float, discordant: float, power: float
) -> None:
    """The normal approximation (Connor 1987) promises a little too much, since the exact test wastes some of alpha."""
    gain = stats.detectable_gain(n, alpha, discordant, power)
    assert gain is not None
    assume(gain < discordant)
    reach = norm.ppf(1 - alpha) * math.sqrt(discordant) + norm.ppf(power) * math.sqrt(discordant - gain**2)
    normal = reach / math.sqrt(n)

    assert normal - 0.02 / math.sqrt(n) < gain < normal * 1.25 + 1 / n


def test_a_gain_above_the_share_that_changes_needs_more_to_change() -> None:
    """On 12 questions five fixes and no loss are accepted: p is 1/32. At this gain so many come four times in five."""
    gain = stats.detectable_gain(12, 0.05)

    assert gain is not None
    assert gain > 0.3
    assert binom.sf(4, 12, gain) == pytest.approx(0.8, abs=1e-6)
    narrow, usual = stats.detectable_gain(12, 0.05, 0.2), stats.detectable_gain(200, 0.05)
    assert narrow == pytest.approx(gain)
    assert usual is not None
    assert usual < 0.3


@pytest.mark.parametrize(
    ("n", "alpha", "shows"), [(0, 0.05, False), (1, 0.05, False), (4, 0.05, False), (5, 0.05, True)]
)
def test_too_few_questions_show_no_gain_at_all(n: int, alpha: float, shows: bool) -> None:
    """If all of four are fixed and none is broken, p is still 1/16."""
    assert (stats.detectable_gain(n, alpha) is not None) is shows


def test_a_gate_that_accepts_nearly_everything_finds_any_gain() -> None:
    assert stats.detectable_gain(100, 0.9) == 0.0


@pytest.mark.parametrize("margin", [math.nan, math.inf, -math.inf, -0.01, 1.5])
def test_a_margin_that_is_no_share_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=r"^A margin of .* was given; it must be a number from 0 to 1\.$"):
        stats.not_worse(0, 0, 10, margin)


def test_without_variance_a_difference_is_certain() -> None:
    """If every item changed one way, the opposite difference is impossible, and the same one is no evidence."""
    assert stats.not_worse(0, 4, 4, 1.0) == 0.5
    assert stats.not_worse(4, 0, 4, 1.0) == 0.0
