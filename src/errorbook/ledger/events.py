"""What the loop says while it works: which stage it is in, and how far that is. Only the loop knows the stages' order.

The ledger keeps one event a stage, so the stage that a run is in is the last event. Events are not part of a run's
content, and nothing that decides reads them. The sentences for people are `render`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from errorbook.records import Split

StageName = Literal["evaluate", "noise", "contrast", "diagnose", "write", "vote", "verify", "train", "score"]
"""`noise` asks the base model twice, `contrast` finds the nearest right questions, `vote` answers drafts blind;
`score` is no stage of the loop: it scores imported answers."""


class Event(NamedTuple):
    """How far a stage is, in items (questions, mistakes, assignments, drafts, lessons); it ends with done == total.

    `cycle` is 0 in an exam, and one more than planned in the final exam. `task` and `split` are empty if the stage has
    none. `at` is the unix time at which the stage began, `seconds` is how long it worked so far.
    """

    stage: StageName
    cycle: int
    done: int
    total: int
    task: str = ""
    split: Split | Literal[""] = ""
    at: float = 0.0
    seconds: float = 0.0


Watch = Callable[[Event], None]
"""Called with each event of a run: at a stage's begin (done == 0), while it works, and at its end (done == total).
A stage has one unit from begin to end: a training is told in lessons, whatever its trainer counts."""


def quiet(_event: Event) -> None:
    """Watch nothing."""
