"""Questions that can be asked for one that is nearly the same: MinHash bands, then the exact similarity.

Two questions are near if they have the same numbers in the same order and their word triples overlap by the
threshold, or if an embedding that was given finds their meanings nearly equal. A million questions take about
2 GB. Questions with other numbers are other questions; answers are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from errorbook.checks.hashes import BANDS, bands, hash_ngrams, hash_text, hash_words
from errorbook.checks.tokens import jaccard, ngrams, numbers, words

Meaning = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""One unit-length vector a text, as `Target.embed` gives them."""

_SHINGLE = 3
_MOST_CANDIDATES = 64
_SAME_MEANING = 0.97


class Nearness:
    """A growing list of questions; `nearness[i]` is the i-th."""

    def __init__(self, threshold: float, meaning: Meaning | None = None) -> None:
        """Start empty.

        Args:
            threshold: Jaccard similarity of word triples from which two questions with the same numbers are near.
            meaning: Embeds texts; without it only words are compared.
        """
        self._threshold = threshold
        self._meaning = meaning
        self._questions: list[str] = []
        self._contexts: dict[int, str] = {}
        self._newest: dict[int, int] = {}
        self._earlier = np.zeros((1 << 10, BANDS), dtype=np.int32)
        self._same_numbers: dict[int, list[int]] = {}
        self._last: tuple[str, list[int]] | None = None

    def __getitem__(self, place: int) -> str:
        return self._questions[place]

    def add(self, question: str, context: str = "") -> int:
        """Take one more question and return its place; it is near to questions of its own context only."""
        place = len(self._questions)
        if context:
            self._contexts[place] = context
        self._questions.append(question)
        keys = self._keys(question)
        if place == len(self._earlier):
            self._earlier = np.concatenate([self._earlier, np.zeros_like(self._earlier)])
        self._earlier[place] = [self._newest.get(key, -1) for key in keys]  # each band's chain, newest first
        self._newest.update(dict.fromkeys(keys, place))
        if self._meaning is not None:
            self._same_numbers.setdefault(hash_text(numbers(question)), []).append(place)
        return place

    def find(self, question: str, context: str = "") -> str | None:
        """The first question of the context that is near to this one, of the newest that may be."""
        figures = numbers(question)
        candidates = sorted(self._candidates(self._keys(question)))
        places = [place for place in candidates if self._contexts.get(place, "") == context]
        shingles = ngrams(words(question), _SHINGLE) if places else frozenset()
        for place in places:
            other = self._questions[place]
            if figures == numbers(other) and jaccard(shingles, ngrams(words(other), _SHINGLE)) >= self._threshold:
                return other
        return self._same_meaning(question, figures, context)

    def _keys(self, question: str) -> list[int]:
        """The question's keys; a question that is looked for is often added next."""
        if self._last is None or self._last[0] != question:
            self._last = (question, _keys(question))
        return self._last[1]

    def _candidates(self, keys: list[int]) -> set[int]:
        newest = ((band, self._newest[key]) for band, key in enumerate(keys) if key in self._newest)
        return {place for band, last in newest for place in self._chain(band, last)}

    def _chain(self, band: int, place: int) -> Iterator[int]:
        """Bounded, so that a million questions of one template do not take forever."""
        for _ in range(_MOST_CANDIDATES):
            if place < 0:
                return
            yield place
            place = int(self._earlier[place, band])

    def _same_meaning(self, question: str, figures: tuple[str, ...], context: str) -> str | None:
        alike = self._same_numbers.get(hash_text(figures), [])[-_MOST_CANDIDATES:]
        places = [place for place in alike if self._contexts.get(place, "") == context]
        if self._meaning is None or not places:
            return None
        vectors = self._meaning([question, *(self._questions[place] for place in places)])
        similar = vectors[1:] @ vectors[0]
        best = int(similar.argmax())
        return self._questions[places[best]] if similar[best] >= _SAME_MEANING else None


def _keys(question: str) -> list[int]:
    shingles = hash_ngrams(hash_words(words(question)), _SHINGLE)
    if not len(shingles):
        shingles = np.zeros(1, dtype=np.uint64)
    keys: list[int] = bands(shingles, hash_text(numbers(question))).tolist()
    return keys
