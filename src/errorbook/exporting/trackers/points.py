"""Ledger -> the numbers that a tracker of experiments draws, step by step.

Step 0 is the base. Each decided cycle adds one step for each training step, with its loss, and one for the decision.
Only what a decision has closed is told, so the points of a run that goes on begin with those told before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.records import Call, Comparison, Decision, Draft, Rejection, Sample, Training
from errorbook.render import words as sentences
from errorbook.report.records import Report, TaskResult
from errorbook.stats import wilson


class TrackedPoint(NamedTuple):
    """What is known at one step."""

    step: int
    metrics: dict[str, float]


def list_points(ledger: Ledger) -> Iterator[TrackedPoint]:
    """All points of the decided cycles, in order."""
    steps, usd = count(), 0.0
    for decision in sorted(ledger.all(Decision), key=lambda item: item.cycle):
        if decision.cycle == 1:
            base = {key: value for item in decision.comparisons for key, value in _kept(item, False).items()}
            yield TrackedPoint(next(steps), base | {"cycle": 0.0})
        training = ledger.find(Training, keys.training(decision.cycle))
        for loss in training.losses if training else ():
            yield TrackedPoint(next(steps), {"train/loss": loss, "cycle": float(decision.cycle)})
        usd += sum(call.cost_usd for call in ledger.all(Call, decision.cycle))
        yield TrackedPoint(next(steps), _decided(ledger, decision) | {"cost/usd": usd})


def summarise(report: Report) -> dict[str, float]:
    """What a run comes to: the last numbers of each task and split, and what it took."""
    report = sentences.for_readers(report)
    found = {
        f"{split}/{task}/{name}": value
        for task, splits in report.tasks.items()
        for split, result in splits.items()
        for name, value in _result(result).items()
    }
    return found | {
        "accepted_cycles": float(sum(cycle.decision == "accept" for cycle in report.cycles)),
        "decided_cycles": float(len(report.cycles)),
        "supply/drafts": float(report.funnel.drafts),
        "supply/samples": float(report.funnel.samples),
        "cost/usd": report.spending.usd,
        "seconds": report.seconds,
    }


def _decided(ledger: Ledger, decision: Decision) -> dict[str, float]:
    accepted, cycle = decision.outcome == "accept", decision.cycle
    metrics = {
        "cycle": float(cycle),
        "gate/accepted": float(accepted),
        "supply/drafts": float(ledger.count(Draft, cycle)),
        "supply/samples": float(ledger.count(Sample, cycle)),
        "supply/rejected": float(ledger.count(Rejection, cycle)),
    }
    for item in decision.comparisons:
        metrics |= _kept(item, accepted)
        metrics |= {
            f"candidate/{item.task}/accuracy": item.right_after / item.n,
            f"candidate/{item.task}/difference": item.difference,
            f"candidate/{item.task}/difference_low": item.low,
            f"candidate/{item.task}/difference_high": item.high,
            f"candidate/{item.task}/fixed": float(item.fixed),
            f"candidate/{item.task}/broken": float(item.broken),
            f"candidate/{item.task}/p": item.p_value,
        }
    return metrics


def _kept(item: Comparison, accepted: bool) -> dict[str, float]:
    """Accuracy on dev of the checkpoint that the run goes on with, and its interval."""
    right = item.right_after if accepted else item.right_before
    bounds = wilson(right, item.n)
    place = f"{item.split}/{item.task}"
    return {
        f"{place}/accuracy": right / item.n,
        f"{place}/accuracy_low": bounds.low,
        f"{place}/accuracy_high": bounds.high,
    }


def _result(result: TaskResult) -> dict[str, float]:
    found = {"n": float(result.base.n), "base_accuracy": result.base.accuracy}
    if result.final is None or result.difference is None:
        return found
    return found | {
        "accuracy": result.final.accuracy,
        "accuracy_low": result.final.low,
        "accuracy_high": result.final.high,
        "difference": result.difference.value,
        "difference_low": result.difference.low,
        "difference_high": result.difference.high,
        "fixed": float(result.fixed),
        "broken": float(result.broken),
        "p": 1.0 if result.p_value is None else result.p_value,
    }
