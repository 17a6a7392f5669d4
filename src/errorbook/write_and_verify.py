"""Step 3 from assignment to sample: drafts are written, voted on and verified, and asked for again if they fail.

The loop's longest step, kept apart from it. What the ledger already holds is not asked for again. It decides nothing:
what is written is the instructor's business, what may be trained on `verify`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from errorbook.errors import BudgetError
from errorbook.instruct import instruct, retry
from errorbook.interfaces import Checker, Scorer, Solver, Task
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger
from errorbook.records import Assignment, Call, Draft, Failure, Sample, Vote
from errorbook.setup.outages import Stage, sift
from errorbook.setup.session import Run, record_stage
from errorbook.verify import Evidence, Protected, Taken, hide_answer, verify


class Desk(NamedTuple):
    """What a cycle's drafts are held against. Every sample is added to `taken`, so a cycle has one desk only."""

    tasks: dict[str, tuple[Task, Scorer]]
    taken: Taken
    protected: Protected


def generate_samples(this: Run, cycle: int, assignments: list[Assignment]) -> list[Sample]:
    """Have drafts written and verified; ask again, a bounded number of rounds, for those that were rejected."""
    desk = _set_up_desk(this, cycle)
    samples: list[Sample] = []
    for _ in range(this.config.strategy.rounds):
        if not assignments:
            break
        drafts = _write_drafts(this, cycle, assignments)
        wrong = {item.hash: item.mistake.response.text for item in assignments if item.mistake}
        against = {draft.hash: wrong[draft.assignment] for draft in drafts if draft.assignment in wrong}
        passed = _verify_drafts(this, cycle, desk, drafts, against)
        samples += passed
        kept = {sample.draft for sample in passed}
        missing = Counter({assignment.hash: assignment.count for assignment in assignments})
        missing.subtract(draft.assignment for draft in drafts if draft.hash in kept)
        assignments = retry(assignments, missing)
    return samples


def _write_drafts(this: Run, cycle: int, assignments: list[Assignment]) -> list[Draft]:
    """Have the instructor write what is not written yet; the drafts are in the assignments' order."""
    ledger = this.ledger
    known = ledger.keys(Call, cycle)
    missing = [item for item in assignments if keys.call("write", item.hash) not in known]
    if missing:
        with record_stage(this, "write", cycle, len(assignments)) as tick:
            instructor, proven = this.parts.instructor, ledger.count(Draft) > 0
            stage = Stage("write", len(assignments), proven)
            found = sift(instructor, stage, partial(instruct, instructor), missing)
            for done, (assignment, result, call) in enumerate(found, len(assignments) - len(missing) + 1):
                ledger.extend(_list_entries(assignment, result, call), cycle)
                tick(done)
                keep_budget(this)
    wanted = {assignment.hash: place for place, assignment in enumerate(assignments)}
    drafts = [draft for draft in ledger.all(Draft, cycle) if draft.assignment in wanted]
    return sorted(drafts, key=lambda draft: (wanted[draft.assignment], draft.index))


def _list_entries(assignment: Assignment, result: Sequence[Draft] | Failure, call: Call) -> list[Entry]:
    """The records of one answered assignment, appended together: the call comes with all its drafts or not at all."""
    key, diagnosis = keys.call("write", assignment.hash), assignment.diagnosis.hash if assignment.diagnosis else ""
    if isinstance(result, Failure):
        return [Entry(call, key, diagnosis), Entry(result, key, diagnosis)]
    drafts = [Entry(draft, keys.draft(assignment.hash, draft.index), diagnosis) for draft in result]
    return [Entry(call, key, diagnosis), *drafts]


