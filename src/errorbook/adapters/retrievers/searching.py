"""The most similar vectors of a set for each vector of another: an exact search in tiles, on arrays.

Every pair is compared, so nothing is missed, whatever the vectors are; only a tile of similarities is held at a time.
A million candidates of 384 numbers take 1.5 GB themselves and some 100 MB beside. There is no index: one of inverted
lists would be ten times as fast if the vectors form clusters, but lose nine neighbours of ten if they do not, and
what it finds would depend on threads and versions, so that a resumed run might not see what the first one saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tile = Callable[[slice, slice], NDArray[np.floating]]
    """The similarities of some queries (rows) with some candidates (columns)."""
    Neighbours = tuple[NDArray[np.intp], NDArray[np.float64]]
    """Places of candidates and their similarities, one row a query, best first."""

ROWS, COLUMNS = 1024, 8192
"""Shape of a tile: its 32 MB of similarities stay near the processor, and a matrix product pays."""
_CHUNK = 128
"""Columns of which only the largest similarity is looked at first."""
_SPARE = 8
"""How many more than `k` are compared again exactly, since single precision may swap those that are nearly equal."""


def find_nearest(queries: NDArray[np.float32], candidates: NDArray[np.float32], k: int) -> Neighbours:
    """For each query the `k` candidates of the largest inner product; ties go to the lower place.

    Similarities are summed in double precision, so they do not depend on tiles, threads or other vectors.

    Args:
        queries: One vector a row, of unit length if cosines are wanted.
        candidates: The same.
        k: At most so many; fewer if there are fewer candidates.
    """
    import numpy as np

    places, _ = find_largest(
        lambda rows, columns: queries[rows] @ candidates[columns].T, len(queries), len(candidates), k + _SPARE
    )
    similar = np.empty(places.shape)
    for start in range(0, len(queries), ROWS):
        rows = slice(start, start + ROWS)
        pairs = candidates[places[rows]].astype(np.float64) * queries[rows, None, :]
        similar[rows] = pairs.sum(axis=2)
    order = np.lexsort((places, -similar), axis=1)[:, :k]
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(similar, order, axis=1)


def find_largest(tile: Tile, rows: int, columns: int, k: int) -> Neighbours:
    """The same of any similarities that can be computed tile by tile."""
    import numpy as np

    k = max(0, min(k, columns))
    places, values = np.zeros((rows, k), dtype=np.intp), np.full((rows, k), -np.inf)
    if not k:
        return places, values
    for top in range(0, rows, ROWS):
        own = slice(top, min(top + ROWS, rows))
        for left in range(0, columns, COLUMNS):
            _merge_tile(places[own], values[own], tile(own, slice(left, min(left + COLUMNS, columns))), left)
    return places, values


def _merge_tile(places: NDArray[np.intp], values: NDArray[np.float64], block: NDArray[np.floating], left: int) -> None:
    """Let a tile's columns, which begin at `left`, replace the best found so far wherever they are larger.

    Columns come in ascending order, so of equal ones those that are there already have the lower places and stay.
    """
    import numpy as np

    k = values.shape[1]
    width = max(k, block.shape[1])
    width += -width % _CHUNK
    if block.shape[1] < width:
        block = np.pad(block, ((0, 0), (0, width - block.shape[1])), constant_values=-np.inf)
    chunks = block.reshape(len(block), -1, _CHUNK)
    peaks = chunks.max(axis=2)
    changed = np.flatnonzero(peaks.max(axis=1) > values[:, -1])
    peaks, worst = peaks[changed], values[changed, -1]
    # Whatever is among the best k is at least as large as the k-th largest of the chunks' own largest.
    level = np.partition(peaks if peaks.shape[1] >= k else block[changed], -k, axis=1)[:, -k]
    row, chunk = np.nonzero((peaks >= level[:, None]) & (peaks > worst[:, None]))
    looked_at = chunks[changed[row], chunk]
    place, offset = np.nonzero((looked_at >= level[row, None]) & (looked_at > worst[row, None]))
    entering = row[place], left + chunk[place] * _CHUNK + offset, looked_at[place, offset]
    rows = np.concatenate([np.repeat(np.arange(len(changed)), k), entering[0]])
    at = np.concatenate([places[changed].ravel(), entering[1]])
    value = np.concatenate([values[changed].ravel(), entering[2]])
    order = np.lexsort((at, -value, rows))
    counts = np.bincount(rows, minlength=len(changed))
    starts = np.cumsum(counts) - counts
    kept = order[starts[:, None] + np.arange(k)]
    places[changed], values[changed] = at[kept], value[kept]
