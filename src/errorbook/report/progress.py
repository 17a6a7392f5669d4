"""What a run is doing: its present stage, how far that is, and about how long it takes by the run's own past.

A stage that ended left an event behind; the present one is known by its unfinished evaluation, or follows from the last
event and the records since. What the past does not tell is None: nothing is guessed from the machine or the model. It
reads records and events only; who is writing is `liveness`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from errorbook.config import Config
from errorbook.ledger.file import Event, Ledger
from errorbook.ledger.run_view import Checkpoints
from errorbook.records import Call, Checkpoint, Diagnosis, Draft, Evaluation, Failure, Rejection, Sample, Training

_TRUSTED = 0.05
"""The share of a stage after which its own pace says more than the past's."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The present stage; `cycle` is 0 in an exam and one more than planned in the final exam.

    `total` is 0 where it is not known beforehand. `expected` are the seconds that the rest takes by the run's past;
    `since` is when the stage before it ended, 0 where none did; `later` are the seconds of everything after it.
    """

    name: str
    cycle: int
    done: int = 0
    total: int = 0
    expected: float | None = None
    since: float = 0.0
    later: float | None = None


def present_stage(ledger: Ledger, config: Config, points: Checkpoints, kind: str) -> Stage | None:
    """The stage that an unfinished run is in, or goes on with; None where nothing is left to do."""
    events, history = ledger.events(), _Past(ledger.events())
    if kind == "book":
        return None
    stage = _unfinished(ledger, config, points, kind) or (
        _next_exam(ledger, config, points) if kind == "exam" else _next(ledger, config, points, events)
    )
    if stage is None:
        return None
    expected = history.expected(stage, ledger)
    since = events[-1].at if events else 0.0
    stage = msgspec.structs.replace(stage, expected=expected, since=since)
    return msgspec.structs.replace(stage, later=history.later(stage, config, len(points.decisions)))


def stage_left(stage: Stage, now: float, writer_since: float) -> float | None:
    """About how many seconds the stage still takes, or None where nothing tells.

    Its own pace counts where the present writer began it; a stage that was resumed has no known beginning.
    """
    begun = 0 < writer_since <= stage.since
    elapsed = max(now - stage.since, 0.0)
    if not stage.total:
        return None if stage.expected is None else max(stage.expected - (elapsed if begun else 0.0), 0.0)
    if begun and stage.done and (stage.expected is None or stage.done >= _TRUSTED * stage.total):
        return elapsed / stage.done * (stage.total - stage.done)
    return stage.expected


class _Past:
    """Seconds for one item by stage, from what the run did before."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._each = {event.stage: event.seconds / event.items for event in events if event.items}
        self._by_task = {name.rpartition(" ")[0]: each for name, each in self._each.items() if name[:9] == "evaluate "}
        self._cycles: dict[int, float] = {}
        for event in events:
            self._cycles[event.cycle] = self._cycles.get(event.cycle, 0.0) + event.seconds

    def each(self, name: str) -> float | None:
        """Of the same stage, the last time; of an evaluation also on another split of the same task."""
        return self._each.get(name, self._by_task.get(name.rpartition(" ")[0]))

    def expected(self, stage: Stage, ledger: Ledger) -> float | None:
        each = self.each(stage.name)
        items = ledger.count(Sample, stage.cycle) if stage.name == "train" else stage.total - stage.done
        return None if each is None or items <= 0 else each * items

    def later(self, stage: Stage, config: Config, decided: int) -> float | None:
        """Everything after the stage, by whole cycles that were decided and by the pace of each evaluation."""
        final = self._final_exam(config)
        if stage.cycle > config.run.cycles:
            return 0.0
        if not decided or final is None:
            return None
        mean = sum(self._cycles.get(cycle, 0.0) for cycle in range(1, decided + 1)) / decided
        rest = mean - self._cycles.get(stage.cycle, 0.0) - (stage.expected or 0.0)
        return max(rest, 0.0) + mean * (config.run.cycles - stage.cycle) + final

    def _final_exam(self, config: Config) -> float | None:
        seconds = 0.0
        for task in config.tasks:
            each, items = self.each(f"evaluate {task.name} test"), 2 * task.test
            items += task.train if task.role == "learn" else 0
            if items and each is None:
                return None
            seconds += items * (each or 0.0)
        return seconds


