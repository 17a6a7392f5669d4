"""Ledger -> Report: every number that a reader is shown, as frozen records, computed from the recorded verdicts.

Works on any prefix of a run and on an exam without training: what is not there yet is None or empty. It only reads,
and puts nothing into words: `render` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from msgspec import UNSET

from errorbook.checks.other_reader import gives_answer
from errorbook.config import Config, TaskSection
from errorbook.corrections.inbox import list_left_out
from errorbook.ledger import keys
from errorbook.ledger.counts import (
    Letters,
    count_corrections,
    count_per_cycle,
    count_rejections,
    read_assumed,
    read_diagnoses,
    read_spent,
)
from errorbook.ledger.file import Ledger, SkillCount
from errorbook.ledger.run_view import (
    Checkpoints,
    budget,
    find_rule,
    list_changes,
    name_instructor,
    read_config,
    read_paid,
)
from errorbook.records import (
    Checkpoint,
    Comparison,
    Decision,
    Diagnosis,
    Draft,
    Evaluation,
    Example,
    Failure,
    Groups,
    Noise,
    Sample,
    Training,
    Verdict,
)
from errorbook.report.by_strategy import count_strategies
from errorbook.report.cases import pick_cases
from errorbook.report.costs import cost_by_kind
from errorbook.report.cycles import SPLITS, count_fates, list_accuracies
from errorbook.report.effects import compare_with_control, count_error_kinds
from errorbook.report.records import (
    Accuracy,
    CycleResult,
    Relearnt,
    Report,
    SkillResult,
    TaskResult,
    TrainingResult,
    accuracy_of,
    difference_of,
    form_of,
    share_of,
)
from errorbook.report.supply_records import CycleFunnel, Funnel, Spending
from errorbook.stats import detectable_gain, effective_questions, mcnemar, not_worse, pair


def build(ledger: Ledger, control: Ledger | None = None) -> Report:
    """Compute the report of a run, however far it is; with a control, also what that made of the same mistakes.

    Raises:
        LedgerError: The ledger holds no run yet, or one of another version of Errorbook; or the control cannot be one.
    """
    config, points, letters = read_config(ledger), Checkpoints(ledger), Letters(ledger)
    decisions = points.decisions
    seconds = _stage_seconds(ledger)
    rule = find_rule(ledger) or config.rule()  # a book imported from logs has no gate, and records no rule
    spending = _spending(ledger)
    diagnoses = read_diagnoses(ledger)
    mistakes, kinds = count_error_kinds(ledger, points, letters, diagnoses, spending.by_kind)
    compared, kinds = compare_with_control(ledger, control, mistakes, kinds) if control else (None, kinds)
    cases, strata = pick_cases(ledger, config, points, letters, diagnoses)
    return Report(
        run=str(ledger.root),
        name=config.run.name,
        version=ledger.fact("version") or "",
        model=config.target.model,
        instructor=name_instructor(config),
        strategy=config.strategy.describe(config.run.cycles),
        directed=any(one.diagnoses for one in config.strategy.used(config.run.cycles)),
        strategies=count_strategies(ledger, config, points),
        planned_cycles=config.run.cycles,
        finished=is_finished(ledger, config, decisions),
        final_is_base=points.final_is_base,
        seconds=sum(seconds.values()),
        stage_seconds=seconds,
        spending=spending,
        alpha=rule.alpha,
        alpha_each=rule.alpha_each,
        detectable=detectable_gain(
            int(_count_effective(ledger, config, points)), rule.alpha_each, in_looks=rule.sequential
        ),
        cycles=tuple(_cycle(ledger, decision) for decision in decisions),
        tasks=_tasks(ledger, config, points, letters),
        skills=tuple(_skills(ledger, config, points)),
        error_kinds=kinds,
        relearnt=tuple(_relearnt(config, points, letters)),
        funnel=_funnel(ledger, config, points),
        trainings=tuple(_trainings(ledger, config)),
        cases=cases,
        noise=tuple(ledger.all(Noise)),
        by_cycle=tuple(list_accuracies(ledger, config, points, letters)),
        fates=tuple(count_fates(config, points, letters)),
        strata=strata,
        corrections=count_corrections(ledger),
        changes=list_changes(ledger),
        shared=int(ledger.fact("shared") or 0),
        left_out=tuple((ledger.fact("left_out") or "").splitlines()),
        control=compared,
    )


def _count_effective(ledger: Ledger, config: Config, points: Checkpoints) -> float:
    """As many dev questions of the learnt tasks as stand alone say as much as those that the run has."""
    n, sizes = 0, Counter[int]()
    for task in config.learn():
        asked = points.evaluation(points.base, task.name, "dev")
        n += asked.n if asked else task.dev
        groups = ledger.find(Groups, keys.groups(task.name, "dev"))
        sizes.update(len(group) for group in (groups.together if groups else ()))
    return effective_questions(n, sizes)


def is_finished(ledger: Ledger, config: Config, decisions: list[Decision]) -> bool:
    """Whether all cycles are decided and every test split was read."""
    decided = len(decisions) == config.run.cycles or any(decision.outcome == "stop" for decision in decisions)
    if not decided or not decisions:
        return False
    tested = {comparison.task for comparison in ledger.all(Comparison, parent=decisions[-1].checkpoint)}
    return tested >= {task.name for task in config.tasks if task.test}


def _tasks(ledger: Ledger, config: Config, points: Checkpoints, letters: Letters) -> dict[str, dict[str, TaskResult]]:
    """Results by task and split, for what the base model was asked."""
    found: dict[str, dict[str, TaskResult]] = {}
    for task in config.tasks:
        found[task.name] = {}
        for split in SPLITS:
            base = points.evaluation(points.base, task.name, split)
            if base is not None and base.n:
                final = points.complete(points.final, task.name, split) if points.decisions else None
                found[task.name][split] = _result(ledger, letters, task, base, final)
    return found


def _result(
    ledger: Ledger, letters: Letters, task: TaskSection, base: Evaluation, final: Evaluation | None
) -> TaskResult:
    accuracy = accuracy_of(ledger, base)
    if final is None or accuracy.n < accuracy.planned:
        return TaskResult(role=task.role, base=accuracy, otherwise=_count_otherwise(ledger, base))
    pairing = letters.pairing(base, final)
    fixed, broken = pairing.fixed, pairing.broken
    guards = task.role == "guard"
    return TaskResult(
        role=task.role,
        base=accuracy,
        final=accuracy_of(ledger, final),
        difference=difference_of(pairing),
        p_value=mcnemar(fixed, broken, pairing.clusters),
        fixed=fixed,
        broken=broken,
        margin=task.margin if guards else None,
        worse_p=not_worse(fixed, broken, accuracy.n, task.margin, pairing.clusters) if guards else None,
        groups=pairing.groups,
        form=form_of(pairing),
        otherwise=_count_otherwise(ledger, base),
    )


def _count_otherwise(ledger: Ledger, base: Evaluation) -> int:
    """The base's answers that are not right and give the gold answer in another form."""
    found = 0
    missed: tuple[Verdict, ...] = ("wrong", "unscorable")
    for verdict in missed:
        for response in ledger.responses(base, verdict):
            example = ledger.find(Example, keys.example(base.task, base.split, response.example))
            golds = (example.answer, *example.accepted) if example else ()
            found += any(gives_answer(response.text, gold, readable=verdict == "wrong") for gold in golds)
    return found


