"""The whole method, top to bottom: read this file first.

    select -> evaluate on train -> diagnose -> instruct -> verify -> train -> evaluate on dev -> judge -> next cycle

Only this module knows the order. Every stage is a plain function over records; the loop appends each record to the
ledger as it is yielded, and skips the work whose key the ledger already holds. That is all there is to resuming: the
same command after `kill -9` goes on where it stopped, and ends as the undisturbed run would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from errorbook.config import Config
from errorbook.corrections.apply import apply_corrections
from errorbook.corrections.inbox import collect, mark_responses
from errorbook.diagnose import find_mistakes
from errorbook.evaluate import Recorded, evaluate, judge_texts
from errorbook.interfaces import BatchScorer
from errorbook.judge import Blockwise, Judgement, best, compare, judge, look, require_same_prompts
from errorbook.ledger import keys
from errorbook.ledger.events import Watch, quiet
from errorbook.ledger.file import Entry, Ledger
from errorbook.ledger.run_view import find_rule, is_complete, list_candidates, note_examined
from errorbook.noise_floor import measure_noise_floor
from errorbook.records import (
    Blocks,
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Groups,
    Marked,
    Noise,
    Rejection,
    Response,
    Rule,
    Sample,
    Split,
    Training,
)
from errorbook.setup.assemble import EXAMINED, Course
from errorbook.setup.outages import are_checked, explain_sameness, require_answers, require_training
from errorbook.setup.session import Run, open_run, record_stage
from errorbook.supply.orders import Seen, list_orders
from errorbook.supply.write_and_verify import generate_samples
from errorbook.train import (
    list_known,
    make_lessons,
    make_own_lessons,
    make_preference_lessons,
    make_question,
    prefer_over_wrong,
    show_teacher,
    training_set_hash,
)


def run(config: Config, folder: Path | None = None, watch: Watch = quiet, run_file: str = "") -> Checkpoint:
    """Run or resume all cycles and the final exam; everything is in `folder`/ledger.sqlite afterwards.

    Args:
        config: The checked run file.
        folder: The run's own folder, created if it is missing; runs/NAME below the current one if not given.
        watch: Called with each event of the run's stages.
        run_file: The run file's text, kept for the record.

    Returns:
        The final checkpoint: the last accepted one, or the base.

    Raises:
        UserError: Something that the user must fix; what was recorded stays, and the same call goes on.
        StageError: A stage broke its contract.
    """
    with open_run(config, folder or Path("runs") / config.run.name, watch, run_file) as this:
        current = this.base
        for cycle in range(1, config.run.cycles + 1):
            decision = this.ledger.find(Decision, keys.decision(cycle))
            if decision is None:
                decision = run_cycle(this, cycle, current)
                this.ledger.append(decision, key=keys.decision(cycle), cycle=cycle, parent=current.hash)
            current = this.ledger.get(Checkpoint, decision.checkpoint) or this.base
            if decision.outcome == "stop":
                break
        final_exam(this, current)
        collect(this.ledger)  # too late for any cycle, but not for what is exported
        return current


def exam(config: Config, folder: Path, watch: Watch = quiet, run_file: str = "") -> None:
    """Evaluate the base model on train and dev of every task: the error book without training."""
    with open_run(config, folder, watch, run_file) as this:
        for course in this.parts.courses:
            for split in ("train", "dev"):
                _evaluate(this, course, split, this.base, cycle=0)


def examine(config: Config, folder: Path, watch: Watch = quiet, run_file: str = "") -> None:
    """Ask the base and every candidate of a run the test questions, whatever the gate said: to compare trainings.

    It comes after the run, decides nothing, and is recorded apart from the final exam. What that has asked already is
    not asked again.
    """
    with open_run(config, folder, watch, run_file) as this:
        tested = [course for course in this.parts.courses if course.examples["test"]]
        cycle = config.run.cycles + 1 if this.ledger.count(Decision) else 0  # a book without training has no final exam
        for checkpoint in (this.base, *list_candidates(this.ledger)):
            for course in tested:
                if not is_complete(this.ledger, course.evaluation(this.parts.target, checkpoint, "test")):
                    _evaluate(this, course.examining(), "test", checkpoint, cycle)
        note_examined(this.ledger)


def run_cycle(this: Run, cycle: int, current: Checkpoint) -> Decision:
    """One pass of the four steps (paper section 2, figure 2), from the current checkpoint to a decision."""
    parts = this.parts

    # Steps 1 and 2: the target answers the train questions that were selected. Scores that people corrected count.
    answers = {course.name: _load_answers(this, course, "train", current, cycle) for course in parts.learnt()}
    collect(this.ledger)
    books = {name: mark_responses(this.ledger, cycle, responses) for name, responses in answers.items()}
    mistakes = [
        mistake
        for course in parts.learnt()
        for mistake in find_mistakes(
            course.examples["train"], books[course.name], show_gold=this.config.strategy.show_gold
        )
    ]
    if not mistakes:
        return Decision(cycle=cycle, outcome="stop", reason=_explain_no_mistakes(books), checkpoint=current.hash)

    # Step 3: the instructor analyses each mistake and writes drafts, or what else the strategies of this cycle ask for;
    # what passes verification are the samples.
    seen = Seen(current, mistakes, books, lambda course: _load_answers(this, course, "train", current, cycle))
    samples = generate_samples(this, cycle, list_orders(this, cycle, seen), seen.ask)
    if not samples:
        why = _explain_rejections(this.ledger, cycle)
        reason = f"no draft passed verification ({why}), so there was nothing to train on"
        return Decision(cycle=cycle, outcome="reject", reason=reason, checkpoint=current.hash)

    # Step 4: train on the samples, examine the candidates on dev, and let the gate decide. What they are compared with
    # is asked before the training, while the current weights are still loaded.
    for course in parts.courses:
        if course.examples["dev"]:
            _evaluate(this, course, "dev", current, cycle)
            _measure_noise(this, cycle, current, course)
    collect(this.ledger)
    samples = apply_corrections(this, cycle, samples)
    if not samples:
        reason = "every sample was struck out, so there was nothing to train on"
        return Decision(cycle=cycle, outcome="reject", reason=reason, checkpoint=current.hash)
    candidates = _train_candidates(this, cycle, current, samples, books)
    return _decide(this, cycle, current, candidates)


def final_exam(this: Run, final: Checkpoint) -> None:
    """Read the test splits, once, for the base and the final checkpoint; ask the train questions again."""
    tested = [course for course in this.parts.courses if course.examples["test"]]
    for course in this.parts.learnt():
        _evaluate(this, course, "train", final, this.config.run.cycles + 1)
    for checkpoint in (final, this.base):  # one after the other: each change loads weights
        for course in tested:
            _evaluate(this, course, "test", checkpoint, this.config.run.cycles + 1)
    for course in tested:
        comparison = _compare(this, course, "test", (this.base, final), this.config.run.cycles + 1)
        read = this.ledger.find(Comparison, keys.final_comparison(course.name))
        again = "" if read is None or read.after == comparison.after else final.hash
        this.ledger.append(comparison, key=keys.final_comparison(course.name, again), parent=final.hash)


# The steps, each one stage with its records -----------------------------------------------------------------------


def _evaluate(
    this: Run, course: Course, split: Split, checkpoint: Checkpoint, cycle: int, blocks: int | None = None
) -> Evaluation:
    """Evaluate one checkpoint on one split, as far as that is not done yet; only so many blocks of it if told."""
    ledger, parts = this.ledger, _cut(this, course, split)[:blocks]
    examples = [example for part in parts for example in part]
    evaluation = course.evaluation(this.parts.target, checkpoint, split)
    ledger.open_evaluation(evaluation, cycle)
    answered = ledger.answered(evaluation)
    incomplete = any(example.id not in answered for example in examples)
    if incomplete:
        with record_stage(this, "evaluate", cycle, len(examples), course.name, split) as tick:
            tick(len(answered))
            for block in _answer(this, course, evaluation, checkpoint, parts, answered):
                ledger.append_responses(block)
                answered.update(response.example for response in block)
                tick(len(answered))
    # A candidate may be as bad as it likes.
    judged = checkpoint.hash != this.base.hash and (split == "dev" or course.purpose == EXAMINED)
    # A kill may have come between the last answer and the check, so the next process looks whether it was made.
    if not judged and (incomplete or not are_checked(ledger, evaluation)):
        require_answers(this.parts.target, course.role, ledger, evaluation, examples)
    return evaluation


def _cut(this: Run, course: Course, split: Split) -> list[list[Example]]:
    """A split as it is asked: all together, or in the blocks of a sequential gate, whoever answers."""
    drawn = this.ledger.find(Blocks, keys.blocks(course.name)) if split == "dev" else None
    if drawn is None:
        return [list(course.examples[split])]
    by_id = {example.id: example for example in course.examples[split]}
    return [[by_id[one] for one in block] for block in drawn.blocks]


def _answer(
    this: Run,
    course: Course,
    evaluation: Evaluation,
    checkpoint: Checkpoint,
    parts: list[list[Example]],
    answered: set[str],
) -> Iterator[list[Response]]:
    """The missing responses: texts without a verdict are judged first, then the target is asked for the rest."""
    ledger, target = this.ledger, this.parts.target
    recorded = Recorded(answered, partial(ledger.recall, evaluation), ledger.keep_unjudged)
    by_id = {example.id: example for example in course.examples[evaluation.split]}
    waiting = [(by_id[item.example], item) for item in ledger.unjudged(evaluation)]
    yield from judge_texts(course.scorer, waiting, recorded)
    for part in parts:
        if any(example.id not in answered for example in part):
            target.use(checkpoint, ledger.root)
            yield from evaluate(target, course.task, course.scorer, evaluation, part, recorded)


def _load_answers(this: Run, course: Course, split: Split, checkpoint: Checkpoint, cycle: int) -> dict[str, Response]:
    """Evaluate one checkpoint on one split, and return the responses by example id."""
    evaluation = _evaluate(this, course, split, checkpoint, cycle)
    return {response.example: response for response in this.ledger.responses(evaluation)}


def _measure_noise(this: Run, cycle: int, current: Checkpoint, course: Course) -> None:
    """Ask the base again in other batches, once a run: how much a learnt task's verdicts change when nothing does."""
    key, ledger = keys.noise(course.name), this.ledger
    wanted = this.config.gate.noise_floor and cycle == 1 and course.role == "learn"
    if not wanted or ledger.find(Noise, key) is not None:
        return
    examples, target = course.examples["dev"], this.parts.target
    evaluation = course.evaluation(target, current, "dev")
    answers = {response.example: response for response in ledger.responses(evaluation)}
    with record_stage(this, "noise", cycle, len(examples), course.name, "dev"):
        target.use(current, ledger.root)
        noise = measure_noise_floor(target, course.task, course.scorer, evaluation, examples, answers)
    ledger.append(noise, key=key, cycle=cycle, parent=evaluation.hash)


