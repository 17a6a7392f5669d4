"""Step 3 from assignment to sample: drafts are written, voted on and verified, and asked for again if they fail.

What the ledger already holds is not asked for again. It decides nothing:
what is written is the instructor's business, what may be trained on `verify`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.checks.taken import Protected, Taken
from errorbook.errors import BudgetError
from errorbook.instruct import retry
from errorbook.interfaces import Checker, Scorer, Solver, Task
from errorbook.ledger import keys
from errorbook.ledger.file import Entry, Ledger
from errorbook.records import Assignment, Call, Draft, Example, Failure, Response, Sample, Verdict, Vote
from errorbook.setup.assemble import Course
from errorbook.setup.outages import Stage, sift
from errorbook.setup.session import Run, record_stage
from errorbook.strategies.questions import Stock, find_parent, replace_failed, restate
from errorbook.supply.one_call import Answered, add_diagnosis, ask, has_failed, list_entries
from errorbook.verify import Evidence, as_example, hide_answer, verify

Ask = Callable[[Course], Mapping[str, Response]]
"""Gives the current checkpoint's responses to the train questions of a course, by example."""


class Desk(NamedTuple):
    """What a cycle's drafts are held against. Every sample is added to `taken`, so a cycle has one desk only."""

    tasks: dict[str, tuple[Task, Scorer]]
    taken: Taken
    protected: Protected
    ask: Ask


class Order(NamedTuple):
    """What one strategy has written: by the instructor or, if there is a stock, out of that, which asks nobody."""

    assignments: list[Assignment]
    stock: Stock | None = None

    def again(self, missing: Counter[str], cycle: int, round: int) -> Order:
        """The next round: for what each assignment (by hash) lacks, the instructor once more, or other questions."""
        if self.stock is None:
            return Order(retry(self.assignments, missing))
        failed = [item for item in self.assignments if missing[item.hash] > 0]
        return Order(*replace_failed(self.stock, failed, cycle, round))

    def analysed(self, ledger: Ledger) -> Order:
        """The same with the diagnoses that came with the drafts of an earlier round."""
        return Order([add_diagnosis(ledger, item) for item in self.assignments], self.stock)


def generate_samples(this: Run, cycle: int, orders: Sequence[Order], ask: Ask) -> list[Sample]:
    """Have drafts written and verified; ask again, a bounded number of rounds, for those that were rejected."""
    desk = _set_up_desk(this, cycle, ask)
    samples: list[Sample] = []
    for turn in range(1, this.config.strategy.rounds + 1):
        assignments = [item for order in orders for item in order.assignments]
        if not assignments:
            break
        drafts = _write_drafts(this, cycle, orders)
        passed = _verify_drafts(this, cycle, desk, drafts, _gather_evidence(assignments, drafts))
        samples += passed
        kept = {sample.draft for sample in passed}
        missing = Counter({assignment.hash: assignment.count for assignment in assignments})
        missing.subtract(draft.assignment for draft in drafts if draft.hash in kept)
        orders = [order.again(missing, cycle, turn).analysed(this.ledger) for order in orders]
    return samples


def _gather_evidence(assignments: Sequence[Assignment], drafts: Sequence[Draft]) -> Evidence:
    """What is known of the drafts: the wrong response that each is against, and the question whose wording it keeps."""
    by_hash = {item.hash: item for item in assignments}
    pairs = [(draft, by_hash[draft.assignment]) for draft in drafts]
    return Evidence(
        wrong={draft.hash: item.mistake.response.text for draft, item in pairs if item.mistake},
        own={draft.hash: item.exemplars[0] for draft, item in pairs if item.writes == "solution"},
    )


def _write_drafts(this: Run, cycle: int, orders: Sequence[Order]) -> list[Draft]:
    """Have written what is not written yet; the drafts are in the assignments' order."""
    ledger = this.ledger
    _restate(ledger, cycle, [item for order in orders if order.stock is not None for item in order.assignments])
    _ask_instructor(this, cycle, [item for order in orders if order.stock is None for item in order.assignments])
    wanted = {item.hash: place for place, item in enumerate(item for order in orders for item in order.assignments)}
    drafts = [draft for draft in ledger.all(Draft, cycle) if draft.assignment in wanted]
    return sorted(drafts, key=lambda draft: (wanted[draft.assignment], draft.index))


def _restate(ledger: Ledger, cycle: int, assignments: Sequence[Assignment]) -> None:
    """Record the drafts that keep a question with an answer that is on hand."""
    known = ledger.keys(Draft, cycle) if assignments else set()
    keyed = [(keys.draft(item.hash, 0), item) for item in assignments]
    ledger.extend((Entry(restate(item), key, find_parent(item)) for key, item in keyed if key not in known), cycle)


def _ask_instructor(this: Run, cycle: int, assignments: Sequence[Assignment]) -> None:
    """Have the instructor write what it has not written yet."""
    ledger = this.ledger
    known = ledger.keys(Call, cycle)
    missing = [item for item in assignments if keys.call("write", item.hash) not in known]
    if missing:
        with record_stage(this, "write", cycle, len(assignments)) as tick:
            instructor, failed = this.parts.instructor, sum(has_failed(ledger, item) for item in assignments)
            stage = Stage("write", len(assignments), _has_written(ledger), failed=failed)
            answers: Iterator[Answered] = sift(instructor, stage, partial(ask, instructor), missing)
            for done, (assignment, result, call) in enumerate(answers, len(assignments) - len(missing) + 1):
                ledger.extend(list_entries(assignment, result, call), cycle)
                tick(done)
                keep_budget(this)


