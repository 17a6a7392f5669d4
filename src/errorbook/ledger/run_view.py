"""A ledger seen as a run: its configuration, its base and final checkpoint, and the evaluations of each.

Shared by everything that reads a ledger for people. It computes no statistics, and writes the budget alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec

from errorbook.config import IMPORTED, Config, dump
from errorbook.errors import LedgerError
from errorbook.ledger import keys
from errorbook.ledger.file import Ledger
from errorbook.records import Checkpoint, Decision, Evaluation, Rule, Split, Verdict
from errorbook.redact import LEFT_OUT, publish_change, publish_run_file


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What was changed in the run file between two starts, from which cycle on: a key with both of its values."""

    cycle: int
    key: str
    before: str
    after: str


def read_config(ledger: Ledger) -> Config:
    """The configuration that the run was started with last.

    Raises:
        LedgerError: No run was begun in it, or it was begun by another version.
    """
    text = next(reversed(_numbered(ledger, "config")), ledger.fact("config"))
    if text is None:
        raise LedgerError(f"The ledger '{ledger.path}' holds no run yet; start one with 'errorbook run FILE'.")
    try:
        return msgspec.json.decode(text, type=Config)
    except msgspec.DecodeError as error:
        raise LedgerError(
            f"The ledger '{ledger.path}' was begun by another version of Errorbook ({error}); read it with that one."
        ) from None


class PublicRunFile(NamedTuple):
    """What strangers may read of a run file, and whether that is all of it."""

    text: str
    is_whole: bool


def read_public_run_file(ledger: Ledger) -> PublicRunFile:
    """The run file for cards and results: `redact` says which keys they show. The text is empty if there is none."""
    text = publish_run_file(ledger.fact("run_file") or "")
    return PublicRunFile(text, LEFT_OUT not in text)


def name_instructor(config: Config) -> str:
    """The instructor's plugin, and the model that it asks unless its name is a place: "openai (gpt-6.1-terra)"."""
    kind, model = config.instructor.kind, config.instructor.options.get("model")
    if not isinstance(model, str) or not model:
        return kind
    _, shown = publish_change("instructor.model", model)
    return kind if shown == "…" else f"{kind} ({shown})"


def is_imported(ledger: Ledger) -> bool:
    """Whether it is an error book out of logs, whose responses were given elsewhere."""
    return read_config(ledger).target.engine == IMPORTED


def note_config(ledger: Ledger, config: Config) -> None:
    """Record the configuration that the run goes on with, but for the budget: the first one, and each that differs."""
    text = dump(msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, budget_usd=None)))
    known = [ledger.fact("config"), *_numbered(ledger, "config")]
    if known[0] is None:
        ledger.state("config", text)
    elif known[-1] != text:
        ledger.state(f"config {len(known) + 1}", text)


def note_place(ledger: Ledger) -> None:
    """Record where the run's folder is, so that its data are found again if all of it moves."""
    place, known = str(ledger.root.resolve()), _numbered(ledger, "place", 1)
    if not known or known[-1] != place:
        ledger.state(f"place {len(known) + 1}", place)


def read_place(ledger: Ledger) -> Path | None:
    """Where the run's folder was at its last start."""
    known = _numbered(ledger, "place", 1)
    return Path(known[-1]) if known else None


def note_change(ledger: Ledger, change: Change) -> None:
    """Record one change of the run file."""
    ledger.state(f"change {len(list_changes(ledger)) + 1}", msgspec.json.encode(change).decode())


def list_changes(ledger: Ledger) -> tuple[Change, ...]:
    """What was changed in the run file since the run was begun, in order, as far as strangers may read it."""
    return tuple(map(_publish, _list_all_changes(ledger)))


def _list_all_changes(ledger: Ledger) -> Iterator[Change]:
    for text in _numbered(ledger, "change", 1):
        yield msgspec.json.decode(text, type=Change)


def _publish(change: Change) -> Change:
    key, before, after = publish_change(change.key, change.before, change.after)
    return msgspec.structs.replace(change, key=key, before=before, after=after)


def find_rule(ledger: Ledger) -> Rule | None:
    """The gate's rule that holds now; None for a book without a gate."""
    return next(reversed(list(ledger.all(Rule))), None)


def note_budget(ledger: Ledger, usd: float | None) -> None:
    """Record the dollar cap that the run goes on with. It may be raised between two calls, so each is kept."""
    caps, now = _budgets(ledger), "" if usd is None else repr(usd)
    if not caps or caps[-1] != now:
        ledger.state(f"budget {len(caps) + 1}", now)


