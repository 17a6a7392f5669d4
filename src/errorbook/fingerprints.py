"""Texts as numbers that are quick to compare: hashes of words and n-grams, MinHash sketches, and a flat hash table.

Everything is 64-bit arithmetic in NumPy and the same in every process, so that a resumed run decides as the first one.
Two different n-grams share a hash about once in 10^19; nothing here looks at meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

BANDS, ROWS = 12, 5
"""60 permutations; two texts with Jaccard similarity 0.8 share a band with probability 0.99, with 0.4 in 12%."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_RANDOM = np.random.default_rng(20240701)
_FACTORS = _RANDOM.integers(1, 2**63, size=(BANDS * ROWS, 1), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, size=(BANDS * ROWS, 1), dtype=np.uint64)
_BAND_SALTS = _RANDOM.integers(1, 2**63, size=BANDS, dtype=np.uint64)
_ROW_FACTORS = _RANDOM.integers(1, 2**63, size=ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def word_hashes(words: Sequence[str]) -> Hashes:
    """One hash for each word."""
    return np.array([_word_hash(word) for word in words], dtype=np.uint64)


def gram_hashes(words: Hashes, n: int) -> Hashes:
    """One hash for each run of `n` words, in order; one for the whole text where it is shorter."""
    n = max(1, min(n, len(words)))
    count = max(0, len(words) - n + 1)
    found = np.zeros(count, dtype=np.uint64)
    for offset in range(n if count else 0):
        found = found * _BASE + words[offset : offset + count]
    return _mixed(found + np.uint64(n))


def text_hash(words: Sequence[str]) -> int:
    """One hash for a sequence of words."""
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest(), "big")


def bands(shingles: Hashes, salt: int) -> Hashes:
    """The keys under which a set of shingles is filed: similar sets with one salt share at least one of them."""
    least = ((shingles[None, :] * _FACTORS + _OFFSETS) >> _SHIFT).min(axis=1).reshape(BANDS, ROWS)
    keys = (least * _ROW_FACTORS).sum(axis=1, dtype=np.uint64) + _BAND_SALTS + np.uint64(salt)
    return np.maximum(_mixed(keys), np.uint64(1))  # 0 marks an empty slot of the table


class Table:
    """A map from non-zero 64-bit keys to row numbers in two flat arrays: 12 bytes a slot, at most half of them used."""

    def __init__(self) -> None:
        self._keys = np.zeros(1 << 12, dtype=np.uint64)
        self._rows = np.zeros(1 << 12, dtype=np.int32)
        self._used = 0

    def find(self, keys: Hashes) -> NDArray[np.int32]:
        """The row of each key, or -1."""
        slots, mask = self._slots(keys)
        while True:
            here = self._keys[slots]
            passed = (here != keys) & (here != 0)
            if not passed.any():
                return np.where(here == keys, self._rows[slots], np.int32(-1))
            slots[passed] = (slots[passed] + 1) & mask

    def put(self, keys: Hashes, row: int) -> None:
        """Let distinct keys stand for a row, whatever they stood for before."""
        if 2 * (self._used + len(keys)) > len(self._keys):
            self._grow()
        self._place(keys, np.full(len(keys), row, dtype=np.int32))

    def _slots(self, keys: Hashes) -> tuple[NDArray[np.int64], int]:
        mask = len(self._keys) - 1
        return (keys & np.uint64(mask)).astype(np.int64), mask

    def _place(self, keys: Hashes, rows: NDArray[np.int32]) -> None:
        slots, mask = self._slots(keys)
        while len(keys):
            empty = self._keys[slots] == 0
            self._keys[slots[empty]] = keys[empty]  # where two meet in one slot, the last wins and the other goes on
            settled = self._keys[slots] == keys
            self._used += int((settled & empty).sum())
            self._rows[slots[settled]] = rows[settled]
            keys, rows, slots = keys[~settled], rows[~settled], (slots[~settled] + 1) & mask

    def _grow(self) -> None:
        full = self._keys != 0
        keys, rows, size = self._keys[full], self._rows[full], 2 * len(self._keys)
        self._keys, self._rows, self._used = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32), 0
        self._place(keys, rows)


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


def _mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: spreads every bit over all of them."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