def _skills(ledger: Ledger, config: Config, points: Checkpoints) -> Iterator[SkillResult]:
    """Per skill on test, or on dev or train if that is all there is."""
    for task in config.learn():
        for split in ("test", "dev", "train"):
            base = points.complete(points.base, task.name, split)
            if base is not None and base.n:
                final = points.complete(points.final, task.name, split) if points.decisions else None
                yield from _skills_of(ledger, base, final)
                break


def _skills_of(ledger: Ledger, base: Evaluation, final: Evaluation | None) -> Iterator[SkillResult]:
    groups: defaultdict[str, list[SkillCount]] = defaultdict(list)
    for group in ledger.by_skill(base, final):
        groups[group.skill].append(group)
    for skill, found in sorted(groups.items()):
        planned = sum(group.n for group in found)
        before = [(group.before, group.before_truncated, group.n) for group in found]
        after = [(group.after, group.after_truncated, group.n) for group in found if group.after]
        pairs: Counter[tuple[Verdict, Verdict]] = Counter()
        for group in found:
            if group.after:
                pairs[group.before, group.after] += group.n
        pairing = pair(pairs)
        yield SkillResult(
            task=base.task,
            split=base.split,
            skill=skill,
            base=_counted(before, planned),
            final=_counted(after, planned) if final else None,
            fixed=pairing.fixed,
            broken=pairing.broken,
        )


