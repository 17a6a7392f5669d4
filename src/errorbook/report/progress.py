"""What a run is doing: its present stage, how far that is, and about how long it takes by the run's own past.

The present stage is the last that the loop noted. What the past does not tell is None: nothing is guessed from the
machine or the model. It reads events only; `ledger/liveness` says who is writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from errorbook.config import Config
from errorbook.ledger.events import Event, StageName
from errorbook.records import Split

_TRUSTED = 0.05
"""The share of a stage after which its own pace says more than the past's."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The present stage; `cycle` is 0 in an exam and one more than planned in the final exam.

    `task` and `split` are empty if the stage has none. `since` is the unix time at which it began, `expected` the
    seconds that the rest of it takes by the run's past, `later` the seconds of everything after it.
    """

    name: StageName
    cycle: int
    task: str = ""
    split: Split | Literal[""] = ""
    done: int = 0
    total: int = 0
    since: float = 0.0
    expected: float | None = None
    later: float | None = None


def find_present_stage(events: Sequence[Event], config: Config, decided: int) -> Stage | None:
    """The stage that an unfinished run is in, or goes on with; None before the first.

    Args:
        events: The run's events so far.
        config: The run's configuration.
        decided: How many cycles are decided.
    """
    if not events:
        return None
    now, past = events[-1], _Past(events)
    each = past.each(now.stage, now.task, now.split)
    stage = Stage(
        name=now.stage,
        cycle=now.cycle,
        task=now.task,
        split=now.split,
        done=now.done,
        total=now.total,
        since=now.at,
        expected=None if each is None or now.done >= now.total else each * (now.total - now.done),
    )
    return msgspec.structs.replace(stage, later=past.later(stage, config, decided))


def forecast_seconds_left(stage: Stage, now: float, writer_since: float) -> float | None:
    """About how many seconds the stage still takes, or None if nothing tells.

    Its own pace counts if the present writer began it; of a stage that was resumed, some was done by another writer.
    """
    if 0 < writer_since <= stage.since and (stage.expected is None or stage.done >= _TRUSTED * stage.total):
        elapsed = max(now - stage.since, 0.0)
        if stage.done:
            return elapsed / stage.done * (stage.total - stage.done)
    return stage.expected


class _Past:
    """Seconds for one item by stage, from what the run did before."""

    def __init__(self, events: Sequence[Event]) -> None:
        ended = [event for event in events if event.total and event.done >= event.total]
        self._each = {(event.stage, event.task, event.split): event.seconds / event.total for event in ended}
        self._by_task = {(stage, task): each for (stage, task, _), each in self._each.items()}
        self._cycles: dict[int, float] = {}
        for event in events:
            self._cycles[event.cycle] = self._cycles.get(event.cycle, 0.0) + event.seconds

    def each(self, stage: StageName, task: str, split: Split | Literal[""]) -> float | None:
        """Of the same stage, the last time; of an evaluation also on another split of the same task."""
        return self._each.get((stage, task, split), self._by_task.get((stage, task)))

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
            each, items = self.each("evaluate", task.name, "test"), 2 * task.test
            items += task.train if task.role == "learn" else 0
            if items and each is None:
                return None
            seconds += items * (each or 0.0)
        return seconds
