"""Nearest questions by the target's own hidden states: near is what the target itself reads as alike.

The contrasts of Learning from Error by Contrast (paper section 2.3) without a second model. The search is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from errorbook.adapters.retrievers.searching import find_nearest
from errorbook.interfaces import Target
from errorbook.records import Example, whole_question

if TYPE_CHECKING:
    from errorbook.adapters.retrievers.searching import Neighbours


class Hidden:
    """Implements `Retriever` with the vectors of a live target, as the checkpoint that it answers as."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """By cosine similarity of the questions; a query that is itself a candidate is not its own neighbour."""
        import numpy as np

        if not queries or not candidates:
            return [[] for _ in queries]
        asked = [whole_question(example.before, example.question) for example in (*queries, *candidates)]
        given = self._target.embed(asked)
        # What half precision could not hold is near to nothing. The array may be read-only: Ray hands out no others.
        vectors = np.where(np.isfinite(given.sum(axis=1))[:, None], given, given.dtype.type(0))
        left, right = vectors[: len(queries)], vectors[len(queries) :]
        return find_others(queries, candidates, k, lambda most: find_nearest(left, right, most))


def find_others(
    queries: Sequence[Example], candidates: Sequence[Example], k: int, search: Callable[[int], Neighbours]
) -> list[list[tuple[int, float]]]:
    """For each query the `k` best of what `search` finds, without the query itself, as the protocol wants them.

    `search` is asked for as many more as one and the same example stands among the candidates.
    """
    names = [candidate.hash for candidate in candidates]
    copies = Counter(names)
    own = max((copies[query.hash] for query in queries), default=0)
    places, similar = search(k + own)
    pairs = [list(zip(*row, strict=True)) for row in zip(places.tolist(), similar.clip(-1, 1).tolist(), strict=True)]
    return [
        [(place, value) for place, value in row if names[place] != query.hash][:k]
        for query, row in zip(queries, pairs, strict=True)
    ]