def _collect_votes(this: Run, cycle: int, drafts: list[Draft]) -> dict[str, list[str]]:
    """Blind answers to the drafts whose answer nothing recomputes, if the instructor can give them."""
    instructor, ledger, k = this.parts.instructor, this.ledger, this.config.verify.votes
    solved = {course.name for course in this.parts.courses if isinstance(course.task, Solver)}
    asked = [draft for draft in drafts if draft.task not in solved and not draft.tests]
    if not isinstance(instructor, Checker) or this.config.verify.answers == "trust" or not (k and asked):
        return {}
    votes = _read_votes(ledger, cycle)
    missing = [draft for draft in asked if len(votes.get(draft.hash, ())) < k]
    if missing:
        with record_stage(this, "vote", cycle, k * len(missing)) as tick:
            stage = Stage("vote", k * len(missing), ledger.count(Vote) > 0)
            found = sift(instructor, stage, partial(instructor.vote, votes=k), [hide_answer(one) for one in missing])
            for done, (question, answer, call) in enumerate(found, 1):
                entries = [Entry(call, keys.call("vote", call.subject), question.id)]
                if not isinstance(answer, Failure) or answer.cause == "item":  # else nobody has voted
                    given = "" if isinstance(answer, Failure) else answer
                    vote = Vote(draft=question.id, answer=given, call=call.hash)
                    entries.append(Entry(vote, call.subject, question.id))
                ledger.extend(entries, cycle)
                tick(min(done, k * len(missing)))
                keep_budget(this)  # after the record: what was paid for is kept, whatever comes next
    return _read_votes(ledger, cycle)


def _read_votes(ledger: Ledger, cycle: int) -> dict[str, list[str]]:
    """The recorded votes by draft, in an order that does not depend on when they came."""
    found: dict[str, list[str]] = {}
    for vote in ledger.all(Vote, cycle):
        found.setdefault(vote.draft, []).append(vote.answer)
    return {draft: sorted(answers) for draft, answers in found.items()}


def _set_up_desk(this: Run, cycle: int) -> Desk:
    """The desk of one cycle: all train questions and earlier samples are taken, all else is protected."""
    ledger, config, courses = this.ledger, this.config, this.parts.courses
    asked = [(course, split, item) for course in courses for split, part in course.examples.items() for item in part]
    train = [item.question for _, split, item in asked if split == "train"]
    held_out = [item for course, split, item in asked if split != "train" or course.role == "guard"]
    learnt = [item for course, split, item in asked if split == "train" and course.role == "learn"]
    earlier = [sample.question for past in range(1, cycle) for sample in ledger.all(Sample, past)]
    # Only calculations are the same question if their numbers and their answer are the same.
    sums = {course.name for course in courses if isinstance(course.task, Solver)}
    return Desk(
        tasks={course.name: (course.task, course.scorer) for course in courses},
        taken=Taken(config.verify.near_duplicate, [*train, *earlier]),
        protected=Protected([*held_out, *this.parts.protected], learnt, config.verify.ngram, sums),
    )


def _verify_drafts(this: Run, cycle: int, desk: Desk, drafts: list[Draft], wrong: dict[str, str]) -> list[Sample]:
    """Verify the drafts in their order and record what becomes of each; `wrong` has the mistake's text by draft."""
    trusted = this.config.verify.answers == "trust"
    known = Evidence(votes=_collect_votes(this, cycle, drafts), wrong=wrong, trust_answers=trusted)
    outcomes = []
    # A killed verification leaves no outcome behind. It starts anew, and the same order gives the same outcomes.
    with record_stage(this, "verify", cycle, len(drafts)) as tick:
        for outcome in verify(drafts, desk.tasks, desk.taken, desk.protected, known):
            outcomes.append(outcome)
            tick(len(outcomes))
        this.ledger.extend((Entry(outcome, outcome.draft, outcome.draft) for outcome in outcomes), cycle)
    return [outcome for outcome in outcomes if isinstance(outcome, Sample)]


def keep_budget(this: Run) -> None:
    """Stop before another call if the dollar cap is reached.

    Raises:
        BudgetError: Raise the cap, and the same command goes on.
    """
    cap = this.config.run.budget_usd
    if cap is not None and cap > 0 and this.ledger.total_cost() >= cap:
        raise BudgetError(
            f"The budget of ${cap:g} is used up; raise run.budget_usd and give the same command to go on."
        )