def _train_candidates(
    this: Run, cycle: int, current: Checkpoint, samples: list[Sample], books: dict[str, dict[str, Marked]]
) -> list[Checkpoint]:
    """Train once and return one candidate checkpoint for each adapter scale."""
    config, ledger = this.config, this.ledger
    tasks = {course.name: course.task for course in this.parts.courses}
    recipe = config.train.recipe(seed=config.run.seed * 1000 + cycle)
    if recipe.start == "restart":  # from the base again, so with everything that was accepted so far
        samples = apply_corrections(this, cycle, _list_accepted_samples(ledger, cycle)) + samples
    rehearsal = _collect_rehearsal(this, cycle, books)
    lessons = make_lessons(samples, rehearsal, tasks, recipe.replay, recipe.seed)
    if recipe.objective == "dpo":
        lessons = prefer_over_wrong(lessons, _collect_wrong_answers(this, cycle, current, samples))
        lessons += make_preference_lessons(_pair_with_answers(this, books), tasks)
    if recipe.objective == "self_distill":
        lessons += make_own_lessons(_pair_with_answers(this, books), tasks, lessons)
        known = list_known(samples, rehearsal, tasks, ledger.all(Draft), ledger.all(Diagnosis))
        lessons = show_teacher(lessons, known, config.train.context, recipe.seed)
    training = ledger.find(Training, keys.training(cycle))
    if training is None:
        # Recorded first: from here on a correction is too late for this cycle, even if the training is killed, so a
        # resumed run trains on the same lessons.
        ledger.extend([Entry(lesson, keys.lesson(cycle, lesson.hash), lesson.source) for lesson in lessons], cycle)
        this.parts.target.close()
        with record_stage(this, "train", cycle, len(lessons)) as tick:
            training = this.parts.trainer.train(current, lessons, recipe, ledger.root, tick)
        require_training(current, training)
        ledger.append(training, key=keys.training(cycle), cycle=cycle, parent=current.hash)
    candidates = [
        Checkpoint(
            base=this.base.base,
            base_fingerprint=this.base.base_fingerprint,
            parent=current.hash,
            method=recipe.method,
            form=this.parts.trainer.produces(recipe),
            folder=training.folder,
            weights_hash=training.weights_hash,
            training_set=training_set_hash(lessons),
            recipe=recipe.hash,
            scale=scale,
        )
        for scale in config.train.scales
    ]
    for candidate in candidates:
        key = keys.candidate(cycle, candidate.scale)
        ledger.append(candidate, key=key, cycle=cycle, parent=candidate.training_set)
    return candidates


