"""The fake retriever for tests and plugin authors: nearness is the share of common words. Needs no library."""

from __future__ import annotations

from collections.abc import Sequence

from errorbook.records import Example


class ScriptedRetriever:
    """Implements `Retriever` by the Jaccard index of the questions' words."""

    def nearest(
        self, queries: Sequence[Example], candidates: Sequence[Example], k: int
    ) -> Sequence[Sequence[tuple[int, float]]]:
        """Up to `k` candidates by share of common words; ties go to the lower index, an example skips itself."""
        bags = [_words(candidate) for candidate in candidates]
        found = []
        for query in queries:
            words = _words(query)
            pairs = [
                (place, len(words & bag) / max(1, len(words | bag)))
                for place, bag in enumerate(bags)
                if candidates[place].hash != query.hash
            ]
            found.append(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k])
        return found


def _words(example: Example) -> set[str]:
    return set(example.question.lower().split())
