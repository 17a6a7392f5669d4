"""Nearest questions by the words they share, weighted by rarity. Needs no model; it reads no meaning."""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.records import Example
from errorbook.retrievers.hidden import BLOCK, top

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
            right = vectorizer.fit_transform([example.question for example in candidates])
        except ValueError:  # no candidate has a word
            return [[] for _ in queries]
        left = vectorizer.transform([example.question for example in queries])
        blocks = ((left[start : start + BLOCK] @ right.T).toarray() for start in range(0, len(queries), BLOCK))
        return top(blocks, queries, candidates, k)
