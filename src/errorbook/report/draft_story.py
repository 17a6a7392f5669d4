"""One draft with all that became of it: its checks, blind votes, a person's corrections, and what was trained on it.

Read from the ledger by hash, key and parent only. It says what happened, not whether that was good.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Literal

import msgspec

from errorbook.corrections.inbox import correct_sample
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.ledger.lookups import find_by_prefix, find_children, find_origin
from errorbook.records import (
    Call,
    Correction,
    Decision,
    Draft,
    Failure,
    Lesson,
    Outcome,
    Rejection,
    Sample,
    Vote,
)
from errorbook.report.records import DraftOutcome

Use = Literal["sample", "rehearsed", "dispreferred"]
"""How a training used a text: as a new sample, as a right response to rehearse, or as one to avoid for another."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A training that a text was part of, and what was decided of the candidate; `outcome` is empty until then."""

    cycle: int
    use: Use
    outcome: Outcome | Literal[""]


class Blind(msgspec.Struct, frozen=True, kw_only=True):
    """One blind answer to the draft's question; `agrees` by its letters alone, the scorer's view is in the outcome."""

    answer: str
    call: str
    agrees: bool


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One draft. `sample` or `rejection` is what verification made of it; `edit` a person's texts in their place."""

    draft: Draft
    hash: str
    cycle: int
    outcome: DraftOutcome
    sample: Sample | None = None
    rejection: Rejection | None = None
    votes: tuple[Blind, ...] = ()
    corrections: tuple[Correction, ...] = ()
    edit: Correction | None = None
    trained: tuple[Trained, ...] = ()


class NamedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call with its content hash, its name in addresses."""

    call: Call
    hash: str
    cycle: int


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """What one request for drafts came to; `call` is None if the ledger has drafts without one."""

    assignment: str
    call: NamedCall | None
    failure: Failure | None
    drafts: tuple[DraftLine, ...]


def read_draft_line(ledger: Ledger, draft: Draft, cycle: int) -> DraftLine:
    """Everything that became of one draft."""
    hash = draft.hash
    sample, rejection = ledger.find(Sample, hash), ledger.find(Rejection, hash)
    corrections = corrections_of(ledger, hash)
    newest = corrections[-1] if corrections else None
    outcome: DraftOutcome = "sample" if sample else "rejected" if rejection else "waiting"
    if newest is not None and newest.kind == "strike":
        outcome = "struck"
    elif newest is not None and newest.kind == "edit":
        outcome = "edited"
    return DraftLine(
        draft=draft,
        hash=hash,
        cycle=cycle,
        outcome=outcome,
        sample=sample,
        rejection=rejection,
        votes=tuple(_blind(draft, vote) for _, vote in find_children(ledger, Vote, hash)),
        corrections=corrections,
        edit=newest if outcome == "edited" else None,
        trained=trained_on(ledger, _names(sample, corrections), "sample"),
    )


def corrections_of(ledger: Ledger, subject: str) -> tuple[Correction, ...]:
    """A draft's or response's corrections, the newest last."""
    return tuple(correction for _, correction in find_children(ledger, Correction, subject))


def trained_on(ledger: Ledger, sources: Iterable[str], use: Use) -> tuple[Trained, ...]:
    """The trainings that had a lesson from one of these samples or responses, in order: as `use`, or rehearsed."""
    lessons = chain.from_iterable(find_children(ledger, Lesson, source) for source in dict.fromkeys(sources))
    uses: set[tuple[int, Use]] = {(cycle, "rehearsed" if lesson.replay else use) for cycle, lesson in lessons}
    return tuple(Trained(cycle=cycle, use=how, outcome=_outcome(ledger, cycle)) for cycle, how in sorted(uses))


def list_writings(ledger: Ledger, diagnosis: str) -> tuple[Writing, ...]:
    """Every request for drafts against one diagnosis, the rounds that filled gaps included, in order."""
    calls = {
        call.subject: NamedCall(call=call, hash=call.hash, cycle=cycle)
        for cycle, call in find_children(ledger, Call, diagnosis)
    }
    failures = {failure.subject: failure for _, failure in find_children(ledger, Failure, diagnosis)}
    drafts: dict[str, list[DraftLine]] = {}
    for cycle, draft in find_children(ledger, Draft, diagnosis):
        drafts.setdefault(draft.assignment, []).append(read_draft_line(ledger, draft, cycle))
    return tuple(
        Writing(
            assignment=assignment,
            call=calls.get(assignment),
            failure=failures.get(assignment),
            drafts=tuple(sorted(drafts.get(assignment, ()), key=lambda line: line.draft.index)),
        )
        for assignment in dict.fromkeys([*calls, *failures, *drafts])
    )


def writing_of(ledger: Ledger, draft: Draft) -> Writing:
    """The request that one draft came from, with what else it gave: found by key, so undirected ones are too."""
    key = keys.call("write", draft.assignment)
    call, drafts = ledger.find(Call, key), find_by_prefix(ledger, Draft, draft.assignment)
    return Writing(
        assignment=draft.assignment,
        call=asked(ledger, call) if call else None,
        failure=ledger.find(Failure, key),
        drafts=tuple(read_draft_line(ledger, item, cycle) for cycle, item in drafts),
    )


def asked(ledger: Ledger, call: Call) -> NamedCall:
    """A call with its hash and cycle."""
    place = find_origin(ledger, Call, call.hash)
    return NamedCall(call=call, hash=call.hash, cycle=place.cycle if place else 0)


def _names(sample: Sample | None, corrections: tuple[Correction, ...]) -> list[str]:
    """What lessons call the sample: its hash, and those of what people made of it."""
    if sample is None:
        return []
    made = (correct_sample(sample, correction) for correction in corrections)
    return [sample.hash, *(item.hash for item in made if item is not None)]


def _outcome(ledger: Ledger, cycle: int) -> Outcome | Literal[""]:
    decision = ledger.find(Decision, keys.decision(cycle))
    return decision.outcome if decision else ""


def _blind(draft: Draft, vote: Vote) -> Blind:
    same = vote.answer.strip().casefold() == draft.answer.strip().casefold()
    return Blind(answer=vote.answer, call=vote.call, agrees=bool(vote.answer.strip()) and same)
