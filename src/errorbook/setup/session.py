"""Opens a run: claims and checks its ledger, writes down what must not change later, and records its stages.

Refuses a ledger of another run file, another base model or changed data. It runs no stage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from errorbook.adapters.ray.ray_cluster import disconnect
from errorbook.checks.groups import count_shared, find_groups
from errorbook.config import Config
from errorbook.errors import LedgerError
from errorbook.interfaces import Billed, Sourced, Target
from errorbook.ledger import keys
from errorbook.ledger.events import Event, StageName, Watch
from errorbook.ledger.file import Entry, Ledger, open_ledger
from errorbook.ledger.run_view import note_paid, note_place
from errorbook.records import Blocks, Checkpoint, Groups, Split, digest
from errorbook.setup.assemble import SPLITS, Course, RunParts, assemble, plugin_origins
from errorbook.setup.claim import claim
from errorbook.stats import count_looks, draw_blocks
from errorbook.version import __version__

_NOTED_EVERY = 2.0
"""Seconds between two notes of how far a stage is. After `kill -9` an event may be that old; the records never are."""


class Run(NamedTuple):
    """What the steps of one run share: where records go, what does the work, and who watches."""

    config: Config
    ledger: Ledger
    parts: RunParts
    watch: Watch
    base: Checkpoint


@contextmanager
def open_run(config: Config, folder: Path, watch: Watch, run_file: str) -> Iterator[Run]:
    """Open the ledger, check that it is this run's, and write down what must be fixed before the first cycle."""
    parts = assemble(config, folder)  # before the ledger is made: a run file that cannot work leaves nothing behind
    target = parts.target
    with open_ledger(folder / "ledger.sqlite", "write") as ledger:
        with ledger.together():  # a start that is refused, wherever, leaves the ledger as it was
            base = _begin(ledger, config, parts, run_file)
        try:
            yield Run(config, ledger, parts, watch, base)
        finally:
            target.close()
            if config.compute.engine == "ray":
                disconnect()


def _begin(ledger: Ledger, config: Config, parts: RunParts, run_file: str) -> Checkpoint:
    """Check everything that may not change between two starts and write it down; returns the base."""
    claim(ledger, config)
    base = _recognise_base(ledger, parts.target)
    ledger.append(base, key=keys.BASE)
    for course in parts.courses:
        _shelve(ledger, course)
    if config.gate.sequential:
        _draw_blocks(ledger, parts, config.run.seed)
    _protect(ledger, parts)
    if ledger.fact("shared") is None:  # the gate adds learnt tasks up, so its reader must know
        ledger.state("shared", str(count_shared([course.examples["dev"] for course in parts.learnt()])))
    note_place(ledger)
    left_out = "\n".join(course.left_out for course in parts.courses if course.left_out)
    facts = {"run_file": run_file, "version": __version__, "plugins": _plugins(config)}
    facts |= {"left_out": left_out} if left_out else {}
    for name, value in facts.items():
        if ledger.fact(name) is None:
            ledger.state(name, value)
    return base


def _recognise_base(ledger: Ledger, target: Target) -> Checkpoint:
    """The base that the ledger began with, if the target has the same weights, under whatever name or at any place."""
    base = Checkpoint(base=target.base, base_fingerprint=target.fingerprint)
    known = ledger.find(Checkpoint, keys.BASE)
    if known is not None and known.base_fingerprint != base.base_fingerprint:
        raise LedgerError(
            f"The base model '{target.base}' is not the one that this ledger began with; use another --out folder."
        )
    return known or base


def _shelve(ledger: Ledger, course: Course) -> None:
    """Keep the examples, so that the book can be read when the dataset is gone; refuse data that changed."""
    for split in SPLITS:
        examples = course.examples[split]
        try:
            ledger.state(f"examples {course.name} {split}", digest(*(example.hash for example in examples)))
        except LedgerError:
            raise LedgerError(
                f"The {split} examples of '{course.name}' changed since the ledger '{ledger.path}' was begun; restore"
                " the data or use another --out folder."
            ) from None
        ledger.extend(Entry(example, keys.example(course.name, split, example.id)) for example in examples)
        key = keys.groups(course.name, split)
        if examples and ledger.find(Groups, key) is None:
            ledger.append(Groups(task=course.name, split=split, together=find_groups(examples)), key=key)
    try:
        ledger.state(f"scorer {course.name}", course.marked_by)
    except LedgerError:
        raise LedgerError(
            f"The scorer of '{course.name}' or a file that it reads changed since the ledger '{ledger.path}' was begun;"
            " restore it or use another --out folder."
        ) from None
    if isinstance(course.task, Sourced) and ledger.fact(f"origin {course.name}") is None:
        ledger.state(f"origin {course.name}", course.task.origin)


def _draw_blocks(ledger: Ledger, parts: RunParts, seed: int) -> None:
    """Draw the order in which a sequential gate asks what is learnt, before anything is known of any answer."""
    found = {course.name: ledger.find(Groups, keys.groups(course.name, "dev")) for course in parts.learnt()}
    together = {name: groups.together if groups else () for name, groups in found.items()}
    asked = {course.name: [example.id for example in course.examples["dev"]] for course in parts.learnt()}
    groups = sum(len(asked[name]) - sum(len(group) - 1 for group in together[name]) for name in asked)
    for name, ids in asked.items():
        if ids and ledger.find(Blocks, keys.blocks(name)) is None:
            drawn = draw_blocks(ids, together[name], count_looks(groups), seed)
            ledger.append(Blocks(task=name, blocks=drawn), key=keys.blocks(name))


def _protect(ledger: Ledger, parts: RunParts) -> None:
    """Refuse to go on against other held-out questions, which would accept other samples."""
    try:
        ledger.state("protected", digest(*(example.hash for example in parts.protected)))
    except LedgerError:
        raise LedgerError(
            f"The benchmarks that no sample may contain changed since the ledger '{ledger.path}' was begun; restore"
            " verify.against and the data in ERRORBOOK_DATA, or use another --out folder."
        ) from None


@contextmanager
def record_stage(
    this: Run, stage: StageName, cycle: int, total: int, task: str = "", split: Split | Literal[""] = ""
) -> Iterator[Callable[..., None]]:
    """Record a stage in the ledger's events while the block works, and call the watcher.

    The block gets a function to call with the number of finished items; one that counts otherwise, a training in steps,
    says out of how many, and is told as so much of `total`.
    """
    started = noted = time.perf_counter()
    now = Event(stage, cycle, 0, total, task, split, at=time.time())
    number = this.ledger.begin(now)

    def tick(done: int, out_of: int = total) -> None:
        nonlocal now
        now = now._replace(done=total * done // max(out_of, 1), seconds=time.perf_counter() - started)
        this.watch(now)
        if time.perf_counter() - noted >= _NOTED_EVERY:
            note()

    def note() -> None:
        nonlocal noted
        since, noted = noted, time.perf_counter()
        this.ledger.advance(number, now.done, noted - since)

    tick(0)
    try:
        yield tick
        tick(total)
    finally:
        note()
        payer = next((one for one in (this.parts.target, this.parts.trainer) if isinstance(one, Billed)), None)
        if payer is not None:
            note_paid(this.ledger, payer.spent_usd(this.ledger.root))


def _plugins(config: Config) -> str:
    origins = plugin_origins(config)
    return "; ".join(f"{item.kind} {item.name}: {item.distribution} {item.version}" for item in origins)
