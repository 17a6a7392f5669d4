"""Every checkpoint's accuracy, cycle by cycle, and what became of the questions over the kept ones.

A candidate that the gate turned down has a point of its own beside the line of the kept ones; nothing was built on it,
so it is no part of a question's fate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from errorbook.config import Config
from errorbook.ledger import keys
from errorbook.ledger.counts import VERDICT, Letters
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Checkpoint, Evaluation, Role, Split
from errorbook.report.fates import FATES, Fate, fate_of
from errorbook.report.records import Band, FateCounts, Line, Point, accuracy_of, difference_of, form_of
from errorbook.stats import mcnemar

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class _Known(NamedTuple):
    cycle: int
    checkpoint: Checkpoint
    kept: bool


def list_accuracies(ledger: Ledger, config: Config, points: Checkpoints, letters: Letters) -> Iterator[Line]:
    """A line for every task and split that the base answered completely."""
    known = list(_known(ledger, config, points))
    for task, role, split in _splits(config):
        base = points.complete(points.base, task, split)
        if base is not None and base.n:
            asked = ((one, points.complete(one.checkpoint.hash, task, split)) for one in known)
            found = (_point(ledger, letters, base, one, other) for one, other in asked if other is not None)
            yield Line(task=task, role=role, split=split, points=tuple(found))


def count_fates(config: Config, points: Checkpoints, letters: Letters) -> Iterator[FateCounts]:
    """The fates of every task and split that a kept checkpoint was asked, however far it is."""
    for task, role, split in _splits(config):
        found = (points.evaluation(checkpoint, task, split) for checkpoint in points.chain)
        evaluations = [evaluation for evaluation in found if evaluation is not None and evaluation.n]
        paths = letters.paths(evaluations) if evaluations else Counter()
        if paths:
            yield FateCounts(
                task=task,
                role=role,
                split=split,
                n=paths.total(),
                checkpoints=len(evaluations),
                bands=count_bands(paths),
            )


def count_bands(paths: Counter[tuple[str, ...]]) -> tuple[Band, ...]:
    """How many questions of these paths (a letter a verdict) have which fate, in the order of `FATES`."""
    n: Counter[Fate] = Counter()
    unscorable: Counter[Fate] = Counter()
    for path, count in paths.items():
        fate = fate_of([VERDICT[letter] for letter in path])
        n[fate] += count
        unscorable[fate] += count * (path[-1] == "u")
    return tuple(Band(fate=fate, n=n[fate], unscorable=unscorable[fate]) for fate in FATES)


def _splits(config: Config) -> Iterator[tuple[str, Role, Split]]:
    return ((task.name, task.role, split) for task in config.tasks for split in SPLITS)


def _known(ledger: Ledger, config: Config, points: Checkpoints) -> Iterator[_Known]:
    """The base and every candidate so far, in the order in which they were made."""
    base = ledger.find(Checkpoint, keys.BASE)
    if base is not None:
        yield _Known(0, base, kept=True)
    for cycle in range(1, config.run.cycles + 1):
        for candidate in ledger.all(Checkpoint, cycle):
            yield _Known(cycle, candidate, kept=candidate.hash in points.chain)


def _point(ledger: Ledger, letters: Letters, base: Evaluation, known: _Known, evaluation: Evaluation) -> Point:
    accuracy = accuracy_of(ledger, evaluation)
    point = Point(
        cycle=known.cycle,
        checkpoint=known.checkpoint.hash,
        scale=known.checkpoint.scale,
        kept=known.kept,
        accuracy=accuracy,
    )
    if evaluation == base:
        return point
    pairing = letters.pairing(base, evaluation)
    return replace(
        point,
        difference=difference_of(pairing),
        fixed=pairing.fixed,
        broken=pairing.broken,
        p_value=mcnemar(pairing.fixed, pairing.broken, pairing.clusters),
        form=form_of(pairing),
    )
