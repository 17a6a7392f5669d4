"""Nearest questions by the target's own hidden states: near is what the target itself reads as alike.

The contrasts of Learning from Error by Contrast (paper section 2.3) without a second model. Exact search; no index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from errorbook.interfaces import Target
from errorbook.records import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 1024
"""Queries compared at once: bounds memory at 1024 times the candidates."""


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
        left, right = vectors[: len(queries)], vectors[len(queries) :]
        blocks = (left[start : start + BLOCK] @ right.T for start in range(0, len(queries), BLOCK))
        return top(blocks, queries, candidates, k)


def top(
    blocks: Iterable[NDArray[np.floating]], queries: Sequence[Example], candidates: Sequence[Example], k: int
) -> list[list[tuple[int, float]]]:
    """For each query the `k` candidates of the largest cosine similarity; ties go to the lower index.

    `blocks` are the similarities of one query after the other, each of shape (some queries, candidates). Pairs of one
    and the same example are left out.
    """
    import numpy as np

    places: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        places.setdefault(candidate.hash, []).append(place)
    found: list[list[tuple[int, float]]] = []
    for query, row in zip(queries, (row for block in blocks for row in block), strict=True):
        own = places.get(query.hash, [])
        order = np.argsort(-row, kind="stable")[: k + len(own)]
        found.append([(int(place), float(np.clip(row[place], -1, 1))) for place in order if place not in own][:k])
    return found
