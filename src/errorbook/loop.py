"""The whole method, top to bottom: read this file first.

    select -> evaluate on train -> diagnose -> instruct -> verify -> train -> evaluate on dev -> judge -> next cycle

Only this module knows the order. Every stage is a plain function over records; the loop appends each record to the
ledger as it is yielded, and skips the work whose key the ledger already holds. That is all there is to resuming: the
same command after `kill -9` goes on where it stopped, and ends as the undisturbed run would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from errorbook.assemble import Course, rule_of
from errorbook.config import Config
from errorbook.diagnose import add_contrasts, diagnose, find_mistakes
from errorbook.errors import BudgetError
from errorbook.evaluate import evaluate, identify
from errorbook.instruct import assign, assign_undirected, instruct, retry
from errorbook.interfaces import Checker, Solver
from errorbook.judge import best, compare, judge
from errorbook.ledger import Entry, Ledger
from errorbook.opening import Run, Watch, opened, quiet, timed
from errorbook.records import (
    Assignment,
    Call,
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Example,
    Failure,
    Mistake,
    Outcome,
    Rejection,
    Response,
    Rule,
    Sample,
    Split,
    Training,
    Vote,
)
from errorbook.train import lessons_from, training_set_hash
from errorbook.verify import Evidence, Protected, Taken, blind, verify


def run(config: Config, folder: Path | None = None, watch: Watch = quiet, run_file: str = "") -> Checkpoint:
    """Run or resume all cycles and the final exam; everything is in `folder`/ledger.sqlite afterwards.

    Args:
        config: The checked run file.
        folder: The run's own folder, created where missing; runs/NAME below the current one if not given.
        watch: Told of progress.
        run_file: The run file's text, kept for the record.

    Returns:
        The final checkpoint: the last accepted one, or the base.

    Raises:
        UserError: Something that the user must fix; what was recorded stays, and the same call goes on.
        StageError: A stage broke its contract.
    """
    with opened(config, folder or Path("runs") / config.run.name, watch, run_file) as this:
        current = this.base
        for cycle in range(1, config.run.cycles + 1):
            decision = this.ledger.find(Decision, f"cycle:{cycle}")
            if decision is None:
                decision = run_cycle(this, cycle, current)
                this.ledger.append(decision, key=f"cycle:{cycle}", cycle=cycle, parent=current.hash)
            current = this.ledger.get(Checkpoint, decision.checkpoint) or this.base
            if decision.outcome == "stop":
                break
        final_exam(this, current)
        return current


def exam(config: Config, folder: Path, watch: Watch = quiet, run_file: str = "") -> None:
    """Evaluate the base model on train and dev of every task: the error book without training."""
    with opened(config, folder, watch, run_file) as this:
        for course in this.parts.courses:
            for split in ("train", "dev"):
                _examine(this, course, split, this.base, cycle=0)


def run_cycle(this: Run, cycle: int, current: Checkpoint) -> Decision:
    """One pass of the four steps (paper section 2, figure 2), from the current checkpoint to a decision."""
    config, parts = this.config, this.parts

    # Steps 1 and 2: the target answers the train questions that were selected.
    books = {course.name: _examine(this, course, "train", current, cycle) for course in parts.learnt()}
    mistakes = [
        mistake
        for course in parts.learnt()
        for mistake in find_mistakes(course.examples["train"], books[course.name], config.strategy.name)
    ]
    if not mistakes:
        return Decision(cycle=cycle, outcome="stop", reason="no mistakes left on train", checkpoint=current.hash)

    # Step 3: the instructor analyses each mistake and writes drafts; what passes verification are the samples.
    quota = min(len(mistakes) * config.strategy.samples_per_error, config.strategy.max_samples)
    if config.strategy.name == "undirected":
        exemplars = {course.name: course.examples["train"] for course in parts.learnt()}
        assignments = assign_undirected(list(exemplars), quota, cycle, exemplars=exemplars)
    else:
        if config.strategy.name == "contrast":
            mistakes = _with_contrasts(this, cycle, current, mistakes, books)
        assignments = assign(_diagnosed(this, cycle, mistakes), quota, cycle)
    samples = _supplied(this, cycle, assignments)
    if not samples:
        reason = f"no draft passed verification ({_why_rejected(this.ledger, cycle)}), so there was nothing to train on"
        return Decision(cycle=cycle, outcome="reject", reason=reason, checkpoint=current.hash)

    # Step 4: train on the samples, examine the candidates on dev, and let the gate decide.
    candidates = _trained(this, cycle, current, samples, books)
    return _decided(this, cycle, current, candidates)


def final_exam(this: Run, final: Checkpoint) -> None:
    """Read the test splits, once, for the base and the final checkpoint; ask the train questions again."""
    for course in this.parts.learnt():
        _examine(this, course, "train", final, this.config.run.cycles + 1)
    for course in this.parts.courses:
        if course.examples["test"]:
            comparison = _compared(this, course, "test", this.base, final, this.config.run.cycles + 1)
            this.ledger.append(comparison, key=f"final:{course.name}:test", parent=final.hash)


# The steps, each one stage with its records -----------------------------------------------------------------------


def _examine(this: Run, course: Course, split: Split, checkpoint: Checkpoint, cycle: int) -> dict[str, Response]:
    """Evaluate one checkpoint on one split, or go on with it, and return the responses by example id."""
    examples, ledger = course.examples[split], this.ledger
    evaluation = identify(this.parts.target, checkpoint.hash, course.task, split, examples, course.marked_by)
    ledger.open_evaluation(evaluation, cycle)
    answered = ledger.answered(evaluation)
    if len(answered) < len(examples):
        this.parts.target.use(checkpoint, ledger.root)
        with timed(this, f"evaluate {course.name} {split}", cycle, len(examples)) as tick:
            tick(len(answered))
            for block in evaluate(this.parts.target, course.task, course.scorer, evaluation, examples, answered):
                ledger.append_responses(block)
                answered.update(response.example for response in block)
                tick(len(answered))
    return {response.example: response for response in ledger.responses(evaluation)}


def _with_contrasts(
    this: Run,
    cycle: int,
    current: Checkpoint,
    mistakes: list[Mistake],
    books: dict[str, dict[str, Response]],
) -> list[Mistake]:
    """Learning from Error by Contrast: add the nearest right questions of the same task."""
    this.parts.target.use(current, this.ledger.root)
    found = []
    with timed(this, "find contrasts", cycle, len(mistakes)) as tick:
        for course in this.parts.learnt():
            own = [mistake for mistake in mistakes if mistake.example.task == course.name]
            examples, k = course.examples["train"], this.config.strategy.k
            found += add_contrasts(own, examples, books[course.name], this.parts.retriever, k)
            tick(len(found))
    return found


def _diagnosed(this: Run, cycle: int, mistakes: list[Mistake]) -> list[tuple[Mistake, Diagnosis]]:
    """Diagnose what is not diagnosed yet; the pairs are in the mistakes' order, whatever the instructor's."""
    ledger, keys = this.ledger, {mistake.response.hash: _diagnosis_key(mistake) for mistake in mistakes}
    known = ledger.keys(Diagnosis) | {key.removeprefix("diagnose:") for key in ledger.keys(Failure)}
    open_mistakes = [mistake for mistake in mistakes if keys[mistake.response.hash] not in known]
    if open_mistakes:
        with timed(this, "diagnose", cycle, len(mistakes)) as tick:
            done = len(mistakes) - len(open_mistakes)
            for mistake, result, call in diagnose(this.parts.instructor, open_mistakes):
                key, parent = keys[mistake.response.hash], mistake.response.hash
                named = f"diagnose:{key}" if isinstance(result, Failure) else key
                ledger.extend([Entry(call, f"diagnose:{key}", parent), Entry(result, named, parent)], cycle)
                done += 1
                tick(done)
                _keep_budget(this)
    pairs = ((mistake, ledger.find(Diagnosis, keys[mistake.response.hash])) for mistake in mistakes)
    return [(mistake, diagnosis) for mistake, diagnosis in pairs if diagnosis is not None]


def _supplied(this: Run, cycle: int, assignments: list[Assignment]) -> list[Sample]:
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
    open_assignments = [item for item in assignments if f"write:{item.hash}" not in known]
    if open_assignments:
        with timed(this, "write drafts", cycle, len(assignments)) as tick:
            done = len(assignments) - len(open_assignments)
            for assignment, result, call in instruct(this.parts.instructor, open_assignments):
                ledger.extend(_written(assignment, result, call), cycle)
                done += 1
                tick(done)
                _keep_budget(this)
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
                    [Entry(call, f"vote:{call.subject}", vote.draft), Entry(vote, call.subject, vote.draft)], cycle
                )
                tick(done)
                _keep_budget(this)
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


def _trained(
    this: Run, cycle: int, current: Checkpoint, samples: list[Sample], books: dict[str, dict[str, Response]]
) -> list[Checkpoint]:
    """Train once and return one candidate checkpoint for each adapter scale."""
    config, ledger = this.config, this.ledger
    tasks = {course.name: course.task for course in this.parts.courses}
    recipe = config.train.recipe(seed=config.run.seed * 1000 + cycle)
    if recipe.start == "restart":  # from the base again, so with everything that was accepted so far
        samples = _accepted_samples(ledger, cycle) + samples
    lessons = lessons_from(samples, _rehearsal(this, books), tasks, recipe.replay, recipe.seed)
    training = ledger.find(Training, f"training:{cycle}")
    if training is None:
        this.parts.target.close()
        with timed(this, "train", cycle, len(lessons)) as tick:
            training = this.parts.trainer.train(current, lessons, recipe, ledger.root, tick)
        ledger.extend([Entry(lesson, f"{cycle}:{lesson.hash}", lesson.source) for lesson in lessons], cycle)
        ledger.append(training, key=f"training:{cycle}", cycle=cycle, parent=current.hash)
    candidates = [
        Checkpoint(
            base=this.base.base,
            base_fingerprint=this.base.base_fingerprint,
            parent=current.hash,
            method=recipe.method,
            folder=training.folder,
            weights_hash=training.weights_hash,
            training_set=training_set_hash(lessons),
            recipe=recipe.hash,
            scale=scale,
        )
        for scale in config.train.scales
    ]
    for candidate in candidates:
        key = f"candidate:{cycle}:{candidate.scale:g}"
        ledger.append(candidate, key=key, cycle=cycle, parent=candidate.training_set)
    return candidates


def _accepted_samples(ledger: Ledger, cycle: int) -> list[Sample]:
    """The samples of all earlier cycles that were accepted."""
    decisions = [ledger.find(Decision, f"cycle:{past}") for past in range(1, cycle)]
    accepted = [decision.cycle for decision in decisions if decision and decision.outcome == "accept"]
    return [sample for past in accepted for sample in ledger.all(Sample, past)]


def _rehearsal(this: Run, books: dict[str, dict[str, Response]]) -> list[tuple[Example, Response]]:
    """The target's own responses on train: the current ones of learnt tasks, the base's of guards."""
    pairs = []
    for course in this.parts.courses:
        examples = course.examples["train"]
        if examples:
            book = books.get(course.name) or _examine(this, course, "train", this.base, cycle=0)
            pairs += [(example, book[example.id]) for example in examples]
    return pairs


def _decided(this: Run, cycle: int, current: Checkpoint, candidates: list[Checkpoint]) -> Decision:
    """Examine the candidates on dev and let the gate decide; a rejected cycle goes back to the current checkpoint."""
    judged: list[tuple[Outcome, str, tuple[Comparison, ...]]] = []
    rule = this.ledger.find(Rule, "rule") or rule_of(this.config)
    for candidate in candidates:
        comparisons = [
            _compared(this, course, "dev", current, candidate, cycle)
            for course in this.parts.courses
            if course.examples["dev"]
        ]
        judged.append(judge(rule, comparisons))
    chosen = best([(outcome, comparisons) for outcome, _, comparisons in judged])
    outcome, reason, marked = judged[chosen]
    return Decision(
        cycle=cycle,
        outcome=outcome,
        reason=reason,
        checkpoint=candidates[chosen].hash if outcome == "accept" else current.hash,
        candidate=candidates[chosen].hash,
        comparisons=marked,
    )


def _compared(this: Run, course: Course, split: Split, before: Checkpoint, after: Checkpoint, cycle: int) -> Comparison:
    """Examine two checkpoints on one split and pair their responses."""
    sides = []
    for checkpoint in (before, after):
        _examine(this, course, split, checkpoint, cycle)
        examples = course.examples[split]
        evaluation = identify(this.parts.target, checkpoint.hash, course.task, split, examples, course.marked_by)
        sides.append((evaluation, this.ledger.verdicts(evaluation)))
    return compare(sides[0], sides[1], course.role, course.margin)


def _keep_budget(this: Run) -> None:
    """Stop before another call where the dollar cap is reached; raising the cap and the same command go on."""
    cap = this.config.run.budget_usd
    if cap is not None and cap > 0 and this.ledger.total_cost() >= cap:
        raise BudgetError(
            f"The budget of ${cap:g} is used up; raise run.budget_usd and give the same command to go on."
        )


def _written(assignment: Assignment, result: object, call: Call) -> list[Entry]:
    """The records of one answered assignment, appended together: the call comes with all its drafts or not at all."""
    diagnosis = assignment.diagnosis.hash if assignment.diagnosis else ""
    entries = [Entry(call, f"write:{assignment.hash}", diagnosis)]
    if isinstance(result, Failure):
        return [*entries, Entry(result, f"write:{assignment.hash}", diagnosis)]
    drafts = [draft for draft in result if isinstance(draft, Draft)] if isinstance(result, tuple) else []
    return entries + [Entry(draft, f"{assignment.hash}:{draft.index}", diagnosis) for draft in drafts]


def _diagnosis_key(mistake: Mistake) -> str:
    return f"{mistake.response.hash}:{mistake.strategy}"


def _why_rejected(ledger: Ledger, cycle: int) -> str:
    counts = Counter(rejection.reason for rejection in ledger.all(Rejection, cycle))
    listed = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return listed or "no draft was written"
