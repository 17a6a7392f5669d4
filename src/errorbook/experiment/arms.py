"""Arms by name: each is a ready-made set of changes to a run file. The only list of them.

The strategies are taken from their own table. Prompts that another program optimises (GEPA, DSPy) are no arm yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from errorbook.strategies.table import STRATEGIES

BASE = "base"
"""The arm that everything is compared with before it is compared with the control; it is always run."""
LEARNT = "learn"
"""In changes of tasks: every task that is learnt from."""


class ReadyArm(NamedTuple):
    """What an arm changes in the run file, by section; `trains` is false if the base model answers in the end."""

    about: str
    changes: Mapping[str, Mapping[str, Any]]
    trains: bool = True


READY_ARMS: Mapping[str, ReadyArm] = {
    BASE: ReadyArm("the base model as it is", {}, trains=False),
    "few_shot": ReadyArm(
        "the base model after four worked train questions in every prompt", {"tasks": {LEARNT: {"shots": 4}}}, False
    ),
    **{one.name: ReadyArm(one.about, {"strategy": {"name": one.name}}) for one in STRATEGIES},
    "both": ReadyArm(
        "half of the samples by `error`, half by `contrast`", {"strategy": {"name": {"error": 0.5, "contrast": 0.5}}}
    ),
    "dpo": ReadyArm(
        "the same samples, preferred over the target's own wrong answers (DPO)", {"train": {"objective": "dpo"}}
    ),
    "self_distill": ReadyArm(
        "the target learns from itself after it has seen the samples", {"train": {"objective": "self_distill"}}
    ),
}
