"""The score test of a difference over groups: Tango's, with a group's mean change for one question's.

The variance under the hypothesis is that of the likeliest distribution whose mean it is, on the changes that were
observed and on -1 and +1 (empirical likelihood with its support extended). Of groups of one question it is Tango's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from errorbook.records import Cluster

_PRECISION = 1e-10


class Spread(NamedTuple):
    """The distribution of the groups' mean changes, weighted by their part in the variance; and how many they equal."""

    cells: tuple[tuple[float, float], ...]
    effective: float


def spread_out(fixed: int, broken: int, n: int, clusters: Sequence[Cluster]) -> Spread:
    """Each mean change of a group with its weight, the square of its size; questions in no group are groups of one."""
    weights: Counter[float] = Counter()
    alone = n
    for one in clusters:
        weights[(one.fixed - one.broken) / one.size] += one.size * one.size * one.times
        fixed, broken = fixed - one.fixed * one.times, broken - one.broken * one.times
        alone -= one.size * one.times
    for change, times in ((1.0, fixed), (-1.0, broken), (0.0, alone - fixed - broken)):
        weights[change] += times
    whole = weights.total()
    return Spread(tuple((change, weight / whole) for change, weight in weights.items() if weight), n * n / whole)


def grouped_score(spread: Spread, estimate: float, delta: float) -> float:
    """The score statistic of H0: difference == delta, with the variance of the likeliest distribution under it."""
    distance = estimate - delta
    if abs(delta) >= 1.0:
        return math.copysign(math.inf, distance) if distance else 0.0
    cells = [(change - delta, weight) for change, weight in spread.cells]

    def imbalance(tilt: float) -> float:
        return sum(weight * gap / (1.0 + tilt * gap) for gap, weight in cells)

    # The weights are w / (1 + tilt * gap); at an end of the range all the rest falls on -1 or +1, seen or not.
    ends = -1.0 / (1.0 - delta), 1.0 / (1.0 + delta)
    low, high = ends[0] * (1 - 1e-12), ends[1] * (1 - 1e-12)
    tilt = low if imbalance(low) <= 0 else high if imbalance(high) >= 0 else find_root(imbalance, low, high)
    tilted = [(gap, weight / (1.0 + tilt * gap)) for gap, weight in cells]
    rest = max(0.0, 1.0 - sum(weight for _, weight in tilted))
    gap = (-1.0 if tilt > 0 else 1.0) - delta
    variance = sum(weight * gap * gap for gap, weight in tilted) + rest * gap * gap
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance * math.sqrt(spread.effective / variance)


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """The place between the bounds at which the function, which has different signs there, changes its sign."""
    at_low = function(low)
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if middle in {low, high}:  # far from zero two neighbouring numbers are wider apart than that
            break
        if function(middle) * at_low > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
