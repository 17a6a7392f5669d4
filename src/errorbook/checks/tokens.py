"""How two questions are compared: words, numbers, shingles and n-grams. Pure helpers; they decide nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[+\-*/=%]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@lru_cache(maxsize=64)  # the checks of one question follow each other
def words(text: str) -> tuple[str, ...]:
    """The text's words, numbers and arithmetic signs in lower case; punctuation and layout do not count."""
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=64)
def numbers(text: str) -> tuple[str, ...]:
    """The numbers in the text, in order, without thousands separators."""
    return tuple(found.replace(",", "") for found in _NUMBER.findall(text))


def ngrams(sequence: Sequence[str], n: int) -> frozenset[tuple[str, ...]]:
    """All runs of `n` words; the whole text if it is shorter."""
    if len(sequence) <= n:
        return frozenset({tuple(sequence)})
    return frozenset(tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1))


def jaccard(left: frozenset[Any], right: frozenset[Any]) -> float:
    """Shared over all; 1 for two empty sets."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0
