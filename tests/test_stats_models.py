"""The counts' tests and intervals against statsmodels, on random tables."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

from errorbook import stats
from errorbook.records import Cluster


def module(name: str) -> Any:
    """Untyped, and only where the development tools are installed."""
    return pytest.importorskip(f"statsmodels.{name}") and importlib.import_module(f"statsmodels.{name}")


@pytest.mark.parametrize("seed", range(20))
def test_mcnemar_and_wilson_agree_with_statsmodels(seed: int) -> None:
    tables, shares = module("stats.contingency_tables"), module("stats.proportion")
    generator = random.Random(seed)
    fixed, broken, right, n = generator.randrange(60), generator.randrange(60), generator.randrange(400), 400

    table = [[generator.randrange(99), broken], [fixed, generator.randrange(99)]]
    assert stats.mcnemar(fixed, broken) == pytest.approx(tables.mcnemar(table, exact=True).pvalue)
    for confidence in (0.9, 0.95, 0.99):
        wanted = shares.proportion_confint(right, n, alpha=1 - confidence, method="wilson")
        assert stats.wilson(right, n, confidence) == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(20))
def test_groups_agree_with_the_sign_test_and_with_clustered_errors(seed: int) -> None:
    """Groups of one size whose sums are all up or down by as much: statsmodels' sign test of the groups.

    With many groups and changes of all sizes, the score interval is near that of a mean with clustered errors.
    """
    descriptive, regression = module("stats.descriptivestats"), module("regression.linear_model")
    generator = random.Random(seed)
    up, down = generator.randrange(1, 30), generator.randrange(1, 30)
    clusters = [Cluster(size=5, fixed=3, times=up), Cluster(size=5, broken=3, times=down)]
    _, p = descriptive.sign_test([3] * up + [-3] * down, mu0=0)
    assert stats.mcnemar(3 * up, 3 * down, clusters) == pytest.approx(p)

    changes: list[int] = []
    groups: list[int] = []
    for group in range(300):
        lean = generator.random()
        changes += [generator.choices((1, -1, 0), (0.4 * lean, 0.4 * (1 - lean), 0.6))[0] for _ in range(6)]
        groups += [group] * 6
    sums = [changes[start : start + 6] for start in range(0, len(changes), 6)]
    found = [Cluster(size=6, fixed=one.count(1), broken=one.count(-1)) for one in sums]
    fitted = regression.OLS(changes, [1.0] * len(changes)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    low, high = stats.paired_interval(changes.count(1), changes.count(-1), len(changes), clusters=found)
    assert (low, high) == pytest.approx(tuple(fitted.conf_int()[0]), abs=0.004)
