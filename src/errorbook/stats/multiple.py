"""Several tests at once: what each p-value means if the smallest of them were looked for."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order, so that the chance of any false finding stays below the level.

    Holm's step-down correction (Scandinavian Journal of Statistics 6:65-70, 1979): the k-th smallest p of m times
    m - k + 1, and never below the one before. It holds whatever the tests have to do with each other.
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted
