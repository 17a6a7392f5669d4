"""Means over trainings and questions: intervals of a difference and of a ratio that hold for other seeds and questions.

A training's result differs from seed to seed, and a question's from question to question; both are drawn. Groups of
questions (variants of one, a template) are resampled as a whole: they are the pieces of evidence, as in the clustered
standard errors of Miller (2024, arXiv 2411.00640). A seed is a piece of another kind: what few of them hide is shown by
Hochlehnert et al. (2025, arXiv 2504.07086).

The bootstrap is mixed. Groups are resampled with replacement, the same ones for all arms and for all seeds that asked
them, which keeps everything paired. Seeds are few, and resampling three or five of them understates their spread by the
factor 1 - 1/S, and has no tails (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, on
hierarchical data). So seeds enter by their own variance and Student's t. An interval is never narrower than what the
questions alone would give.

Normal intervals are too narrow for a few dozen questions (Bowyer et al. 2025, arXiv 2503.01747). If no answer changed,
a seed counts as if one question might have. It reads no files and knows no arms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from errorbook.stats.paired import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2000
"""Resamples of the groups of questions: an interval's width is then right to two percent."""
_CHUNK = 4_000_000
"""Numbers that are held at once."""


class Resampled(NamedTuple):
    """K measures in S seeds: `values` (K, S), each a mean over questions; NaN if a measure lacks the seed.

    `covariance` (K, S, K, S) is that of the values when groups of questions are resampled; `groups` is their number.
    """

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    groups: int


class Mean(NamedTuple):
    """The mean over seeds of one measure, with a two-sided 95% interval and the p-value of no difference from 0.

    `between` is its variance by the differences between seeds (None for one seed: the interval then holds for this
    training only), `questions` that by the questions alone; `degrees` are those of Student's t.
    """

    value: float
    low: float
    high: float
    p_value: float
    seeds: int
    between: float | None
    questions: float
    degrees: float


class Ratio(NamedTuple):
    """One mean as a multiple of another, with Fieller's 95% interval; None if the data do not bound the ratio."""

    value: float
    interval: Interval | None


class _Spread(NamedTuple):
    """Means of K measures over their common seeds, and the two covariances of them."""

    means: NDArray[np.float64]
    total: NDArray[np.float64] | None
    questions: NDArray[np.float64]
    degrees: NDArray[np.float64]
    seeds: int