def note_paid(ledger: Ledger, usd: float) -> None:
    """Record what answers and trainings that are paid by the token have cost so far, if that has changed."""
    known = _numbered(ledger, "paid", 1)
    if repr(usd) != (known[-1] if known else repr(0.0)):
        ledger.state(f"paid {len(known) + 1}", repr(usd))


def read_paid(ledger: Ledger) -> float:
    """Dollars for answers and trainings that are paid by the token."""
    known = _numbered(ledger, "paid", 1)
    return float(known[-1]) if known else 0.0


def budget(ledger: Ledger) -> float | None:
    """The dollar cap that the run was given last, or None if it has none."""
    caps = _budgets(ledger)
    return float(caps[-1]) if caps and caps[-1] else None


def list_candidates(ledger: Ledger) -> list[Checkpoint]:
    """Every checkpoint that was trained, in the order in which they were made."""
    base = ledger.find(Checkpoint, keys.BASE)
    return [item for item in ledger.all(Checkpoint) if base is None or item.hash != base.hash]


def is_complete(ledger: Ledger, evaluation: Evaluation) -> bool:
    """Whether the evaluation was begun, and every question of it is answered."""
    begun = ledger.find(Evaluation, evaluation.hash) is not None
    return begun and ledger.tally(evaluation).n == evaluation.n


def note_examined(ledger: Ledger) -> None:
    """Record that the base and all candidates that there are so far were asked the test questions."""
    ledger.state(_examined(ledger), "test")


def is_examined(ledger: Ledger) -> bool:
    """Whether they were; a run that got more cycles since was not."""
    return ledger.fact(_examined(ledger)) is not None


def _examined(ledger: Ledger) -> str:
    return f"examined after {ledger.count(Decision)} cycles"


def _budgets(ledger: Ledger) -> list[str]:
    return _numbered(ledger, "budget", 1)


def _numbered(ledger: Ledger, name: str, first: int = 2) -> list[str]:
    """The facts of a name that are numbered from `first` on."""
    facts = (ledger.fact(f"{name} {number}") for number in count(first))
    return [fact for fact in takewhile(lambda fact: fact is not None, facts) if fact is not None]


class Checkpoints:
    """Which checkpoint a run began with, which it ended with so far, and what each of them answered."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        base = ledger.find(Checkpoint, keys.BASE)
        self.base = base.hash if base else ""
        self.decisions = sorted(ledger.all(Decision), key=lambda decision: decision.cycle)
        self.final = self.decisions[-1].checkpoint if self.decisions else self.base
        self._evaluations = {(item.checkpoint, item.task, item.split): item for item in ledger.all(Evaluation)}
        self._final_train: dict[str, dict[str, Verdict]] = {}

    @property
    def final_is_base(self) -> bool:
        """Whether no cycle was accepted so far."""
        return self.final == self.base

    @property
    def chain(self) -> tuple[str, ...]:
        """Hashes of the kept checkpoints in order: the base, then every accepted candidate; the last is the final."""
        accepted = (decision.checkpoint for decision in self.decisions if decision.outcome == "accept")
        return (self.base, *accepted) if self.base else ()

    def starting(self, cycle: int) -> str:
        """The checkpoint that a cycle began or will begin with; cycles count from 1."""
        return self.decisions[cycle - 2].checkpoint if 1 < cycle <= len(self.decisions) + 1 else self.base

    def evaluation(self, checkpoint: str, task: str, split: Split) -> Evaluation | None:
        """The evaluation of a checkpoint on a split, or None if it was not begun."""
        return self._evaluations.get((checkpoint, task, split))

    def complete(self, checkpoint: str, task: str, split: Split) -> Evaluation | None:
        """The same evaluation if every question is answered, else None."""
        found = self.evaluation(checkpoint, task, split)
        return found if found is not None and self._ledger.tally(found).n == found.n else None

    def final_train_verdicts(self, task: str) -> dict[str, Verdict]:
        """Verdict by example id of the final checkpoint on the train questions; empty until all are asked again."""
        if task not in self._final_train:
            found = self.complete(self.final, task, "train") if self.decisions else None
            self._final_train[task] = self._ledger.verdicts(found) if found else {}
        return self._final_train[task]

    def mistakes(self, config: Config, cycle: int) -> int | None:
        """How many wrong responses a cycle began with, or None until its train questions are all answered."""
        if cycle > len(self.decisions) + 1:
            return None
        start = self.decisions[cycle - 2].checkpoint if cycle > 1 else self.base
        found = [self.complete(start, task.name, "train") for task in config.learn()]
        known = [self._ledger.tally(item).wrong for item in found if item is not None]
        return sum(known) if len(known) == len(found) else None
