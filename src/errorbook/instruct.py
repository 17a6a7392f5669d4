"""Step 3, data supply: Diagnoses -> Drafts, or undirected Drafts for the control (paper section 2.3).

Decides how many samples each mistake deserves. What is asked in words is the instructor's own business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from errorbook.cluster import misconceptions, shares
from errorbook.interfaces import Instructor
from errorbook.records import Assignment, Call, Diagnosis, Draft, Example, Failure, Mistake

T = TypeVar("T")
Diagnosed = Sequence[tuple[Mistake, Diagnosis]]

_BATCH = 5
"""Drafts against one misconception that are written in one go; each batch is shown other mistakes."""
_SHOWN = 3
"""Mistakes of a misconception that one assignment shows."""
_EXEMPLARS = 3
"""Train questions that show an undirected writer what the task looks like."""


def assign(diagnosed: Diagnosed, quota: int, cycle: int) -> list[Assignment]:
    """Share `quota` drafts out over the diagnoses: evenly, earlier ones first, or by misconception for `cluster`."""
    if any(diagnosis.strategy == "cluster" for _, diagnosis in diagnosed):
        return assign_by_misconception(diagnosed, quota, cycle)
    parts = _shares(quota, len(diagnosed))
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


def assign_by_misconception(diagnosed: Diagnosed, quota: int, cycle: int) -> list[Assignment]:
    """Beyond the paper: group the diagnoses first, then share `quota` out over the misconceptions.

    A misconception's drafts are written a few at a time, each time against others of its mistakes.
    """
    groups = misconceptions([diagnosis for _, diagnosis in diagnosed])
    parts = shares([[diagnosed[place][1] for place in group] for group in groups], quota)
    assignments: list[Assignment] = []
    for group, share in zip(groups, parts, strict=True):
        for turn, start in enumerate(range(0, share, _BATCH)):
            first, *others = _in_turn(group, turn * _SHOWN, _SHOWN)
            mistake, diagnosis = diagnosed[first]
            assignment = Assignment(
                task=mistake.example.task,
                index=len(assignments),
                count=min(_BATCH, share - start),
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
    batch: int = 10,
    exemplars: Mapping[str, Sequence[Example]] | None = None,
) -> list[Assignment]:
    """The control: the same number of drafts, written without seeing any error, shared evenly over the tasks.

    `exemplars` are train questions by task, right or wrong alike; each assignment shows some that others do not.
    """
    assignments: list[Assignment] = []
    for task, share in zip(tasks, _shares(quota, len(tasks)), strict=True):
        shown = (exemplars or {}).get(task, ())
        for turn, start in enumerate(range(0, share, batch)):
            assignment = Assignment(
                task=task,
                index=len(assignments),
                count=min(batch, share - start),
                cycle=cycle,
                exemplars=tuple(_in_turn(shown, turn * _EXEMPLARS, _EXEMPLARS)),
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
    """Have the instructor write; never more drafts than were asked for."""
    for assignment, result, call in instructor.write(assignments):
        if isinstance(result, Failure):
            yield assignment, result, call
        else:
            yield assignment, tuple(result)[: assignment.count], call


def _shares(quota: int, parts: int) -> list[int]:
    return [quota // parts + (index < quota % parts) for index in range(parts)] if parts else []


def _in_turn(items: Sequence[T], start: int, count: int) -> list[T]:
    """`count` items from `start` on, going round, none twice."""
    return [items[(start + step) % len(items)] for step in range(min(count, len(items)))]
