"""Which runs of words two sets of texts share: a sorted array of n-gram hashes, each with the text that it is from.

Ten million words take 120 MB. The words themselves are not kept: a match is shown in the words of the text that is
looked up. It does not decide what a match means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errorbook.checks.hashes import Hashes, hash_ngrams, hash_words


class Match(NamedTuple):
    """A run of words that also stands in text number `text`."""

    text: int
    span: str


class Overlaps:
    """Texts that can be asked for the first run of at least `n` words that they share with another text."""

    def __init__(self, texts: Iterable[Sequence[str]], n: int, common: Iterable[Sequence[str]] = ()) -> None:
        """Index the texts; n-grams of `common` are phrasing that everybody uses and do not count."""
        self._n = n
        grams = [hash_ngrams(hash_words(words), n) for words in texts]
        sizes = [len(one) for one in grams]
        hashes = np.concatenate(grams) if grams else np.zeros(0, dtype=np.uint64)
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        order = np.argsort(hashes, kind="stable")  # of equal grams, the first text's comes first
        hashes, owners = hashes[order], owners[order]
        kept = np.ones(len(hashes), dtype=bool)
        for words in common:
            places, found = _places(hashes, hash_ngrams(hash_words(words), n))
            kept[places[found]] = False
        first = np.ones(len(hashes), dtype=bool)
        first[1:] = hashes[1:] != hashes[:-1]
        self._hashes, self._owners = hashes[kept & first], owners[kept & first]

    def find(self, words: Sequence[str]) -> Match | None:
        """The first shared run of words, as far as it goes; None if there is none."""
        places, found = _places(self._hashes, hash_ngrams(hash_words(words), self._n))
        if not found.any():
            return None
        start = int(found.argmax())
        length = int((~found[start:]).argmax()) if not found[start:].all() else len(found) - start
        return Match(int(self._owners[places[start]]), " ".join(words[start : start + length + self._n - 1]))


def _places(hashes: Hashes, wanted: Hashes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in the sorted hashes each wanted one would stand first, and whether it stands there."""
    places = np.searchsorted(hashes, wanted)
    if not len(hashes):
        return places, np.zeros(len(wanted), dtype=bool)
    inside = np.minimum(places, len(hashes) - 1)
    return inside, hashes[inside] == wanted
