"""Nearest questions by the words they share, weighted by rarity. Needs no model; it reads no meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from errorbook.adapters.retrievers.hidden import find_others
from errorbook.adapters.retrievers.searching import find_largest
from errorbook.records import Example, whole_question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = r"\w+|[^\w\s]"


class Tfidf:
    """Implements `Retriever` with TF-IDF over single words and pairs of words, counts taken logarithmically."""

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """By cosine similarity of the questions; a query that is itself a candidate is not its own neighbour."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if not queries or not candidates:
            return [[] for _ in queries]
        # Every run of letters, every digit run and every sign is a word: short numbers and operators carry meaning.
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD)
        try:
            right = vectorizer.fit_transform(_texts(candidates))
        except ValueError:  # no candidate has a word
            return [[] for _ in queries]
        left = vectorizer.transform(_texts(queries))

        def tile(rows: slice, columns: slice) -> NDArray[np.float64]:
            similar: NDArray[np.float64] = (left[rows] @ right[columns].T).toarray()
            return similar

        return find_others(queries, candidates, k, lambda most: find_largest(tile, len(queries), len(candidates), most))


def _texts(examples: Sequence[Example]) -> list[str]:
    return [whole_question(example.before, example.question) for example in examples]
