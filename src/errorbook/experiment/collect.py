"""From a run's ledger to its line of the result file. It reads only, and no text of an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from errorbook.config import Config
from errorbook.errors import ConfigError, LedgerError
from errorbook.experiment.results import Cost, Examined, Questions, RunResult
from errorbook.ledger import keys
from errorbook.ledger.counts import Letters, read_spent
from errorbook.ledger.file import Ledger, open_ledger
from errorbook.ledger.run_view import is_complete, is_examined, list_candidates, read_config, read_public_run_file
from errorbook.records import (
    Checkpoint,
    Decision,
    Evaluation,
    Groups,
    Rejection,
    Sample,
    Training,
    digest,
)
from errorbook.setup.assemble import EXAMINED
from errorbook.setup.claim import identify

_SHORT = 10
"""Letters of the names in a result file: questions of one task are told apart, and the file stays small."""
_OWN_WORK = {"contrast", "diagnose", "write", "vote", "verify", "train"}


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run's line, the questions that it was examined on, and what it was begun with."""

    run: RunResult
    questions: tuple[Questions, ...]
    model: str
    version: str
    run_file: str


def collect_run(folder: Path, arm: str, config: Config) -> Collected | None:
    """What a run found, or None if it is not finished or is another run's than this configuration's.

    Raises:
        ConfigError: It was made with another instructor, which a run may change, and an arm may not.
    """
    if not (folder / "ledger.sqlite").exists():
        return None
    try:
        with open_ledger(folder) as ledger:
            return _collect(ledger, arm, config)
    except LedgerError:  # just begun by another process; if it is damaged, going on with the run says so
        return None


def _collect(ledger: Ledger, arm: str, config: Config) -> Collected | None:
    if ledger.fact("config") is None or not is_examined(ledger):
        return None
    known = read_config(ledger)
    ended = next(reversed(list(ledger.all(Decision))), None)
    more = ended is not None and ended.outcome != "stop" and ended.cycle < config.run.cycles
    if identify(known) != identify(config) or more:
        return None
    if known.instructor != config.instructor:
        raise ConfigError(
            f"The run '{ledger.root}' was made with another [instructor]; restore it, or use another --out folder."
        )
    questions = tuple(_read_questions(ledger, config))
    return Collected(
        run=_read_run(ledger, arm, config, [item.task for item in questions]),
        questions=questions,
        model=config.target.model,
        version=ledger.fact("version") or "",
        run_file=read_public_run_file(ledger).text,
    )


def _read_questions(ledger: Ledger, config: Config) -> Iterator[Questions]:
    letters, base = Letters(ledger), ledger.find(Checkpoint, keys.BASE)
    for task in config.tasks:
        evaluation = _find_test(ledger, base.hash, task.name) if base else None
        if evaluation is None:
            continue
        ids = letters.examples(evaluation)
        place = {id: number for number, id in enumerate(ids)}
        groups = ledger.find(Groups, keys.groups(task.name, "test"))
        together = ([place[id] for id in group if id in place] for group in (groups.together if groups else ()))
        yield Questions(
            seed=config.run.seed,
            task=task.name,
            role=task.role,
            ids=tuple(digest(id)[:_SHORT] for id in ids),
            together=tuple(tuple(sorted(group)) for group in together if len(group) > 1),
        )


def _read_run(ledger: Ledger, arm: str, config: Config, tasks: list[str]) -> RunResult:
    decisions = sorted(ledger.all(Decision), key=lambda decision: decision.cycle)
    examined = [_examine(ledger, point, decisions, tasks) for point in _list_points(ledger)]
    judged = [decision.candidate for decision in decisions if decision.candidate]
    places = {item.checkpoint: number for number, item in enumerate(examined)}
    return RunResult(
        arm=arm,
        seed=config.run.seed,
        examined=tuple(examined),
        outcome=places[judged[-1][:_SHORT]] if judged else 0,
        kept=places.get(decisions[-1].checkpoint[:_SHORT], 0) if decisions else 0,
        reasons=tuple(decision.reason for decision in decisions),
        cost=_read_cost(ledger, len(decisions)),
    )


def _list_points(ledger: Ledger) -> list[tuple[int, Checkpoint]]:
    """The base and every candidate, each once, with the cycle that it was made in."""
    base = ledger.find(Checkpoint, keys.BASE)
    cycles = {
        item.hash: cycle for cycle in range(ledger.count(Decision), 0, -1) for item in ledger.all(Checkpoint, cycle)
    }
    points = {item.hash: item for item in (*([base] if base else []), *list_candidates(ledger))}
    return [(cycles.get(hash, 0) if base and hash != base.hash else 0, item) for hash, item in points.items()]


def _examine(ledger: Ledger, point: tuple[int, Checkpoint], decisions: list[Decision], tasks: list[str]) -> Examined:
    cycle, checkpoint = point
    letters = Letters(ledger)
    outcome: Literal["base", "accept", "reject", "beside"] = "beside" if cycle else "base"
    for decision in decisions:
        if decision.candidate == checkpoint.hash:
            outcome = "accept" if decision.outcome == "accept" else "reject"
    found = ((task, _find_test(ledger, checkpoint.hash, task)) for task in tasks)
    return Examined(
        checkpoint=checkpoint.hash[:_SHORT],
        cycle=cycle,
        scale=checkpoint.scale,
        outcome=outcome,
        verdicts={task: letters.of(evaluation) for task, evaluation in found if evaluation is not None},
    )


def _find_test(ledger: Ledger, checkpoint: str, task: str) -> Evaluation | None:
    """A checkpoint's complete evaluation on test: that of the final exam, or that of the experiment."""
    for evaluation in ledger.all(Evaluation, parent=checkpoint):
        of_task = evaluation.task in (task, f"{task}:{EXAMINED}")
        if of_task and evaluation.split == "test" and evaluation.n and is_complete(ledger, evaluation):
            return evaluation
    return None


def _read_cost(ledger: Ledger, cycles: int) -> Cost:
    trainings = list(ledger.all(Training))
    return Cost(
        samples=tuple(ledger.count(Sample, cycle) for cycle in range(1, cycles + 1)),
        rejections=ledger.count(Rejection),
        lessons=sum(item.lessons for item in trainings),
        steps=sum(item.steps for item in trainings),
        tokens=sum(item.tokens for item in trainings),
        calls=read_spent(ledger).calls,
        usd=round(ledger.total_cost(), 9),
        minutes=round(_count_seconds(ledger) / 60, 4),
    )


def _count_seconds(ledger: Ledger) -> float:
    """Seconds of the run's own work.

    The first answers to a task's train questions in a cycle are the examination, which all arms share; answers that are
    asked for after it (draws of the target's own, practice) are what the strategy or the objective asks for.
    """
    opened = (
        (item.task, cycle)
        for cycle in range(1, ledger.count(Decision) + 1)
        for item in ledger.all(Evaluation, cycle)
        if item.split == "train"
    )
    examinations = Counter((task, cycle) for task, cycle in opened if ":" not in task)
    total = 0.0
    for event in ledger.events():
        if event.stage in _OWN_WORK:
            total += event.seconds
        elif event.stage == "evaluate" and event.split == "train" and event.cycle <= ledger.count(Decision):
            if examinations[event.task, event.cycle]:
                examinations[event.task, event.cycle] -= 1
            elif event.cycle:
                total += event.seconds
    return total