def _list_accepted_samples(ledger: Ledger, cycle: int) -> list[Sample]:
    """The samples of all earlier cycles that were accepted."""
    decisions = [ledger.find(Decision, keys.decision(past)) for past in range(1, cycle)]
    accepted = [decision.cycle for decision in decisions if decision and decision.outcome == "accept"]
    return [sample for past in accepted for sample in ledger.all(Sample, past)]


def _collect_wrong_answers(this: Run, cycle: int, current: Checkpoint, samples: list[Sample]) -> dict[str, str]:
    """The target's own wrong responses to the questions of the samples, by sample: what those are preferred over."""
    wrong: dict[str, str] = {}
    for course in this.parts.learnt():
        if isinstance(course.scorer, BatchScorer):  # programs: their drafts' tests are not kept with the samples
            continue
        examples = tuple(make_question(sample) for sample in samples if sample.task == course.name)
        for answer in (
            _load_answers(this, course.practising(examples), "train", current, cycle).values() if examples else ()
        ):
            if answer.score.verdict == "wrong" and not answer.truncated:
                wrong[answer.example] = answer.text
    return wrong


def _pair_with_answers(this: Run, books: dict[str, dict[str, Marked]]) -> list[tuple[Example, Marked]]:
    """The train questions of the learnt tasks with the target's present responses."""
    return [
        (example, books[course.name][example.id])
        for course in this.parts.learnt()
        for example in course.examples["train"]
    ]


