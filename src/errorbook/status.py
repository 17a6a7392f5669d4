"""Where a run stands: which cycle, how far each stage is, what was decided. Cheap enough to ask again and again.

Reads a ledger that a run may be writing to at the same time. It computes no statistics: see `report`.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from errorbook.book import Checkpoints, read_config
from errorbook.costs import cost_by_kind
from errorbook.errors import LedgerError
from errorbook.ledger import Ledger
from errorbook.records import Call, Diagnosis, Draft, Evaluation, Outcome, Rejection, Sample, Split, Training
from errorbook.report import is_finished
from errorbook.report_parts import KindCost

_DEEPEST = 4


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
    """Where a run stands; `cycle` is the one in progress, or the last one, and 0 in an exam without training."""

    run: str
    name: str
    finished: bool
    cycle: int
    planned_cycles: int
    decisions: tuple[DecisionStatus, ...]
    diagnoses: int
    drafts: int
    samples: int
    rejections: int
    trainings: int
    evaluations: tuple[EvaluationStatus, ...]
    seconds: float
    usd: float
    usd_per_sample: float | None
    cost_by_kind: tuple[KindCost, ...]


def stand(ledger: Ledger) -> Status:
    """Read where the run stands. Raises LedgerError where the ledger holds no run yet."""
    config, points = read_config(ledger), Checkpoints(ledger)
    finished = is_finished(ledger, config, points.decisions)
    started = bool(points.decisions or ledger.count(Call))
    usd, samples = ledger.total_cost(), ledger.count(Sample)
    over = len(points.decisions) == config.run.cycles or any(item.outcome == "stop" for item in points.decisions)
    return Status(
        run=str(ledger.root),
        name=config.run.name,
        finished=finished,
        cycle=0 if not started else len(points.decisions) + (not over),
        planned_cycles=config.run.cycles,
        decisions=tuple(
            DecisionStatus(cycle=item.cycle, decision=item.outcome, reason=item.reason) for item in points.decisions
        ),
        diagnoses=ledger.count(Diagnosis),
        drafts=ledger.count(Draft),
        samples=samples,
        rejections=ledger.count(Rejection),
        trainings=ledger.count(Training),
        evaluations=tuple(_evaluation(ledger, points, item) for item in ledger.all(Evaluation)),
        seconds=sum(event.seconds for event in ledger.events()),
        usd=usd,
        usd_per_sample=usd / samples if samples else None,
        cost_by_kind=cost_by_kind(ledger),
    )


def latest(folder: Path) -> Path:
    """The run folder below `folder` whose ledger changed last.

    Raises:
        LedgerError: There is none.
    """
    found = [path for path in _ledgers(folder) if path.is_file()]
    if not found:
        raise LedgerError(f"There is no run below '{folder}'; name a run's folder, or start one with 'errorbook demo'.")
    return max(found, key=_changed).parent


def _changed(path: Path) -> float:
    """When a ledger was last written to: its write-ahead log is newer than the file itself while a run goes on."""
    log = path.with_name(f"{path.name}-wal")
    return max(item.stat().st_mtime for item in (path, log) if item.exists())


def _ledgers(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        if len(Path(parent).relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        if "ledger.sqlite" in names:
            found.append(Path(parent) / "ledger.sqlite")
            folders.clear()
    return found


def _evaluation(ledger: Ledger, points: Checkpoints, evaluation: Evaluation) -> EvaluationStatus:
    known = {points.final: "final" if points.decisions else "base", points.base: "base"}
    tally = ledger.tally(evaluation)
    return EvaluationStatus(
        task=evaluation.task,
        split=evaluation.split,
        checkpoint=known.get(evaluation.checkpoint, evaluation.checkpoint[:8]),
        done=tally.n,
        total=evaluation.n,
        right=tally.right,
    )