def _has_written(ledger: Ledger) -> bool:
    """Whether the instructor answered any assignment; drafts alone do not say so, some are restated."""
    return any(key.startswith(keys.call("write", "")) for key in ledger.keys(Call) - ledger.keys(Failure))


def _collect_votes(this: Run, cycle: int, drafts: list[Draft]) -> dict[str, list[str]]:
    """Blind answers to the drafts whose answer nothing recomputes, if the instructor can give them."""
    instructor, ledger, k = this.parts.instructor, this.ledger, this.config.verify.votes
    solved = {course.name for course in this.parts.courses if isinstance(course.task, Solver)}
    asked = [draft for draft in drafts if draft.task not in solved and not draft.tests and draft.writes != "solution"]
    if not isinstance(instructor, Checker) or this.config.verify.answers == "trust" or not (k and asked):
        return {}
    # A call that gave no vote counts as well: it failed for good, and is not bought again after a kill.
    missing = [draft for draft in asked if sum(1 for _ in ledger.all(Call, cycle, draft.hash)) < k]
    if missing:
        total, known = k * len(asked), ledger.keys(Vote, cycle)
        with record_stage(this, "vote", cycle, total) as tick:
            stage = Stage("vote", total, ledger.count(Vote) > 0, known)
            found = sift(instructor, stage, partial(instructor.vote, votes=k), [hide_answer(one) for one in missing])
            for done, (question, answer, call) in enumerate(found, total - k * len(missing) + 1):
                entries = [Entry(call, keys.call("vote", call.subject), question.id)]
                if not isinstance(answer, Failure) or answer.cause == "item":  # else nobody has voted
                    given = "" if isinstance(answer, Failure) else answer
                    vote = Vote(draft=question.id, answer=given, call=call.hash)
                    entries.append(Entry(vote, call.subject, question.id))
                ledger.extend(entries, cycle)
                tick(min(done, total))
                keep_budget(this)  # after the record: what was paid for is kept, whatever comes next
    return _read_votes(ledger, cycle)


def _read_votes(ledger: Ledger, cycle: int) -> dict[str, list[str]]:
    """The recorded votes by draft, in an order that does not depend on when they came."""
    found: dict[str, list[str]] = {}
    for vote in ledger.all(Vote, cycle):
        found.setdefault(vote.draft, []).append(vote.answer)
    return {draft: sorted(answers) for draft, answers in found.items()}


def _set_up_desk(this: Run, cycle: int, ask: Ask) -> Desk:
    """The desk of one cycle: all train questions and earlier samples are taken, all else is protected."""
    ledger, config, courses = this.ledger, this.config, this.parts.courses
    asked = [(course, split, item) for course in courses for split, part in course.examples.items() for item in part]
    train: list[Example | Sample] = [item for _, split, item in asked if split == "train"]
    train += [shot for course in courses for shot in course.shots]
    held_out = [item for course, split, item in asked if split != "train" or course.role == "guard"]
    learnt = [item for course, split, item in asked if split == "train" and course.role == "learn"]
    earlier = [sample for past in range(1, cycle) for sample in ledger.all(Sample, past)]
    taken = Taken(config.verify.near_duplicate)
    for known in (*train, *earlier):
        taken.add(known.question, known.before)
    # Only calculations are the same question if their numbers and their answer are the same.
    sums = {course.name for course in courses if isinstance(course.task, Solver)}
    return Desk(
        tasks={course.name: (course.task, course.scorer) for course in courses},
        taken=taken,
        protected=Protected([*held_out, *this.parts.protected], learnt, config.verify.ngram, sums),
        ask=ask,
    )


def _verify_drafts(this: Run, cycle: int, desk: Desk, drafts: list[Draft], known: Evidence) -> list[Sample]:
    """Verify the drafts in their order and record what becomes of each; `known` is what is known of them so far."""
    trusted = this.config.verify.answers == "trust"
    known = replace(known, votes=_collect_votes(this, cycle, drafts), trust_answers=trusted)
    if this.config.verify.only_missed:
        known = replace(known, answered=_ask_target(this, desk.ask, drafts))
    outcomes = []
    # A killed verification leaves no outcome behind. It starts anew, and the same order gives the same outcomes.
    with record_stage(this, "verify", cycle, len(drafts)) as tick:
        for outcome in verify(drafts, desk.tasks, desk.taken, desk.protected, known):
            outcomes.append(outcome)
            tick(len(outcomes))
        this.ledger.extend((Entry(outcome, outcome.draft, outcome.draft) for outcome in outcomes), cycle)
    return [outcome for outcome in outcomes if isinstance(outcome, Sample)]


def _ask_target(this: Run, ask: Ask, drafts: Sequence[Draft]) -> dict[str, Verdict]:
    """What the target's own answers to the new questions are worth, by draft, as if the drafts' answers were right."""
    verdicts: dict[str, Verdict] = {}
    for course in this.parts.learnt():
        own = [draft for draft in drafts if draft.task == course.name and draft.writes != "solution"]
        # Without an answer there is nothing to score by, and verification rejects the draft anyway.
        posed = tuple(
            as_example(draft, draft.answer) for draft in own if draft.answer.strip() and draft.question.strip()
        )
        answers = ask(course.practising(posed)) if posed else {}
        verdicts |= {draft: response.score.verdict for draft, response in answers.items()}
    return verdicts


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