def _unfinished(ledger: Ledger, config: Config, points: Checkpoints, kind: str) -> Stage | None:
    """The evaluation that was begun last, if it is not complete: they are answered one after the other."""
    cycle = 0 if kind == "exam" else min(len(points.decisions), config.run.cycles) + 1
    if any(decision.outcome == "stop" for decision in points.decisions):
        cycle = config.run.cycles + 1
    last = next(reversed(list(ledger.all(Evaluation))), None)
    done = ledger.tally(last).n if last else 0
    if last is None or done == last.n:
        return None
    return Stage(name=f"evaluate {last.task} {last.split}", cycle=cycle, done=done, total=last.n)


def _next_exam(ledger: Ledger, config: Config, points: Checkpoints) -> Stage | None:
    """The first evaluation of an exam that was not begun."""
    for task in config.tasks:
        if task.train and not points.complete(points.base, task.name, "train"):
            return Stage(name=f"evaluate {task.name} train", cycle=0, total=task.train)
        if task.dev and not points.complete(points.base, task.name, "dev"):
            return Stage(name=f"evaluate {task.name} dev", cycle=0, total=task.dev)
    return None


def _next(ledger: Ledger, config: Config, points: Checkpoints, events: Sequence[Event]) -> Stage | None:
    """What comes next in a run that has no unfinished evaluation."""
    cycle = len(points.decisions) + 1
    if cycle > config.run.cycles or any(decision.outcome == "stop" for decision in points.decisions):
        return _final(config, points)
    start, mistakes = points.starting(cycle), points.mistakes(config, cycle)
    if mistakes is None:
        task = next(task for task in config.learn() if not points.complete(start, task.name, "train"))
        return Stage(name=f"evaluate {task.name} train", cycle=cycle, total=task.train)
    if ledger.find(Training, f"training:{cycle}") is not None:
        return _candidates(ledger, config, points, cycle)
    return _supply(ledger, config, cycle, mistakes, [event.stage for event in events if event.cycle == cycle])


def _supply(ledger: Ledger, config: Config, cycle: int, mistakes: int, ended: Sequence[str]) -> Stage:
    """The stage between the mistakes and the training, from the last that ended in this cycle and what is recorded."""
    name, last = config.strategy.name, ended[-1] if ended else ""
    drafts = ledger.count(Draft, cycle)
    checked = ledger.count(Sample, cycle) + ledger.count(Rejection, cycle)
    if not drafts and name == "contrast" and "find contrasts" not in ended and not ledger.count(Diagnosis, cycle):
        return Stage(name="find contrasts", cycle=cycle)
    known = ledger.count(Diagnosis, cycle) + ledger.count(Failure, cycle)
    if name != "undirected" and "diagnose" not in ended and not drafts and known < mistakes:
        return Stage(name="diagnose", cycle=cycle, done=known, total=mistakes)
    if last in ("write drafts", "vote"):
        return Stage(name="verify", cycle=cycle)
    if drafts and checked >= drafts:
        return Stage(name="train", cycle=cycle)
    quota = min(mistakes * config.strategy.samples_per_error, config.strategy.max_samples)
    return Stage(name="write drafts", cycle=cycle, done=min(drafts, quota), total=quota if drafts < quota else 0)


def _candidates(ledger: Ledger, config: Config, points: Checkpoints, cycle: int) -> Stage:
    """After the training: the candidates are examined on dev, then the gate decides."""
    for scale in config.train.scales:
        candidate = ledger.find(Checkpoint, f"candidate:{cycle}:{scale:g}")
        for task in config.tasks:
            if task.dev and (candidate is None or not points.complete(candidate.hash, task.name, "dev")):
                return Stage(name=f"evaluate {task.name} dev", cycle=cycle, total=task.dev)
    return Stage(name="decide", cycle=cycle)


def _final(config: Config, points: Checkpoints) -> Stage | None:
    """The first evaluation of the final exam that was not begun."""
    cycle = config.run.cycles + 1
    for task in config.learn():
        if task.train and not points.complete(points.final, task.name, "train"):
            return Stage(name=f"evaluate {task.name} train", cycle=cycle, total=task.train)
    for checkpoint in (points.final, points.base):
        for task in config.tasks:
            if task.test and not points.complete(checkpoint, task.name, "test"):
                return Stage(name=f"evaluate {task.name} test", cycle=cycle, total=task.test)
    return None


def has_cycles(ledger: Ledger) -> bool:
    """Whether this is a run with cycles, however early: an exam has nothing but evaluations of cycle 0."""
    before = ledger.count(Evaluation, cycle=0)
    return not before or before < ledger.count(Evaluation) or bool(ledger.count(Call))
