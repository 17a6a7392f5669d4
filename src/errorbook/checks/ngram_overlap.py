"""Which runs of words two sets of texts share: a sorted array of n-gram hashes, each with the texts that it is from.

Ten million words take 200 MB. A run counts only if it is particular to the text that it is from: one that stands in two
texts which are unlike otherwise ("how many does she have left if she") is phrasing. Variants of one question are alike.
And its words must be rare enough in all texts together, so that ten words that every other question has do not count.
It does not decide what a match means.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errorbook.checks.hashes import Hashes, hash_ngrams, hash_words

_ALIKE = 0.5
"""The share of the shorter text's other words that variants of one question have in common; others share a fifth."""
_BITS = 4.8
"""What the shared words must say, for each word of an n-gram: ten words of boilerplate say 20 to 45, other ten 47."""
_FEWEST = 1000
"""Texts that a word's frequency is held against at least, so that a small benchmark's words are not all frequent."""
_PHRASE = 64
"""Different texts from which on an n-gram is phrasing, whatever they are like."""


class Match(NamedTuple):
    """A run of words that also stands in text number `text`."""

    text: int
    span: str


class Overlaps:
    """Texts that can be asked for the first run of at least `n` words that they share with another text."""

    def __init__(
        self, texts: Iterable[Sequence[str]], n: int, common: Iterable[Sequence[str]] = (), *, particular: bool = False
    ) -> None:
        """Index the texts.

        Args:
            texts: The words of each.
            n: How many words make a run.
            common: Texts whose n-grams are phrasing that everybody uses; they do not count.
            particular: Whether a run must be particular to its text: no phrasing, and of words that are rare enough.
        """
        self._all = not particular
        self._n = n
        sequences = [tuple(words) for words in texts]
        grams = [hash_ngrams(hash_words(words), n) for words in sequences]
        sizes = [len(one) for one in grams]
        hashes = np.concatenate(grams) if grams else np.zeros(0, dtype=np.uint64)
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        order = np.argsort(hashes, kind="stable")  # of equal grams, the first text's comes first
        hashes, owners = hashes[order], owners[order]
        kept = np.ones(len(hashes), dtype=bool)
        for words in common:
            places, found = _places(hashes, hash_ngrams(hash_words(words), n))
            kept[places[found]] = False
        kept = kept[np.searchsorted(hashes, hashes)]  # all of equal ones go with the first of them
        self._hashes, self._owners = hashes[kept], owners[kept]
        self._sequences = sequences
        self._frequency = Counter(word for sequence in sequences for word in set(sequence))
        self._particular: dict[int, bool] = {}

    def find(self, words: Sequence[str]) -> Match | None:
        """The first shared run of words, as far as it goes, if the runs that one text shares say enough; else None."""
        places, found = _places(self._hashes, hash_ngrams(hash_words(words), self._n))
        spans: dict[int, str] = {}
        shared: dict[int, set[str]] = {}
        for start, end in _runs_of(found):
            particular = {place for place in range(start, end) if self._all or self._is_particular(int(places[place]))}
            if not particular:
                continue
            text, run = int(self._owners[places[min(particular)]]), words[start : end + self._n - 1]
            spans.setdefault(text, " ".join(run))
            phrases = [place for place in range(start, end) if place not in particular]
            phrasing = {word for place in phrases for word in words[place : place + self._n]}
            shared.setdefault(text, set()).update(set(run) - phrasing)
            if self._all or sum(map(self._bits, shared[text])) >= _BITS * self._n:
                return Match(text, spans[text])
        return None

    def _bits(self, word: str) -> float:
        """How much a word says: the binary logarithm of one over the share of the texts that have it."""
        return math.log2(max(len(self._sequences), _FEWEST) / max(1, self._frequency[word]))

    def _is_particular(self, place: int) -> bool:
        """Whether the texts that share the n-gram at a place are all like the first of them."""
        if place not in self._particular:
            end = int(np.searchsorted(self._hashes, self._hashes[place], side="right"))
            owners = dict.fromkeys(self._owners[place:end].tolist())
            first, *others = dict.fromkeys(frozenset(self._sequences[owner]) for owner in owners)
            self._particular[place] = len(others) < _PHRASE and all(self._are_alike(first, other) for other in others)
        return self._particular[place]

    def _are_alike(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether two texts share half of their words besides those of the n-gram."""
        return len(one & other) - self._n >= _ALIKE * (min(len(one), len(other)) - self._n)


def _runs_of(found: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The first place and the place after the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], found, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _places(hashes: Hashes, wanted: Hashes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in the sorted hashes each wanted one would stand first, and whether it stands there."""
    places = np.searchsorted(hashes, wanted)
    if not len(hashes):
        return places, np.zeros(len(wanted), dtype=bool)
    inside = np.minimum(places, len(hashes) - 1)
    return inside, hashes[inside] == wanted
