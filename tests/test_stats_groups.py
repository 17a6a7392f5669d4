"""Questions that belong together: the tests and intervals over groups, against SciPy and against counting by hand."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, wilcoxon

from errorbook import stats
from errorbook.records import Cluster, Verdict
from errorbook.stats import flips

Change = tuple[int, int, int]
"""Size, fixed, broken of one group."""


@st.composite
def tables(draw: st.DrawFn, most: int = 12, largest: int = 8) -> list[Change]:
    found = []
    for size in draw(st.lists(st.integers(1, largest), min_size=1, max_size=most)):
        fixed = draw(st.integers(0, size))
        found.append((size, fixed, draw(st.integers(0, size - fixed))))
    return found


def counted(groups: Sequence[Change]) -> tuple[int, int, int, tuple[Cluster, ...]]:
    """Fixed, broken and all questions, and the groups of more than one."""
    clusters = tuple(Cluster(size=size, fixed=fixed, broken=broken) for size, fixed, broken in groups if size > 1)
    n, fixed, broken = (sum(column) for column in zip(*groups, strict=True))
    return fixed, broken, n, clusters


def flipped_by_hand(sums: Sequence[int]) -> float:
    """The share of all ways to set the signs whose total is as large as the observed one."""
    totals = [
        sum(s * abs(d) for s, d in zip(signs, sums, strict=True))
        for signs in itertools.product((1, -1), repeat=len(sums))
    ]
    return sum(total >= sum(sums) for total in totals) / len(totals)


@settings(deadline=None)
@given(tables())
def test_the_gain_test_counts_all_ways_to_exchange_before_and_after(groups: list[Change]) -> None:
    fixed, broken, _, clusters = counted(groups)

    wanted = flipped_by_hand([fixed - broken for _, fixed, broken in groups])
    assert stats.mcnemar_gain(fixed, broken, clusters) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_scipys_permutation_test_and_with_wilcoxons_ranks(seed: int) -> None:
    """Wilcoxon's signed-rank test is the sign-flip test of the ranks, so ranks as sums must give its p-value."""
    generator = np.random.default_rng(seed)
    sums = generator.integers(-6, 9, size=13)
    clusters = tuple(Cluster(size=10, fixed=int(max(d, 0)), broken=int(max(-d, 0))) for d in sums)
    fixed, broken = sum(one.fixed for one in clusters), sum(one.broken for one in clusters)
    exact = permutation_test(  # type: ignore[call-overload]
        (sums,), np.sum, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    ranks = np.arange(1, 21) * generator.choice([1, -1], 20, p=[0.65, 0.35])
    ranked = tuple(Cluster(size=20, fixed=int(max(d, 0)), broken=int(max(-d, 0))) for d in ranks)
    up, down = sum(one.fixed for one in ranked), sum(one.broken for one in ranked)

    assert stats.mcnemar_gain(fixed, broken, clusters) == pytest.approx(exact.pvalue, rel=1e-9)
    assert stats.mcnemar_gain(up, down, ranked) == pytest.approx(
        wilcoxon(ranks, alternative="greater").pvalue, rel=1e-9
    )
    assert stats.mcnemar(up, down, ranked) == pytest.approx(wilcoxon(ranks).pvalue, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.02, 0.05, 0.2]))
def test_groups_of_one_give_exactly_what_no_groups_give(fixed: int, broken: int, same: int, margin: float) -> None:
    n = fixed + broken + same
    assume(n > 1)
    ones = [Cluster(size=1, fixed=1, times=fixed), Cluster(size=1, broken=1, times=broken), Cluster(size=1, times=same)]
    clusters = [one for one in ones if one.times]

    assert stats.mcnemar_gain(fixed, broken, clusters) == stats.mcnemar_gain(fixed, broken)
    assert stats.mcnemar(fixed, broken, clusters) == stats.mcnemar(fixed, broken)
    low, high = stats.paired_interval(fixed, broken, n, clusters=clusters)
    plain = stats.paired_interval(fixed, broken, n)
    assert low <= plain.low + 1e-6  # Student's tail is the heavier one
    assert high >= plain.high - 1e-6
    if n > 60:
        assert (low, high) == pytest.approx(plain, abs=0.02)
        assert stats.not_worse(fixed, broken, n, margin, clusters) == pytest.approx(
            stats.not_worse(fixed, broken, n, margin), abs=0.02
        )


@given(st.integers(0, 8), st.integers(0, 8), st.integers(2, 12))
def test_exact_copies_say_as_much_as_one_of_them(fixed: int, broken: int, copies: int) -> None:
    clusters = (
        Cluster(size=copies, fixed=copies, times=fixed + 1),
        Cluster(size=copies, broken=copies, times=broken + 1),
    )
    p = stats.mcnemar_gain(copies * (fixed + 1), copies * (broken + 1), clusters)

    assert p == stats.mcnemar_gain(fixed + 1, broken + 1)


