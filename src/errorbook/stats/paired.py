"""Intervals and tests of one proportion and of two paired ones, thin over SciPy; exact if an exact test exists.

Questions stand alone or belong together in groups: a group is then one piece of evidence, however many questions it
has. Does not cover means, unpaired designs or Bayesian estimates. Only `scipy.special` is imported: `scipy.stats` takes
five times as long, more than a second of every report.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from errorbook.records import Cluster
from errorbook.stats.flips import sign_flip, tail
from errorbook.stats.spread import find_root, grouped_score, spread_out


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float


def wilson(right: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion; (0, 1) if nothing was observed."""
    if n == 0:
        return Interval(0.0, 1.0)
    z = _normal_quantile(0.5 + confidence / 2)
    share, weight = right / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt((share * (1 - share) + weight / 4) / n)
    return Interval(0.0 if right == 0 else middle - reach, 1.0 if right == n else middle + reach)


def mcnemar_gain(fixed: int, broken: int, clusters: Sequence[Cluster] = ()) -> float:
    """One-sided exact p-value that more items were fixed than broken by chance alone.

    Without groups it is the McNemar test. With groups it is the sign-flip test over their sums (Fisher, The Design of
    Experiments, 1935, section 21): if a training did nothing, "before" and "after" can be exchanged for a whole group,
    whatever its questions have in common, so all signs of the sums are equally likely. It is exact for any sizes and
    any dependence inside the groups; past some billion steps, the bound of Bentkus and Dzindzalieta (Bernoulli
    21:1231-1237, 2015) is given instead, which is never below the p-value.
    """
    return sign_flip(sum_groups(fixed, broken, clusters))


def mcnemar(fixed: int, broken: int, clusters: Sequence[Cluster] = ()) -> float:
    """Two-sided exact p-value of no difference: McNemar's, or of the sign-flip test over the sums of groups."""
    if not clusters:
        return min(1.0, 2 * tail(min(fixed, broken), fixed + broken))
    sums = sum_groups(fixed, broken, clusters)
    if sum(net * times for net, times in sums.items()) < 0:
        sums = {-net: times for net, times in sums.items()}
    return min(1.0, 2 * sign_flip(sums))


def paired_interval(
    fixed: int, broken: int, n: int, confidence: float = 0.95, clusters: Sequence[Cluster] = ()
) -> Interval:
    """Tango's score interval of the difference of two paired proportions (after - before).

    Unlike the Wald interval it keeps its coverage with few or no discordant pairs (Tango, Statistics in Medicine
    17:891-908, 1998). With groups it inverts the score test over groups that `not_worse` describes.
    """
    if n == 0:
        return Interval(-1.0, 1.0)
    estimate, share = (fixed - broken) / n, 0.5 + confidence / 2
    score: Callable[[float], float]
    if clusters:
        spread = spread_out(fixed, broken, n, clusters)
        z, score = _t_quantile(share, spread.effective), lambda delta: grouped_score(spread, estimate, delta)
    else:
        z, score = _normal_quantile(share), lambda delta: _tango(fixed, broken, n, delta)
    low = -1.0 if broken == n else find_root(lambda d: score(d) - z, -1.0, estimate)
    high = 1.0 if fixed == n else find_root(lambda d: score(d) + z, estimate, 1.0)
    return Interval(low, high)


def not_worse(fixed: int, broken: int, n: int, margin: float, clusters: Sequence[Cluster] = ()) -> float:
    """One-sided p-value against "worse by `margin` or more": small means shown to be non-inferior.

    The score test that Tango's interval inverts; 1.0 if nothing was observed. With groups the trinomial distribution of
    one question's change gives way to that of a group's mean change: its variance is that of the likeliest
    distribution on what was observed, and on -1 and +1, whose mean is -margin (empirical likelihood with its support
    extended: Owen, Empirical Likelihood, 2001, chapter 2), a group counts by its size, and the tail is Student's with
    one degree of freedom less than there are effective questions. So groups that did not change are evidence for no
    more than their number: that one in twenty is lost is ruled out by many groups only. With groups of one question
    each it is Tango's statistic.

    Raises:
        ValueError: The margin is not a number between 0 and 1.
    """
    if not 0 <= margin <= 1:  # NaN as well
        raise ValueError(f"A margin of {margin} was given; it must be a number from 0 to 1.")
    if n == 0:
        return 1.0
    from scipy.special import ndtr, stdtr

    if not clusters:
        return float(ndtr(-_tango(fixed, broken, n, -margin)))
    spread = spread_out(fixed, broken, n, clusters)
    if spread.effective <= 1:
        return 1.0
    score = grouped_score(spread, (fixed - broken) / n, -margin)
    return float(stdtr(spread.effective - 1, -score)) if math.isfinite(score) else float(score < 0)


def sum_groups(fixed: int, broken: int, clusters: Sequence[Cluster]) -> dict[int, int]:
    """How many groups have which sum of changes, as the tests of a gain take them; a question alone is a group."""
    sums: Counter[int] = Counter()
    for one in clusters:
        sums[one.fixed - one.broken] += one.times
        fixed, broken = fixed - one.fixed * one.times, broken - one.broken * one.times
    sums[1] += fixed
    sums[-1] += broken
    return {net: times for net, times in sums.items() if net and times}


def _t_quantile(share: float, effective: float) -> float:
    """Student's quantile with one degree of freedom less than there are effective questions."""
    from scipy.special import stdtrit

    return float(stdtrit(effective - 1, share)) if effective > 1 else math.inf


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _tango(fixed: int, broken: int, n: int, delta: float) -> float:
    """Tango's score statistic of H0: difference == delta."""
    a = 2.0 * n
    b = -fixed - broken + (2.0 * n - fixed + broken) * delta
    c = -broken * delta * (1.0 - delta)
    share = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * share + delta * (1.0 - delta))
    distance = fixed - broken - n * delta
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)
