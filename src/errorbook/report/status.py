"""Where a run stands: which cycle, how far each stage is, what was decided, and about how long it still takes.

Reads a ledger that a run may be writing to at the same time, cheaply enough to ask again and again. It computes no
statistics: see `report/build`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from errorbook.config import IMPORTED, Config
from errorbook.errors import LedgerError
from errorbook.ledger.events import Event
from errorbook.ledger.file import Ledger, ResponseTally
from errorbook.ledger.liveness import changed, read_pulse
from errorbook.ledger.run_view import Checkpoints, budget, name_instructor, read_config, read_paid
from errorbook.ledger.schema import LEDGER
from errorbook.ledger.watch import run_folders
from errorbook.records import Call, Diagnosis, Draft, Evaluation, Outcome, Rejection, Sample, Split, Training
from errorbook.report.build import is_finished
from errorbook.report.costs import cost_by_kind
from errorbook.report.progress import Stage, find_present_stage, forecast_seconds_left
from errorbook.report.supply_records import KindCost

Kind = Literal["run", "exam", "book"]
"""A run with cycles; an exam without training; a book that was imported from logs."""
State = Literal["running", "stopped", "finished"]


class EvaluationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one evaluation is; `checkpoint` is `base`, `final` or the first digits of its hash."""

    task: str
    split: Split
    checkpoint: str
    done: int
    total: int
    right: int


class DecisionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle's decision and its reason."""

    cycle: int
    decision: Outcome
    reason: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands; `cycle` is the one in progress, or the last one, and 0 in an exam without training.

    `state`, `changed` (when the ledger was last written to) and the seconds left are of the moment when it was read:
    `renew_status` renews them. What nothing tells is None. `budget_usd` is the cap that the run was given last,
    `host_usd` what answers and trainings cost that are paid by the token: it is not in `usd`.
    """

    run: str
    name: str
    kind: Kind
    model: str
    instructor: str
    strategy: str
    finished: bool
    cycle: int
    planned_cycles: int
    decisions: tuple[DecisionStatus, ...]
    stage: Stage | None
    state: State = "stopped"
    changed: float = 0.0
    stage_seconds_left: float | None = None
    run_seconds_left: float | None = None
    diagnoses: int
    drafts: int
    samples: int
    rejections: int
    trainings: int
    evaluations: tuple[EvaluationStatus, ...]
    seconds: float
    usd: float
    budget_usd: float | None
    usd_per_sample: float | None
    cost_by_kind: tuple[KindCost, ...] = ()
    host_usd: float = 0.0


def read_status(ledger: Ledger) -> Status:
    """Read where the run stands, and what its samples cost.

    Raises:
        LedgerError: The ledger holds no run yet.
    """
    return msgspec.structs.replace(read_status_quickly(ledger), cost_by_kind=cost_by_kind(ledger))


def read_status_quickly(ledger: Ledger) -> Status:
    """The same without the costs by kind, for those who ask again and again."""
    config, points, events = read_config(ledger), Checkpoints(ledger), ledger.events()
    started = bool(points.decisions or ledger.count(Call))
    usd, samples = ledger.total_cost(), ledger.count(Sample)
    over = len(points.decisions) == config.run.cycles or any(item.outcome == "stop" for item in points.decisions)
    kind = _kind(config, events)
    finished = is_finished(ledger, config, points.decisions)
    nothing_left = finished or kind == "book" or (kind == "exam" and _is_examined(config, points))
    read = Status(
        run=str(ledger.root),
        name=config.run.name,
        kind=kind,
        model=config.target.model,
        instructor=name_instructor(config),
        strategy=config.strategy.describe(config.run.cycles),
        finished=finished,
        cycle=0 if not started else len(points.decisions) + (not over),
        planned_cycles=config.run.cycles,
        decisions=tuple(
            DecisionStatus(cycle=item.cycle, decision=item.outcome, reason=item.reason) for item in points.decisions
        ),
        stage=None if nothing_left else find_present_stage(events, config, len(points.decisions)),
        diagnoses=ledger.count(Diagnosis),
        drafts=ledger.count(Draft),
        samples=samples,
        rejections=ledger.count(Rejection),
        trainings=ledger.count(Training),
        evaluations=tuple(_evaluation(ledger.tally(item), points, item) for item in ledger.all(Evaluation)),
        seconds=sum(event.seconds for event in events),
        usd=usd,
        budget_usd=budget(ledger),
        usd_per_sample=usd / samples if samples else None,
        host_usd=read_paid(ledger),
    )
    return renew_status(read, ledger.root)


def renew_status(status: Status, folder: Path) -> Status:
    """The same status with what changes while the ledger does not: who is writing, and the time left."""
    beat, stage = read_pulse(folder), status.stage
    done = status.finished or (status.kind != "run" and stage is None)
    state: State = "finished" if done else "running" if beat.running else "stopped"
    left = forecast_seconds_left(stage, time.time(), beat.since) if stage and state == "running" else None
    later = stage.later if stage else None
    return msgspec.structs.replace(
        status,
        state=state,
        changed=beat.changed,
        stage_seconds_left=left,
        run_seconds_left=None if left is None or later is None else left + later,
    )


def _kind(config: Config, events: Sequence[Event]) -> Kind:
    """A run that did not begin its first stage may have cycles; an exam has nothing but stages of cycle 0."""
    if config.target.engine == IMPORTED:
        return "book"
    return "run" if not events or any(event.cycle for event in events) else "exam"


def _is_examined(config: Config, points: Checkpoints) -> bool:
    """Whether the base model answered all that an exam asks."""
    return all(
        (not task.train or points.complete(points.base, task.name, "train"))
        and (not task.dev or points.complete(points.base, task.name, "dev"))
        for task in config.tasks
    )


def find_latest_run(folder: Path) -> Path:
    """The run folder below `folder` whose ledger changed last.

    Raises:
        LedgerError: There is none.
    """
    found = [path for path in run_folders(folder) if (path / LEDGER).is_file()]
    if not found:
        raise LedgerError(f"There is no run below '{folder}'; name a run's folder, or start one with 'errorbook demo'.")
    return max(found, key=changed)


def _evaluation(tally: ResponseTally, points: Checkpoints, evaluation: Evaluation) -> EvaluationStatus:
    known = {points.final: "final" if points.decisions else "base", points.base: "base"}
    return EvaluationStatus(
        task=evaluation.task,
        split=evaluation.split,
        checkpoint=known.get(evaluation.checkpoint, evaluation.checkpoint[:8]),
        done=tally.n,
        total=evaluation.n,
        right=tally.right,
    )
