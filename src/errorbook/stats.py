"""Two evaluations paired, and the intervals and tests of such counts: thin over SciPy, exact if an exact test exists.

Says what fixed and broken mean; everything that counts them counts pairs of verdicts and asks here. Covers one
proportion and two paired proportions. Does not cover means, unpaired designs or Bayesian estimates. Only
`scipy.special` is imported: `scipy.stats` takes five times as long, more than a second of every report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

from errorbook.records import Verdict

Change = Literal["broken", "fixed", "unclear", "still_wrong", "still_right"]
"""What became of one answer: broken, fixed, unscorable on one side only, wrong (or unscorable) twice, right twice."""
CHANGES: tuple[Change, ...] = get_args(Change)
"""In the order in which items are shown."""
_PRECISION = 1e-10


class Pairing(NamedTuple):
    """Counts over `n` questions that were answered twice; an unscorable answer counts as not right, on both sides."""

    n: int
    right_before: int
    right_after: int
    unscorable_before: int
    unscorable_after: int
    changes: dict[Change, int]

    @property
    def fixed(self) -> int:
        """How many only the second got right."""
        return self.changes["fixed"]

    @property
    def broken(self) -> int:
        """How many only the first got right."""
        return self.changes["broken"]


def pair(counts: Mapping[tuple[Verdict, Verdict], int]) -> Pairing:
    """The pairing of two evaluations, from how many questions have which verdict before and after."""

    def total(side: int, verdict: Verdict) -> int:
        return sum(n for verdicts, n in counts.items() if verdicts[side] == verdict)

    changes: dict[Change, int] = dict.fromkeys(CHANGES, 0)
    for (before, after), n in counts.items():
        changes[change_of(before, after)] += n
    return Pairing(
        n=sum(counts.values()),
        right_before=total(0, "right"),
        right_after=total(1, "right"),
        unscorable_before=total(0, "unscorable"),
        unscorable_after=total(1, "unscorable"),
        changes=changes,
    )


def change_of(before: Verdict, after: Verdict) -> Change:
    """What became of an answer with these verdicts."""
    if before == "right":
        return "still_right" if after == "right" else "broken"
    if after == "right":
        return "fixed"
    return "still_wrong" if before == after else "unclear"


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


def mcnemar_gain(fixed: int, broken: int) -> float:
    """One-sided exact McNemar p-value that more items were fixed than broken by chance alone."""
    return _tail(broken, fixed + broken)  # as many or more fixed are as many or fewer broken


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided exact McNemar p-value of no difference."""
    return min(1.0, 2 * _tail(min(fixed, broken), fixed + broken))


def paired_interval(fixed: int, broken: int, n: int, confidence: float = 0.95) -> Interval:
    """Tango's score interval of the difference of two paired proportions (after - before).

    Unlike the Wald interval it keeps its coverage with few or no discordant pairs (Tango, Statistics in Medicine
    17:891-908, 1998).
    """
    if n == 0:
        return Interval(-1.0, 1.0)
    z = _normal_quantile(0.5 + confidence / 2)
    estimate = (fixed - broken) / n
    low = -1.0 if broken == n else _root(lambda d: _tango(fixed, broken, n, d) - z, -1.0, estimate)
    high = 1.0 if fixed == n else _root(lambda d: _tango(fixed, broken, n, d) + z, estimate, 1.0)
    return Interval(low, high)


def not_worse(fixed: int, broken: int, n: int, margin: float) -> float:
    """One-sided p-value against "worse by `margin` or more": small means shown to be non-inferior.

    The score test that Tango's interval inverts; 1.0 if nothing was observed.
    """
    if n == 0:
        return 1.0
    from scipy.special import ndtr

    return float(ndtr(-_tango(fixed, broken, n, -margin)))


def detectable_gain(n: int, alpha: float, discordant: float = 0.3, power: float = 0.8) -> float:
    """Smallest accuracy gain that a paired one-sided McNemar test on `n` items finds with the given power.

    `discordant` is the expected share of items whose verdict changes; the normal approximation of Connor (Biometrics
    43:207-211, 1987). Capped at `discordant`: a larger gain needs more items to change.
    """
    if n == 0:
        return 1.0
    reach = _normal_quantile(1 - alpha) * math.sqrt(discordant)

    def shortfall(gain: float) -> float:
        spread = _normal_quantile(power) * math.sqrt(max(discordant - gain * gain, 0.0))
        return gain * math.sqrt(n) - reach - spread

    if shortfall(0.0) >= 0:  # a gate so lenient that it finds a gain in nothing
        return 0.0
    if shortfall(discordant) < 0:
        return discordant
    return _root(shortfall, 0.0, discordant)


def _tail(heads: int, n: int) -> float:
    """Probability of so many heads or fewer in `n` tosses of a fair coin; 1 if there are no tosses."""
    from scipy.special import bdtr

    return float(bdtr(heads, n, 0.5))


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


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The place between the bounds at which the function, which has different signs there, changes its sign."""
    at_low = function(low)
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if function(middle) * at_low > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