def resample_questions(
    sums: NDArray[np.float64], counts: NDArray[np.float64], draws: int = DRAWS, seed: int = 0
) -> Resampled:
    """Resample groups of questions.

    Args:
        sums: (K, S, G), what measure k adds up to over the questions of group g in seed s; NaN if it lacks the seed.
        counts: (S, G), how many questions of the group were asked in the seed.
        draws: How many resamples.
        seed: Of the resampling; equal calls give equal results.
    """
    import numpy as np

    measures, seeds, groups = sums.shape
    n = counts.sum(axis=1)
    values = sums.sum(axis=2) / n
    flat = np.nan_to_num(sums).reshape(measures * seeds, groups)
    random = np.random.default_rng(seed)
    found = np.empty((draws, measures * seeds))
    step = max(1, _CHUNK // max(1, groups))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        times = random.multinomial(groups, np.full(groups, 1 / groups), size=size).astype(np.float64)
        asked = np.tile(times @ counts.T, (1, measures))
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = (times @ flat.T) / asked
        # A resample without a question of some seed says nothing about it.
        found[start : start + size] = np.where(asked > 0, drawn, np.nan_to_num(values).reshape(-1))
    covariance = np.atleast_2d(np.cov(found, rowvar=False))
    least = np.tile(1.0 / np.maximum(n, 1.0) ** 2, measures)
    diagonal = np.arange(len(covariance))
    covariance[diagonal, diagonal] = np.maximum(covariance[diagonal, diagonal], least)
    # Seeds that share no question have nothing in common: what resampling shows there is its own noise.
    met = ((counts > 0).astype(float) @ (counts > 0).T.astype(float)) > 0
    return Resampled(values, covariance.reshape(measures, seeds, measures, seeds) * met[None, :, None, :], groups)


def rescale(resampled: Resampled, factors: NDArray[np.float64]) -> Resampled:
    """The measures multiplied by known factors (K, S), such as one over what each training cost."""
    values = resampled.values * factors
    covariance = resampled.covariance * factors[:, :, None, None] * factors[None, None, :, :]
    return Resampled(values, covariance, resampled.groups)


def mean_of(resampled: Resampled, measure: int) -> Mean | None:
    """The mean of one measure over the seeds that it has; None if it has none."""
    spread = _spread(resampled, [measure])
    if spread is None:
        return None
    value, questions = float(spread.means[0]), float(spread.questions[0, 0])
    reach, p_value = _reach(questions, math.inf), _p_value(value, questions, math.inf)
    degrees = math.inf
    if spread.total is not None:
        variance, degrees = float(spread.total[0, 0]), float(spread.degrees[0])
        reach, p_value = (
            max(reach, _reach(variance, degrees)),
            max(p_value, _p_value(value, variance, degrees)),
        )
    between = None if spread.total is None else float(spread.total[0, 0])
    return Mean(value, value - reach, value + reach, p_value, spread.seeds, between, questions, degrees)


def ratio_of(resampled: Resampled, above: int, below: int) -> Ratio | None:
    """The mean of one measure over that of another, on their common seeds; None if they have none.

    Fieller's interval (Journal of the Royal Statistical Society B 16:175-185, 1954): all ratios r for which
    "above - r * below" may be 0. It is exact for means of normal values, also if the lower one is near 0: then there is
    no bound, and none is given. It is the hull of the sets by both variances, as `mean_of` takes the wider interval.
    """
    spread = _spread(resampled, [above, below])
    if spread is None:
        return None
    a, b = (float(item) for item in spread.means)
    sets = [_fieller(a, b, spread.questions, math.inf)]
    if spread.total is not None:
        sets.append(_fieller(a, b, spread.total, float(spread.degrees.min())))
    bounded = [item for item in sets if item is not None]
    whole = Interval(min(low for low, _ in bounded), max(high for _, high in bounded)) if bounded else None
    return Ratio(a / b if b else math.nan, whole if len(bounded) == len(sets) else None)


def _spread(resampled: Resampled, measures: Sequence[int]) -> _Spread | None:
    """Means of some measures over the seeds that all of them have, and what they vary by.

    Seeds that ask other questions differ by these as well, so their variance says it all. If they share questions, all
    of them err together by what these questions are like, which the seeds' differences do not show: that is the mean
    covariance between two seeds under resampling, and it is added.
    """
    import numpy as np

    kept = np.flatnonzero(~np.isnan(resampled.values[list(measures)]).any(axis=0))
    seeds = len(kept)
    if not seeds:
        return None
    rows = np.asarray(measures)
    values = resampled.values[np.ix_(rows, kept)]
    cells = resampled.covariance[np.ix_(rows, kept, rows, kept)]
    questions = cells.sum(axis=(1, 3)) / seeds**2
    if seeds == 1:
        return _Spread(values.mean(axis=1), None, questions, np.full(len(measures), math.inf), 1)
    between = np.atleast_2d(np.cov(values)) / seeds
    own = np.einsum("ksls->kl", cells)
    shared = (cells.sum(axis=(1, 3)) - own) / (seeds * (seeds - 1))
    shared = _without_negative(shared, np.sqrt(np.diag(questions)))
    total = between + shared
    # Satterthwaite (Biometrics Bulletin 2:110-114, 1946) for the sum of two variances.
    noise = np.diag(between) ** 2 / (seeds - 1) + np.diag(shared) ** 2 / max(1, resampled.groups - 1)
    degrees = np.where(noise > 0, np.diag(total) ** 2 / np.where(noise > 0, noise, 1.0), seeds - 1.0)
    return _Spread(values.mean(axis=1), total, questions, degrees, seeds)


def _without_negative(matrix: NDArray[np.float64], units: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest covariance, in units of its own: a mean of products may fall below what any variance can be."""
    import numpy as np

    scale = np.outer(units, units)
    sizes, vectors = np.linalg.eigh((matrix + matrix.T) / 2 / scale)
    cleaned: NDArray[np.float64] = (vectors * np.maximum(sizes, 0.0)) @ vectors.T * scale
    return cleaned


def _quantile(degrees: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(0.975)) if math.isinf(degrees) else float(stdtrit(degrees, 0.975))


def _reach(variance: float, degrees: float) -> float:
    return _quantile(degrees) * math.sqrt(variance)


def _p_value(value: float, variance: float, degrees: float) -> float:
    from scipy.special import ndtr, stdtr

    if variance <= 0:
        return 0.0 if value else 1.0
    score = -abs(value) / math.sqrt(variance)
    return 2 * float(ndtr(score) if math.isinf(degrees) else stdtr(degrees, score))


def _fieller(a: float, b: float, covariance: NDArray[np.float64], degrees: float) -> Interval | None:
    square = _quantile(degrees) ** 2
    over, both, under = (square * float(covariance[place]) for place in ((0, 0), (0, 1), (1, 1)))
    head, middle, tail = b * b - under, a * b - both, a * a - over
    within = middle * middle - head * tail
    if head <= 0 or within < 0:
        return None
    root = math.sqrt(within)
    return Interval((middle - root) / head, (middle + root) / head)
