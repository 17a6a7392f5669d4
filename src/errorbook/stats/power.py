"""What a gate is able to see: the smallest gain that its exact test finds, and how many questions groups amount to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from errorbook.stats.flips import log_ways
from errorbook.stats.spread import find_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ALL = 1 - 1e-9
"""All items change: just below 1, which has no logarithm of its complement."""
_FOUND_IN_FULL = 0.88
"""The power in full of what a test in looks finds in 80% or a little more (simulated: docs/gate.md)."""
_NEGLIGIBLE = 1e-9
"""Of the chance, what numbers of changed items that are left out may add up to."""


def effective_questions(n: int, sizes: Mapping[int, int]) -> float:
    """As many questions as stand alone say as much as `n` with groups; `sizes` counts the groups of each size.

    Kish's design effect if the questions of a group change all together, which is the worst case (Kish, Survey
    Sampling, 1965, chapter 5): n / (sum of squared sizes / n). Questions in no group are groups of one.
    """
    alone = n - sum(size * times for size, times in sizes.items())
    squares = alone + sum(size * size * times for size, times in sizes.items())
    return n * n / squares if squares else 0.0


def detectable_gain(
    n: int, alpha: float, discordant: float = 0.3, power: float = 0.8, *, in_looks: bool = False
) -> float | None:
    """Smallest accuracy gain that the one-sided exact McNemar test on `n` items finds with the given power.

    `discordant` is the expected share of items whose verdict changes. A gain above it needs more items to change: then
    all that change are fixed. The power is exact: over every number of changed items, and the least number of them that
    must be fixed. None if no gain is found so, not even if every item is fixed. A test `in_looks` ends early and sees
    less. It finds in 80% what that of all items finds in 88% (docs/gate.md simulates it); `power` is then not read.
    """
    if in_looks:
        power = _FOUND_IN_FULL
    if n == 0 or _power(n, alpha, _ALL)(_ALL) < power:
        return None
    find = _power(n, alpha, discordant)
    if find(0.0) >= power:  # a gate so lenient that it finds a gain in nothing
        return 0.0
    if find(discordant) < power:
        return find_root(lambda gain: _power(n, alpha, gain)(gain) - power, discordant, _ALL)
    return find_root(lambda gain: find(gain) - power, 0.0, discordant)


def _power(n: int, alpha: float, discordant: float) -> Callable[[float], float]:
    """The chance that the gain test accepts, as a function of the true gain, in which it never falls."""
    import numpy as np
    from scipy.special import bdtrc

    pairs = np.arange(n + 1)
    chance = np.exp(log_ways(n) + pairs * math.log(discordant) + (n - pairs) * math.log1p(-discordant))
    likely = chance > _NEGLIGIBLE / (n + 1)
    pairs, chance = pairs[likely], chance[likely]
    most = _most_broken(pairs, alpha)
    accepted = most >= 0
    pairs, chance, needed = pairs[accepted], chance[accepted], (pairs - most)[accepted]

    def find(gain: float) -> float:
        share = (discordant + gain) / (2 * discordant)
        # At least `needed` of the changed ones fixed; bdtrc takes more than k, so k is one less.
        found = np.where(needed > 0, bdtrc(np.maximum(needed - 1, 0), pairs, share), 1.0)
        return float((chance * found).sum())

    return find


def _most_broken(pairs: NDArray[np.int64], alpha: float) -> NDArray[np.int64]:
    """For each number of changed items the most broken ones with which the test still accepts; -1 if none may be."""
    import numpy as np
    from scipy.special import bdtr, ndtri

    guess = pairs / 2 + float(ndtri(alpha)) * np.sqrt(pairs) / 2
    most = np.clip(np.floor(guess).astype(np.int64), -1, pairs)
    while (high := (most >= 0) & (bdtr(np.maximum(most, 0), pairs, 0.5) > alpha)).any():
        most = most - high
    while (low := (most < pairs) & (bdtr(np.minimum(most + 1, pairs), pairs, 0.5) <= alpha)).any():
        most = most + low
    return most
