"""Step 3, data supply: Diagnoses -> Drafts, or undirected Drafts for the control (paper section 2.3).

Decides how many samples each mistake deserves. What is asked in words is the instructor's own business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from errorbook.interfaces import Instructor
from errorbook.records import Assignment, Call, Diagnosis, Draft, Failure, Mistake


def assign(diagnosed: Sequence[tuple[Mistake, Diagnosis]], quota: int, cycle: int) -> list[Assignment]:
    """Share `quota` drafts out over the diagnoses as evenly as possible, earlier ones first."""
    shares = _shares(quota, len(diagnosed))
    return [
        Assignment(
            task=mistake.example.task,
            index=index,
            count=share,
            cycle=cycle,
            mistake=mistake,
            diagnosis=diagnosis,
        )
        for index, ((mistake, diagnosis), share) in enumerate(zip(diagnosed, shares, strict=True))
        if share
    ]


def assign_undirected(tasks: Sequence[str], quota: int, cycle: int, batch: int = 10) -> list[Assignment]:
    """The control: the same number of drafts, written without seeing any error, shared evenly over the tasks."""
    assignments: list[Assignment] = []
    for task, share in zip(tasks, _shares(quota, len(tasks)), strict=True):
        for start in range(0, share, batch):
            count = min(batch, share - start)
            assignments.append(Assignment(task=task, index=len(assignments), count=count, cycle=cycle))
    return assignments


def retry(assignments: Iterable[Assignment], missing: Counter[str]) -> list[Assignment]:
    """The next round: ask again for as many drafts as each assignment (by hash) still lacks."""
    return [
        Assignment(
            task=assignment.task,
            index=assignment.index,
            count=missing[assignment.hash],
            cycle=assignment.cycle,
            round=assignment.round + 1,
            mistake=assignment.mistake,
            diagnosis=assignment.diagnosis,
        )
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
