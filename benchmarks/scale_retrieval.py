"""Contrast retrieval: the nearest 3 of a million right questions for each of a hundred thousand wrong ones.

Two kinds of vectors of 384 numbers: many Gaussian clusters, as embeddings of questions form them, and vectors without
any structure, for which no index helps. The recall is counted against whole rows of some queries in double
precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale_marks import Stopwatch, Value
from errorbook.adapters.retrievers.searching import find_nearest

WIDTH, K, CLUSTERS, SPREAD = 384, 3, 5_000, 0.7
CHECKED = 200
"""Queries whose true neighbours are computed; the standard error of a recall of 0.95 is then below 0.01."""
_SLICE = 100_000


def measure(rows: int, folder: Path) -> list[Value]:
    """Search `rows` candidates for a tenth as many queries, of both kinds."""
    del folder
    found = [Value(part="retrieval", name="candidates", value=rows)]
    for kind in ("clustered", "uniform"):
        candidates, queries = vectors(kind, rows, seed=1), vectors(kind, max(1, rows // 10), seed=2)
        watch = Stopwatch()
        with watch.running():
            places, _ = find_nearest(queries, candidates, K)
        some = np.linspace(0, len(queries) - 1, min(CHECKED, len(queries))).astype(int)
        share = recall(places[some], truth(queries[some], candidates, K))
        minutes = watch.seconds / 60
        found += [
            Value(part="retrieval", name=f"{kind}: search", value=minutes, unit="min", mark="< 15"),
            Value(part="retrieval", name=f"{kind}: recall@{K}", value=share, mark=">= 0.95"),
        ]
    return found


def vectors(kind: str, n: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors: around seeded centres that queries and candidates share, or in all directions."""
    dice = np.random.default_rng(seed)
    found = dice.standard_normal((n, WIDTH), dtype=np.float32)
    if kind == "clustered":
        centres = np.random.default_rng(0).standard_normal((CLUSTERS, WIDTH), dtype=np.float32)
        found *= np.float32(SPREAD)
        for start in range(0, n, _SLICE):
            part = found[start : start + _SLICE]
            part += centres[dice.integers(0, CLUSTERS, len(part))]
    for start in range(0, n, _SLICE):
        part = found[start : start + _SLICE]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return found


def truth(queries: NDArray[np.float32], candidates: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """The true neighbours of a few queries, one after the other and in double precision."""
    found = np.empty((len(queries), min(k, len(candidates))), dtype=np.intp)
    similar = np.empty((len(queries), len(candidates)))
    for start in range(0, len(candidates), _SLICE):
        part = candidates[start : start + _SLICE].astype(np.float64)
        similar[:, start : start + _SLICE] = queries.astype(np.float64) @ part.T
    for row, values in enumerate(similar):
        found[row] = np.argsort(-values, kind="stable")[:k]
    return found


def recall(found: NDArray[np.intp], true: NDArray[np.intp]) -> float:
    """Which part of the true neighbours was found."""
    return float(np.mean([len({*one} & {*other}) / len(other) for one, other in zip(found, true, strict=True)]))
