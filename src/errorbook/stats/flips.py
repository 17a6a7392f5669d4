"""The exact sign-flip test over the sums of groups, and the bound that stands for it past some billion steps.

Of groups of one question each it is the sign test, so McNemar's. Only `scipy.special` and NumPy are imported.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_STEPS = 2_000_000_000
"""Additions that the exact test may take, a few seconds."""
_RADEMACHER = 3.1787
"""1 / (4 P(Z >= sqrt 2)), rounded up: the constant of the bound (Bentkus and Dzindzalieta 2015)."""


def sign_flip(sums: Mapping[int, int]) -> float:
    """The chance that the total is as large as it is or larger if the sign of every group's sum is a fair coin's."""
    unit = math.gcd(*sums)
    times: Counter[int] = Counter()
    for net, n in sums.items():
        times[abs(net) // unit] += n
    if set(times) <= {1}:
        return tail(sums.get(-unit, 0), times[1])  # as many or more fixed are as many or fewer broken
    reach = sum(size * n for size, n in times.items())
    total = sum(net * n for net, n in sums.items()) // unit
    common = max(times, key=times.__getitem__)
    if reach * (times.total() - times[common]) > _MOST_STEPS:
        squares = sum(size * size * n for size, n in times.items())
        return min(1.0, _RADEMACHER * _tail_of_normal(total / math.sqrt(squares)) if total > 0 else 1.0)
    return min(1.0, float(flip_chances(times)[: (reach - total) // 2 + 1].sum()))


def flip_chances(times: Mapping[int, int]) -> NDArray[np.float64]:
    """The chance of each total, from 0 on, of the sizes whose coin falls on tails; `times` counts the sizes."""
    import numpy as np

    if not times:
        return np.ones(1)
    common = max(times, key=times.__getitem__)
    chances = np.zeros(common * times[common] + 1)
    chances[::common] = _coin_chances(times[common])
    for size, n in times.items():
        if size != common:
            wider = np.zeros(len(chances) + size * n)
            for tails, chance in enumerate(_coin_chances(n)):
                wider[tails * size : tails * size + len(chances)] += chance * chances
            chances = wider
    return chances


def _coin_chances(n: int) -> NDArray[np.float64]:
    """The chances of 0 to `n` tails in `n` tosses of a fair coin."""
    import numpy as np

    chances: NDArray[np.float64] = np.exp(log_ways(n) - n * math.log(2.0))
    return chances


def log_ways(n: int) -> NDArray[np.float64]:
    """The logarithms of the numbers of ways to choose 0 to `n` out of `n`."""
    import numpy as np
    from scipy.special import gammaln

    chosen = np.arange(n + 1)
    ways: NDArray[np.float64] = gammaln(n + 1) - gammaln(chosen + 1) - gammaln(n - chosen + 1)
    return ways


def tail(heads: int, n: int) -> float:
    """Probability of so many heads or fewer in `n` tosses of a fair coin; 1 if there are no tosses."""
    from scipy.special import bdtr

    return float(bdtr(heads, n, 0.5))


def _tail_of_normal(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-z))
