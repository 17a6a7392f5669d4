"""Texts as numbers that are quick to compare: hashes of words and n-grams and MinHash sketches.

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

_BASE_NUMBER = 0x9E3779B97F4A7C15
_BASE = np.uint64(_BASE_NUMBER)
_SHIFT = np.uint64(32)
_RANDOM = np.random.default_rng(20240701)
_FACTORS = _RANDOM.integers(1, 2**63, size=(BANDS * ROWS, 1), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, size=(BANDS * ROWS, 1), dtype=np.uint64)
_BAND_SALTS = _RANDOM.integers(1, 2**63, size=BANDS, dtype=np.uint64)
_ROW_FACTORS = _RANDOM.integers(1, 2**63, size=ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def hash_words(words: Sequence[str]) -> Hashes:
    """One hash for each word."""
    return _word_hashes(tuple(words))


def hash_ngrams(words: Hashes, n: int) -> Hashes:
    """One hash for each run of `n` words, in order; one for the whole text if it is shorter."""
    n = max(1, min(n, len(words)))
    return _mix(_runs(words, n) + np.uint64(n)) if len(words) else words


def hash_text(words: Sequence[str]) -> int:
    """One hash for a sequence of words."""
    return int.from_bytes(hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest(), "big")


def bands(shingles: Hashes, salt: int) -> Hashes:
    """The keys under which a set of shingles is filed: similar sets with one salt share at least one of them."""
    least = ((shingles[None, :] * _FACTORS + _OFFSETS) >> _SHIFT).min(axis=1).reshape(BANDS, ROWS)
    keys = (least * _ROW_FACTORS).sum(axis=1, dtype=np.uint64) + _BAND_SALTS + np.uint64(salt)
    return _mix(keys)


def _runs(words: Hashes, n: int) -> Hashes:
    """For each run of `n` words a polynomial in their hashes, put together from those of half as many words."""
    if n == 1:
        return words
    half = n // 2
    short = _runs(words, half)
    found = short[:-half] * np.uint64(pow(_BASE_NUMBER, half, 1 << 64)) + short[half:]
    return found if n % 2 == 0 else found[:-1] * _BASE + words[2 * half :]


@lru_cache(maxsize=64)  # a question is looked up among the drafts and among the held-out questions
def _word_hashes(words: tuple[str, ...]) -> Hashes:
    found = np.array([_word_hash(word) for word in words], dtype=np.uint64)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


def _mix(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: spreads every bit over all of them."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