def _collect_rehearsal(this: Run, cycle: int, books: dict[str, dict[str, Marked]]) -> list[tuple[Example, Marked]]:
    """The target's own responses on train: the current ones of learnt tasks, the base's of guards."""
    pairs = []
    for course in this.parts.courses:
        examples = course.examples["train"]
        if examples:
            book = books.get(course.name)
            if book is None:
                answers = _load_answers(this, course, "train", this.base, cycle=0)
                book = mark_responses(this.ledger, cycle, answers)
            pairs += [(example, book[example.id]) for example in examples]
    return pairs


def _decide(this: Run, cycle: int, current: Checkpoint, candidates: list[Checkpoint]) -> Decision:
    """Examine the candidates on dev and let the gate decide; a rejected cycle goes back to the current checkpoint."""
    rule = find_rule(this.ledger) or this.config.rule()
    judged = [_judge_candidate(this, cycle, current, candidate, rule) for candidate in candidates]
    chosen = best([(one.outcome, one.comparisons) for one in judged], rule.counts)
    outcome, reason, marked, marked_base, form, looks = judged[chosen]
    return Decision(
        cycle=cycle,
        outcome=outcome,
        reason=reason + explain_sameness(this.ledger, _list_dev(this, current), _list_dev(this, candidates[chosen])),
        checkpoint=candidates[chosen].hash if outcome == "accept" else current.hash,
        candidate=candidates[chosen].hash,
        comparisons=marked,
        against_base=marked_base,
        form=form,
        looks=looks,
    )


