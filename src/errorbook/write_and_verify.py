"""Step 3 from assignment to sample: drafts are written, voted on and verified, and asked for again where they fail.

The loop's longest step, kept apart from it. What the ledger already holds is not asked for again. It decides nothing:
what is written is the instructor's business, what may be trained on `verify`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from errorbook.errors import BudgetError
from errorbook.instruct import instruct, retry
from errorbook.interfaces import Checker, Solver
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger
from errorbook.records import Assignment, Call, Draft, Failure, Sample, Vote
from errorbook.setup.session import Run, timed
from errorbook.verify import Evidence, Protected, Taken, blind, verify


def supplied(this: Run, cycle: int, assignments: list[Assignment]) -> list[Sample]:
    """Have drafts written and verified; ask again, a bounded number of rounds, for those that were rejected."""
    desk = _verification_desk(this, cycle)
    samples: list[Sample] = []
    for _ in range(this.config.strategy.rounds):
        if not assignments:
            break
        drafts = _drafted(this, cycle, assignments)
        wrong = {item.hash: item.mistake.response.text for item in assignments if item.mistake}
        passed = desk(drafts, {draft.hash: wrong[draft.assignment] for draft in drafts if draft.assignment in wrong})
        samples += passed
        kept = {sample.draft for sample in passed}
        missing = Counter({assignment.hash: assignment.count for assignment in assignments})
        missing.subtract(draft.assignment for draft in drafts if draft.hash in kept)
        assignments = retry(assignments, missing)
    return samples


def _drafted(this: Run, cycle: int, assignments: list[Assignment]) -> list[Draft]:
    """Have the instructor write what is not written yet; the drafts are in the assignments' order."""
    ledger = this.ledger
    known = ledger.keys(Call, cycle)
    open_assignments = [item for item in assignments if keys.call("write", item.hash) not in known]
    if open_assignments:
        with timed(this, "write", cycle, len(assignments)) as tick:
            done = len(assignments) - len(open_assignments)
            for assignment, result, call in instruct(this.parts.instructor, open_assignments):
                ledger.extend(_written(assignment, result, call), cycle)
                done += 1
                tick(done)
                keep_budget(this)
    wanted = {assignment.hash: place for place, assignment in enumerate(assignments)}
    drafts = [draft for draft in ledger.all(Draft, cycle) if draft.assignment in wanted]
    return sorted(drafts, key=lambda draft: (wanted[draft.assignment], draft.index))


def _voted(this: Run, cycle: int, drafts: list[Draft]) -> dict[str, list[str]]:
    """Blind answers to the drafts whose answer nothing recomputes, where the instructor can give them."""
    instructor, ledger, k = this.parts.instructor, this.ledger, this.config.verify.votes
    solved = {course.name for course in this.parts.courses if isinstance(course.task, Solver)}
    asked = [draft for draft in drafts if draft.task not in solved and not draft.tests]
    if not isinstance(instructor, Checker) or this.config.verify.answers == "trust" or not (k and asked):
        return {}
    votes = _votes(ledger, cycle)
    missing = [draft for draft in asked if len(votes.get(draft.hash, ())) < k]
    if missing:
        with timed(this, "vote", cycle, k * len(missing)) as tick:
            for done, (question, answer, call) in enumerate(instructor.vote(map(blind, missing), k), 1):
                given = "" if isinstance(answer, Failure) else answer
                vote = Vote(draft=question.id, answer=given, call=call.hash)
                ledger.extend(
                    [
                        Entry(call, keys.call("vote", call.subject), vote.draft),
                        Entry(vote, call.subject, vote.draft),
                    ],
                    cycle,
                )
                tick(done)
                keep_budget(this)
    return _votes(ledger, cycle)


def _votes(ledger: Ledger, cycle: int) -> dict[str, list[str]]:
    """The recorded votes by draft, in an order that does not depend on when they came."""
    found: dict[str, list[str]] = {}
    for vote in ledger.all(Vote, cycle):
        found.setdefault(vote.draft, []).append(vote.answer)
    return {draft: sorted(answers) for draft, answers in found.items()}


def _verification_desk(this: Run, cycle: int) -> Callable[[list[Draft], dict[str, str]], list[Sample]]:
    """A function that verifies drafts against all that is taken or protected, in a fixed order, and records each."""
    ledger, config, courses = this.ledger, this.config, this.parts.courses
    train = [example for course in courses for example in course.examples["train"]]
    held = [
        example
        for course in courses
        for split, examples in course.examples.items()
        for example in examples
        if split != "train" or course.role == "guard"
    ]
    held += this.parts.protected
    learnt_train = [example for course in this.parts.learnt() for example in course.examples["train"]]
    earlier = [sample.question for past in range(1, cycle) for sample in ledger.all(Sample, past)]
    taken = Taken(config.verify.near_duplicate, [*(example.question for example in train), *earlier])
    # Only calculations are the same question where their numbers and answer are the same.
    sums = {course.name for course in courses if isinstance(course.task, Solver)}
    protected = Protected(held, learnt_train, config.verify.ngram, sums)
    tasks = {course.name: (course.task, course.scorer) for course in courses}

    def check(drafts: list[Draft], wrong: dict[str, str]) -> list[Sample]:
        trusted = config.verify.answers == "trust"
        known = Evidence(votes=_voted(this, cycle, drafts), wrong=wrong, trust_answers=trusted)
        outcomes = []
        with timed(this, "verify", cycle, len(drafts)) as tick:
            for outcome in verify(drafts, tasks, taken, protected, known):
                outcomes.append(outcome)
                tick(len(outcomes))
            ledger.extend((Entry(outcome, outcome.draft, outcome.draft) for outcome in outcomes), cycle)
        return [outcome for outcome in outcomes if isinstance(outcome, Sample)]

    return check


def keep_budget(this: Run) -> None:
    """Stop before another call where the dollar cap is reached; raising the cap and the same command go on."""
    cap = this.config.run.budget_usd
    if cap is not None and cap > 0 and this.ledger.total_cost() >= cap:
        raise BudgetError(
            f"The budget of ${cap:g} is used up; raise run.budget_usd and give the same command to go on."
        )


def _written(assignment: Assignment, result: object, call: Call) -> list[Entry]:
    """The records of one answered assignment, appended together: the call comes with all its drafts or not at all."""
    diagnosis = assignment.diagnosis.hash if assignment.diagnosis else ""
    entries = [Entry(call, keys.call("write", assignment.hash), diagnosis)]
    if isinstance(result, Failure):
        return [*entries, Entry(result, keys.call("write", assignment.hash), diagnosis)]
    drafts = [draft for draft in result if isinstance(draft, Draft)] if isinstance(result, tuple) else []
    return entries + [Entry(draft, keys.draft(assignment.hash, draft.index), diagnosis) for draft in drafts]
