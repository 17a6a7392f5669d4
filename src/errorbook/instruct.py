"""Step 3, data supply: Diagnoses -> Drafts, or undirected Drafts for the control (paper section 2.3).

Decides how many samples each mistake deserves. What is asked in words is the instructor's own business.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from errorbook.errors import StageError
from errorbook.interfaces import Instructor
from errorbook.records import Assignment, Call, Diagnosis, Draft, Example, Failure, Mistake

T = TypeVar("T")
Diagnosed = Sequence[tuple[Mistake, Diagnosis | None]]
"""Mistakes with their diagnoses; one without is analysed by the call that writes against it."""

CLUSTER_BATCH = 5
"""Drafts against one misconception that are written in one go; each batch is shown other mistakes."""
UNDIRECTED_BATCH = 10
"""Drafts of one undirected assignment."""
_SHOWN = 3
"""Mistakes of a misconception that one assignment shows."""
_EXEMPLARS = 3
"""Train questions that show an undirected writer what the task looks like."""


def assign(diagnosed: Diagnosed, quota: int, cycle: int) -> list[Assignment]:
    """Share `quota` drafts out over the diagnoses: evenly, earlier ones first, or by misconception for `cluster`."""
    if any(mistake.strategy == "cluster" for mistake, _ in diagnosed):
        known = [(mistake, diagnosis) for mistake, diagnosis in diagnosed if diagnosis is not None]
        return assign_by_misconception(known, quota, cycle)
    parts = share_evenly(quota, len(diagnosed))
    return [
        Assignment(
            task=mistake.example.task,
            index=index,
            count=share,
            cycle=cycle,
            mistake=mistake,
            diagnosis=diagnosis,
        )
        for index, ((mistake, diagnosis), share) in enumerate(zip(diagnosed, parts, strict=True))
        if share
    ]


def assign_by_misconception(diagnosed: Sequence[tuple[Mistake, Diagnosis]], quota: int, cycle: int) -> list[Assignment]:
    """Beyond the paper: group the diagnoses first, then share `quota` out over the misconceptions.

    A misconception's drafts are written a few at a time, each time against others of its mistakes.
    """
    groups = group_by_misconception([diagnosis for _, diagnosis in diagnosed])
    parts = share_out([[diagnosed[place][1] for place in group] for group in groups], quota)
    assignments: list[Assignment] = []
    for group, share in zip(groups, parts, strict=True):
        for turn, start in enumerate(range(0, share, CLUSTER_BATCH)):
            first, *others = _take_in_turn(group, turn * _SHOWN, _SHOWN)
            mistake, diagnosis = diagnosed[first]
            assignment = Assignment(
                task=mistake.example.task,
                index=len(assignments),
                count=min(CLUSTER_BATCH, share - start),
                cycle=cycle,
                mistake=mistake,
                diagnosis=diagnosis,
                alike=tuple(diagnosed[place][0] for place in others),
            )
            assignments.append(assignment)
    return assignments


def assign_undirected(
    tasks: Sequence[str],
    quota: int,
    cycle: int,
    batch: int = UNDIRECTED_BATCH,
    exemplars: Mapping[str, Sequence[Example]] | None = None,
) -> list[Assignment]:
    """The control: the same number of drafts, written without seeing any error, shared evenly over the tasks.

    `exemplars` are train questions by task, right or wrong alike; each assignment shows some that others do not.
    """
    assignments: list[Assignment] = []
    for task, share in zip(tasks, share_evenly(quota, len(tasks)), strict=True):
        shown = (exemplars or {}).get(task, ())
        for turn, start in enumerate(range(0, share, batch)):
            assignment = Assignment(
                task=task,
                index=len(assignments),
                count=min(batch, share - start),
                cycle=cycle,
                exemplars=tuple(_take_in_turn(shown, turn * _EXEMPLARS, _EXEMPLARS)),
            )
            assignments.append(assignment)
    return assignments


def retry(assignments: Iterable[Assignment], missing: Counter[str]) -> list[Assignment]:
    """The next round: ask again for as many drafts as each assignment (by hash) still lacks."""
    return [
        replace(assignment, count=missing[assignment.hash], round=assignment.round + 1)
        for assignment in assignments
        if missing[assignment.hash] > 0
    ]


def instruct(
    instructor: Instructor, assignments: Iterable[Assignment]
) -> Iterator[tuple[Assignment, Sequence[Draft] | Failure, Call]]:
    """Have the instructor write; never more drafts than were asked for.

    Raises:
        StageError: The instructor gave something else than drafts or a failure.
    """
    for assignment, result, call in instructor.write(assignments):
        if isinstance(result, Failure):
            yield assignment, result, call
            continue
        stray = [item for item in result if not isinstance(item, Draft)] if isinstance(result, Sequence) else [result]
        if stray:
            kind = type(stray[0]).__name__
            raise StageError(f"The instructor '{instructor.name}' wrote a {kind}; it must give drafts or a failure.")
        yield assignment, result[: assignment.count], call


def share_evenly(quota: int, parts: int) -> list[int]:
    """`quota` in so many parts, of which the earlier ones get what is left over."""
    return [quota // parts + (index < quota % parts) for index in range(parts)] if parts else []


def _take_in_turn(items: Sequence[T], start: int, count: int) -> list[T]:
    """`count` items from `start` on, going round, none twice."""
    return [items[(start + step) % len(items)] for step in range(min(count, len(items)))]


FEW = 8
"""Up to so many different descriptions, weights of rarity mean nothing: only equal kinds of error are one group."""


Words = tuple[str, ...]


_STEM = 6


_WORD = re.compile(r"\w+")


def group_by_misconception(diagnoses: Sequence[Diagnosis], distance: float = 0.75) -> list[tuple[int, ...]]:
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


def share_out(groups: Sequence[Sequence[Diagnosis]], quota: int) -> list[int]:
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
    described = [_describe(diagnosis) for diagnosis in diagnoses]
    different = sorted(set(described))
    if len(different) <= FEW:
        return [" ".join(diagnosis.error_kind.casefold().split()) for diagnosis in diagnoses]
    clustered = dict(zip(different, _clusters(different, distance), strict=True))
    return [clustered[one] for one in described]


def _describe(diagnosis: Diagnosis) -> tuple[Words, Words]:
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