def _judge_candidate(this: Run, cycle: int, current: Checkpoint, candidate: Checkpoint, rule: Rule) -> Judgement:
    """Examine one candidate on dev, as far as the rule asks for it, and apply the rule."""
    asked = _ask_in_blocks(this, cycle, (current, candidate), rule) if rule.sequential else None
    seen = range(len(asked.blocks)) if asked else None
    # Without a gain nothing more is asked. With one the guards are, in full.
    hopeless = asked is not None and look(rule, asked)[-1].said != "gain"
    full = set() if hopeless else {name for name, _ in rule.guards}
    comparisons = [
        _compare(this, course, "dev", (current, candidate), cycle, None if course.name in full else seen)
        for course in this.parts.courses
        if course.examples["dev"] and (course.role == "learn" or course.name in full)
    ]
    against_base = [
        _compare(this, course, "dev", (this.base, candidate), cycle)
        for course in this.parts.courses
        if course.name in full and current != this.base
    ]
    return judge(rule, comparisons, against_base, asked)


def _ask_in_blocks(this: Run, cycle: int, sides: tuple[Checkpoint, Checkpoint], rule: Rule) -> Blockwise:
    """Ask a candidate the dev questions of what is learnt, block by block, until a sequential gate has seen enough."""
    drawn = [(course, _cut(this, course, "dev")) for course in this.parts.learnt() if course.examples["dev"]]
    blocks: list[list[Comparison]] = []
    asked = Blockwise(blocks, [sum(map(len, parts)) for parts in zip(*(cut for _, cut in drawn), strict=True)])
    while not blocks or look(rule, asked)[-1].said == "go on":
        number = len(blocks)
        one = range(number, number + 1)
        blocks.append([_compare(this, course, "dev", sides, cycle, one) for course, cut in drawn if cut[number]])
    return asked


def _list_dev(this: Run, checkpoint: Checkpoint) -> list[Evaluation]:
    """A checkpoint's evaluations on dev of the learnt tasks."""
    learnt = [course for course in this.parts.learnt() if course.examples["dev"]]
    return [course.evaluation(this.parts.target, checkpoint, "dev") for course in learnt]


def _compare(
    this: Run,
    course: Course,
    split: Split,
    sides: tuple[Checkpoint, Checkpoint],
    cycle: int,
    blocks: range | None = None,
) -> Comparison:
    """Examine two checkpoints, before and after, on one split, or on some blocks of it, and pair their responses."""
    ledger = this.ledger
    old, new = (_evaluate(this, course, split, one, cycle, blocks.stop if blocks else None) for one in sides)
    require_same_prompts(course.name, ledger.reworded(old, new), old.n)
    groups = ledger.find(Groups, keys.groups(course.name, split)) or Groups(task=course.name, split=split)
    among = (
        [one.id for part in _cut(this, course, split)[blocks.start : blocks.stop] for one in part] if blocks else None
    )
    pairs = (old, ledger.verdicts(old)), (new, ledger.verdicts(new))
    return compare(*pairs, course.role, course.margin, groups.together, among)


def _explain_no_mistakes(books: dict[str, dict[str, Marked]]) -> str:
    """Only what was seen: an answer that could not be scored was not seen to be right."""
    unread = sum(marked.verdict == "unscorable" for book in books.values() for marked in book.values())
    return f"no wrong answers left on train, {unread} could not be scored" if unread else "no mistakes left on train"


def _explain_rejections(ledger: Ledger, cycle: int) -> str:
    counts = Counter(rejection.reason for rejection in ledger.all(Rejection, cycle))
    listed = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return listed or "no draft was written"
