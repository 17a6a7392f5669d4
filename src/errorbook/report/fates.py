"""What became of a question over the cycles: one word for the verdicts that the kept checkpoints gave it, in order.

The *path* of a question is its verdicts along the chain of kept checkpoints: the base, then each accepted candidate,
up to the final model. A rejected candidate is no part of the chain, since nothing was built on it. Unscorable counts
as not right, as it does for the gate, and stays visible in the path. It reads no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from errorbook.records import Verdict
from errorbook.stats import change_of

Fate = Literal["fixed", "relapsed", "stubborn", "broken", "still_right", "waiting"]
FATES: tuple[Fate, ...] = get_args(Fate)
"""In the order in which they are shown. Every answered question has exactly one."""


def fate_of(path: Sequence[Verdict]) -> Fate:
    """The fate of a question with these verdicts, the first checkpoint's first; the path must not be empty."""
    if len(path) == 1:
        return "waiting"
    change = change_of(path[0], path[-1])
    if change in ("fixed", "broken", "still_right"):
        return change
    return "relapsed" if "right" in path else "stubborn"