def _counted(answers: Iterable[tuple[Verdict, bool, int]], planned: int) -> Accuracy:
    """The accuracy over groups of equal answers: verdict, whether truncated, how many."""
    verdicts: Counter[Verdict] = Counter()
    truncated = 0
    for verdict, cut, n in answers:
        verdicts[verdict] += n
        truncated += n * cut
    return share_of(verdicts["right"], verdicts.total(), planned, verdicts["unscorable"], truncated)


def _relearnt(config: Config, points: Checkpoints, letters: Letters) -> Iterator[Relearnt]:
    for task in config.learn():
        base = points.complete(points.base, task.name, "train")
        final = points.complete(points.final, task.name, "train") if points.decisions else None
        if base is not None and final is not None:
            pairing = letters.pairing(base, final)
            yield Relearnt(
                task=task.name,
                n=pairing.n,
                right_before=pairing.right_before,
                right_after=pairing.right_after,
                fixed=letters.changed(base, final, "fixed"),
                broken=letters.changed(base, final, "broken"),
            )


def _funnel(ledger: Ledger, config: Config, points: Checkpoints) -> Funnel:
    cycles = [one for one in _cycle_funnels(ledger, config, points) if one.mistakes is not None or one.drafts]
    accepted = {decision.cycle for decision in points.decisions if decision.outcome == "accept"}
    reasons: Counter[str] = Counter()
    for one in cycles:
        reasons.update(one.rejected)
    return Funnel(
        diagnosed=ledger.count(Diagnosis),
        failed=dict(sorted(Counter(failure.stage for failure in ledger.all(Failure)).items())),
        drafts=sum(one.drafts for one in cycles),
        samples=sum(one.samples for one in cycles),
        rejected=dict(reasons.most_common()),
        waiting=sum(one.waiting for one in cycles),
        trained=sum(one.trained for one in cycles),
        untrained=sum(one.untrained for one in cycles),
        kept=sum(one.trained for one in cycles if one.cycle in accepted),
        cycles=tuple(cycles),
    )


def _cycle_funnels(ledger: Ledger, config: Config, points: Checkpoints) -> Iterator[CycleFunnel]:
    outcomes, reasons = count_per_cycle(ledger, Sample), count_rejections(ledger)
    written = count_per_cycle(ledger, Draft)  # read last: a run that goes on meanwhile can only have written more
    for cycle in range(1, config.run.cycles + 1):
        drafts, samples, turned_down = written[cycle], outcomes[cycle], reasons.get(cycle, {})
        training = ledger.find(Training, keys.training(cycle))
        gone = len(list_left_out(ledger, cycle)) if training else samples
        yield CycleFunnel(
            cycle=cycle,
            mistakes=points.mistakes(config, cycle),
            drafts=drafts,
            samples=samples,
            rejected=turned_down,
            waiting=drafts - samples - sum(turned_down.values()),
            trained=samples - gone,
            untrained=gone,
            too_long=training.truncated if training else 0,
        )


def _cycle(ledger: Ledger, decision: Decision) -> CycleResult:
    candidate = ledger.get(Checkpoint, decision.candidate)
    return CycleResult(
        cycle=decision.cycle,
        decision=decision.outcome,
        reason=decision.reason,
        scale=candidate.scale if candidate else None,
        comparisons=decision.comparisons,
        against_base=decision.against_base,
        form=decision.form,
        looks=decision.looks or UNSET,
    )


def _trainings(ledger: Ledger, config: Config) -> Iterator[TrainingResult]:
    for cycle in range(1, config.run.cycles + 1):
        training = ledger.find(Training, keys.training(cycle))
        if training is not None:
            yield TrainingResult(
                cycle=cycle,
                lessons=training.lessons,
                replayed=training.replayed,
                steps=training.steps,
                tokens=training.tokens,
                too_long=training.truncated,
                trainable_parameters=training.trainable_parameters,
                losses=training.losses,
            )


def _stage_seconds(ledger: Ledger) -> dict[str, float]:
    """Seconds by stage, in the order in which they were first begun."""
    seconds: dict[str, float] = {}
    for event in ledger.events():
        seconds[event.stage] = seconds.get(event.stage, 0.0) + event.seconds
    return seconds


def _spending(ledger: Ledger) -> Spending:
    spent, usd, samples = read_spent(ledger), ledger.total_cost(), ledger.count(Sample)
    return Spending(
        calls=spent.calls,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        usd=usd,
        usd_per_sample=usd / samples if samples else None,
        by_kind=cost_by_kind(ledger),
        budget_usd=budget(ledger),
        assumed_usd=read_assumed(ledger),
        host_usd=read_paid(ledger),
    )
