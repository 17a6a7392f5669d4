"""Nearest questions by the target's own hidden states: near is what the target itself reads as alike.

The contrasts of Learning from Error by Contrast (paper section 2.3) without a second model. Exact search; no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from errorbook.interfaces import Target
from errorbook.records import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 1024  # queries compared at once: bounds memory at 1024 times the candidates


class Hidden:
    """Implements `Retriever` with the vectors of a live target, as the checkpoint that it answers as."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """By cosine similarity of the questions; a query that is itself a candidate is not its own neighbour."""
        if not queries or not candidates:
            return [[] for _ in queries]
        vectors = self._target.embed([example.question for example in (*queries, *candidates)])
        return top(vectors[: len(queries)], vectors[len(queries) :], queries, candidates, k)


def top(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    queries: Sequence[Example],
    candidates: Sequence[Example],
    k: int,
) -> list[list[tuple[int, float]]]:
    """For each row of `left` the `k` rows of `right` with the largest dot product; ties go to the lower index.

    Both have unit rows, shapes (queries, width) and (candidates, width). Pairs of one and the same example are left
    out.
    """
    import numpy as np

    found: list[list[tuple[int, float]]] = []
    places: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        places.setdefault(candidate.hash, []).append(place)
    for start in range(0, len(queries), _BLOCK):
        similarity = left[start : start + _BLOCK] @ right.T
        for row, query in zip(similarity, queries[start : start + _BLOCK], strict=True):
            row[places.get(query.hash, [])] = -np.inf
            order = np.argsort(-row, kind="stable")[:k]
            found.append(
                [(int(place), float(np.clip(row[place], -1, 1))) for place in order if np.isfinite(row[place])]
            )
    return found
