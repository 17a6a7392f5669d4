"""Diagnoses -> misconceptions, and how many drafts each deserves: the grouping behind the strategy `cluster`.

A target makes the same mistake on many questions. Writing against each mistake by itself gives the common misconception
most of the samples and teaches it many times over; writing against groups spreads them: a group's share grows with the
square root of its size and with its difficulty. Pure and deterministic: groups do not depend on the order of the
diagnoses. It reads the words of the diagnoses only, so two misconceptions in quite different words stay apart.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from errorbook.records import Diagnosis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 8
"""Up to so many different descriptions, weights of rarity mean nothing: only equal kinds of error are one group."""

Words = tuple[str, ...]

_STEM = 6
_WORD = re.compile(r"\w+")


def misconceptions(diagnoses: Sequence[Diagnosis], distance: float = 0.75) -> list[tuple[int, ...]]:
    """The diagnoses' places in groups, one a misconception, the largest first; no group has two tasks.

    Args:
        diagnoses: In any order; it decides only how equally large groups and their members are ordered.
        distance: Average cosine distance (0 to 1) of the words of two groups from which they are kept apart.
    """
    tasks: defaultdict[str, list[int]] = defaultdict(list)
    for place, diagnosis in enumerate(diagnoses):
        tasks[diagnosis.task].append(place)
    groups: list[tuple[int, ...]] = []
    for places in tasks.values():
        labels = _labels([diagnoses[place] for place in places], distance)
        found: defaultdict[str | int, list[int]] = defaultdict(list)
        for place, label in zip(places, labels, strict=True):
            found[label].append(place)
        groups += [tuple(members) for members in found.values()]
    return sorted(groups, key=lambda members: (-len(members), members))


def shares(groups: Sequence[Sequence[Diagnosis]], quota: int) -> list[int]:
    """How many of `quota` drafts each group gets; all are given out, and each group gets one if there are enough."""
    weights = [_weight(group) for group in groups]
    order = sorted(range(len(groups)), key=lambda place: (-weights[place], place))
    if quota <= len(groups):
        chosen = set(order[: max(0, quota)])
        return [int(place in chosen) for place in range(len(groups))]
    spare = quota - len(groups)
    exact = [spare * weight / sum(weights) for weight in weights]
    given = [1 + math.floor(part) for part in exact]
    largest_rests = sorted(order, key=lambda place: math.floor(exact[place]) - exact[place])
    for place in largest_rests[: quota - sum(given)]:
        given[place] += 1
    return given


def _weight(group: Sequence[Diagnosis]) -> float:
    """Square root of the size: a misconception that is met ten times as often needs about three times the practice."""
    difficulty = sum(diagnosis.difficulty for diagnosis in group) / len(group)
    return math.sqrt(len(group)) * (1 + difficulty / 5)


def _labels(diagnoses: Sequence[Diagnosis], distance: float) -> list[str | int]:
    """A label for each diagnosis; equal labels are one misconception."""
    described = [_described(diagnosis) for diagnosis in diagnoses]
    different = sorted(set(described))
    if len(different) <= FEW:
        return [" ".join(diagnosis.error_kind.casefold().split()) for diagnosis in diagnoses]
    clustered = dict(zip(different, _clusters(different, distance), strict=True))
    return [clustered[one] for one in described]


def _described(diagnosis: Diagnosis) -> tuple[Words, Words]:
    """The name of the kind of error, and the longer description."""
    return _words(diagnosis.error_kind), _words(f"{diagnosis.misconception} {diagnosis.skill}")


def _words(text: str) -> Words:
    """The beginnings of the words: "multiplying" and "multiplication" are one."""
    return tuple(word[:_STEM] for word in _WORD.findall(text.replace("_", " ").casefold()))


def _clusters(described: Sequence[tuple[Words, Words]], distance: float) -> list[int]:
    """Average-linkage clusters of different descriptions; the name counts as much as all that is said beside it."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    names, texts = zip(*described, strict=True)
    apart = 1.0 - (_similarities(names) + _similarities(texts)) / 2
    # Rounded, so that the order of a sum's terms on another machine decides no tie.
    tree = linkage(squareform(apart.round(6), checks=False), method="average")
    return [int(label) for label in fcluster(tree, t=distance, criterion="distance")]


def _similarities(texts: Sequence[Words]) -> NDArray[np.float64]:
    """Cosines of the TF-IDF vectors; a text without words is like other such texts only."""
    import numpy as np

    texts = [text or ("",) for text in texts]
    frequency = Counter(word for text in texts for word in set(text))
    column = {word: place for place, word in enumerate(sorted(frequency))}
    vectors = np.zeros((len(texts), len(column)))
    for row, text in enumerate(texts):
        for word, count in Counter(text).items():
            rarity = math.log((1 + len(texts)) / (1 + frequency[word])) + 1
            vectors[row, column[word]] = (1 + math.log(count)) * rarity
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, 1.0)
    return similar.clip(0.0, 1.0)