@settings(deadline=None)
@given(tables(largest=5), tables(largest=5))
def test_the_two_sided_p_value_is_the_same_in_the_mirror(groups: list[Change], more: list[Change]) -> None:
    fixed, broken, n, clusters = counted([*groups, *more])
    mirror = tuple(Cluster(size=one.size, fixed=one.broken, broken=one.fixed) for one in clusters)
    low, high = stats.paired_interval(fixed, broken, n, clusters=clusters)

    assert stats.mcnemar(fixed, broken, clusters) == pytest.approx(stats.mcnemar(broken, fixed, mirror))
    if clusters:
        assert stats.paired_interval(broken, fixed, n, clusters=mirror) == pytest.approx((-high, -low), abs=1e-5)
    assert -1 <= low <= (fixed - broken) / n + 1e-9
    assert (fixed - broken) / n - 1e-9 <= high <= 1


@settings(deadline=None)
@given(tables(most=30), st.floats(0.01, 0.5))
def test_non_inferiority_agrees_with_its_interval(groups: list[Change], margin: float) -> None:
    fixed, broken, n, clusters = counted(groups)
    low = stats.paired_interval(fixed, broken, n, clusters=clusters).low
    if clusters and abs(low + margin) > 1e-4:
        assert (stats.not_worse(fixed, broken, n, margin, clusters) < 0.025) == (low > -margin)


def test_the_score_has_the_variance_of_the_likeliest_distribution() -> None:
    """Found again by a search over all distributions on the observed changes and on -1 and +1 with that mean."""
    from scipy.optimize import minimize

    groups = [(4, 1, 0), (4, 0, 2), (4, 0, 0), (4, 2, 1), (4, 0, 0), (4, 1, 1), (4, 0, 3), (4, 0, 0)]
    fixed, broken, n, clusters = counted(groups)
    changes = np.array([(fixed - broken) / size for size, fixed, broken in groups])
    values = np.append(changes, [-1.0, 1.0])
    for margin in (0.02, 0.3, 0.6):
        found = minimize(  # type: ignore[call-overload]
            lambda w: -float(np.log(np.maximum(w[:-2], 1e-300)).sum()),
            np.full(len(values), 1 / len(values)),
            bounds=[(0, 1)] * len(values),
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "eq", "fun": lambda w, margin=margin: w @ (values + margin)},
            ],
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        z = (changes.mean() + margin) / math.sqrt(found.x @ (values + margin) ** 2 / len(changes))
        from scipy.stats import t

        assert stats.not_worse(fixed, broken, n, margin, clusters) == pytest.approx(t.sf(z, len(groups) - 1), rel=1e-3)


def test_groups_that_did_not_change_are_evidence_for_their_number_only() -> None:
    alone, grouped = stats.not_worse(0, 0, 200, 0.05), stats.not_worse(0, 0, 200, 0.05, [Cluster(size=10, times=20)])
    many = stats.not_worse(0, 0, 2000, 0.05, [Cluster(size=10, times=200)])

    assert alone < 0.001
    assert grouped > 0.05
    assert many == pytest.approx(alone, abs=0.001)
    assert stats.not_worse(0, 0, 10, 0.05, [Cluster(size=10)]) == 1.0
    assert stats.paired_interval(0, 0, 10, clusters=[Cluster(size=10)]) == pytest.approx((-1, 1), abs=1e-6)


def test_effective_questions_are_groups_if_those_are_of_one_size() -> None:
    assert stats.effective_questions(200, {10: 20}) == 20
    assert stats.effective_questions(200, {}) == 200
    assert stats.effective_questions(30, {10: 1}) == pytest.approx(900 / 120)
    assert stats.effective_questions(0, {}) == 0


def test_past_the_steps_a_bound_is_given_that_is_never_below(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = [
        Cluster(size=3, fixed=3, times=60),
        Cluster(size=3, broken=3, times=30),
        Cluster(size=2, fixed=2, times=9),
    ]
    fixed, broken = 3 * 60 + 2 * 9, 3 * 30
    exact = stats.mcnemar_gain(fixed, broken, clusters)
    monkeypatch.setattr(flips, "_MOST_STEPS", 10)

    assert exact < stats.mcnemar_gain(fixed, broken, clusters) < 6 * exact
    assert stats.mcnemar_gain(broken, fixed, [Cluster(size=3, broken=3, times=60), *clusters[1:]]) == 1.0


def test_a_hundred_thousand_questions_take_a_moment() -> None:
    clusters = [
        Cluster(size=2, fixed=2, times=8_000),
        Cluster(size=2, broken=2, times=7_900),
        Cluster(size=3, fixed=3, times=300),
        Cluster(size=3, broken=2, times=310),
        Cluster(size=2, times=10_000),
    ]
    assert 0.0 < stats.mcnemar_gain(16_000 + 900, 15_800 + 620, clusters) < 0.5


def test_groups_are_counted_from_verdicts() -> None:
    before: dict[str, Verdict] = {
        "a": "wrong",
        "b": "unscorable",
        "c": "right",
        "d": "right",
        "e": "wrong",
        "f": "wrong",
    }
    after: dict[str, Verdict] = {
        "a": "right",
        "b": "right",
        "c": "unscorable",
        "d": "wrong",
        "e": "wrong",
        "f": "wrong",
    }

    clusters = stats.cluster([("a", "b", "gone"), ("c", "d"), ("e", "f"), ("a",)], before, after)

    assert clusters == (
        Cluster(size=2),
        Cluster(size=2, broken=2, no_longer_readable=1),
        Cluster(size=2, fixed=2, newly_readable=1),
    )
    assert stats.read_twice(clusters) == (Cluster(size=2), Cluster(size=2, broken=1), Cluster(size=2, fixed=1))
