"""Step 3 in one call: an instructor analyses a mistake and writes against it in one reply (`calls = "one"`).

The ledger has a diagnosis and drafts as from two calls; both name the one that they came in. A mistake that was
analysed before, in an earlier round or cycle, is only written against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from errorbook.diagnose import find_invention, list_neighbours
from errorbook.errors import StageError
from errorbook.instruct import instruct
from errorbook.interfaces import Concise, Instructor
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger
from errorbook.records import Assignment, Call, Diagnosis, Draft, Failure, Mistake, Taught
from errorbook.strategies.questions import complete, find_parent

Written = Sequence[Draft] | Taught | Failure
Answered = tuple[Assignment, Written, Call]


def recall_diagnoses(ledger: Ledger, cycle: int, mistakes: Sequence[Mistake]) -> list[tuple[Mistake, Diagnosis | None]]:
    """The mistakes with what earlier cycles know of them.

    What this cycle has found already does not count: a resumed run would else make other assignments than before.
    """
    earlier = {key for past in range(1, cycle) for key in ledger.keys(Diagnosis, past)}
    keyed = [(mistake, keys.diagnosis(mistake.response.hash, mistake.strategy)) for mistake in mistakes]
    return [(mistake, ledger.find(Diagnosis, key) if key in earlier else None) for mistake, key in keyed]


def add_diagnosis(ledger: Ledger, assignment: Assignment) -> Assignment:
    """The assignment of a later round with the diagnosis that its mistake got in an earlier one, if it got any.

    What this round itself has found already does not count: a resumed run would else make another assignment of it.
    """
    mistake = assignment.mistake
    if mistake is None or assignment.diagnosis is not None or has_failed(ledger, assignment):
        return assignment
    return replace(
        assignment, diagnosis=ledger.find(Diagnosis, keys.diagnosis(mistake.response.hash, mistake.strategy))
    )


def has_failed(ledger: Ledger, assignment: Assignment) -> bool:
    """Whether the round before asked for just this and got nothing."""
    before = replace(assignment, round=assignment.round - 1)
    return ledger.find(Failure, keys.call("write", before.hash)) is not None


def ask(instructor: Instructor, assignments: Sequence[Assignment]) -> Iterator[Answered]:
    """Have analysed what is not analysed yet, and all of it written against.

    Raises:
        StageError: The instructor gave something else than what it was asked for.
    """
    whole = [item for item in assignments if item.mistake is not None and item.diagnosis is None]
    if whole:
        yield from _teach(instructor, whole)
    rest = [item for item in assignments if item.mistake is None or item.diagnosis is not None]
    if rest:
        yield from instruct(instructor, rest)


def list_entries(assignment: Assignment, result: Written, call: Call) -> list[Entry]:
    """The records of one answered assignment, appended together: the call comes with all its drafts or not at all."""
    key, mistake = keys.call("write", assignment.hash), assignment.mistake
    parent = assignment.diagnosis.hash if assignment.diagnosis else mistake.response.hash if mistake else ""
    if isinstance(result, Failure):
        return [Entry(call, key, parent), Entry(result, key, parent)]
    analysed: list[Entry] = []
    if isinstance(result, Taught) and mistake is not None:
        named, response, parent = keys.diagnosis(parent, mistake.strategy), parent, result.diagnosis.hash
        analysed.append(Entry(result.diagnosis, named, response))
        analysed += [Entry(list_neighbours(mistake), named, response)] if mistake.contrasts else []
    written = [complete(assignment, one) for one in (result.drafts if isinstance(result, Taught) else result)]
    source = parent or find_parent(assignment)
    drafts = [Entry(draft, keys.draft(assignment.hash, draft.index), source) for draft in written]
    return [Entry(call, key, parent), *analysed, *drafts]


def _teach(instructor: Instructor, assignments: Sequence[Assignment]) -> Iterator[Answered]:
    if not isinstance(instructor, Concise):
        raise StageError(f"The instructor '{instructor.name}' cannot analyse and write in one call.")
    for assignment, result, call in instructor.teach(assignments):
        if isinstance(result, Failure) or assignment.mistake is None:
            yield assignment, result, call
            continue
        fault = find_invention(instructor.name, assignment.mistake, result.diagnosis)
        if fault:
            yield assignment, Failure(subject=assignment.hash, stage="instruct", reason=fault, cause="unread"), call
        else:
            yield assignment, replace(result, drafts=result.drafts[: assignment.count]), call
