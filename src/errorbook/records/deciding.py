"""Records of the gate: its rule, the comparisons it makes and what it decides."""

from __future__ import annotations

from typing import Literal

from errorbook.records.answering import Split
from errorbook.records.base import Record

Role = Literal["learn", "guard"]
Outcome = Literal["accept", "reject", "stop"]


class Comparison(Record, frozen=True, kw_only=True):
    """Two evaluations of the same examples, paired. Bounds are of the difference in accuracy (after - before).

    `p_value` is of the test that decides: exact McNemar for a task to learn, non-inferiority for a guard.
    """

    task: str
    split: Split
    role: Role
    before: str
    after: str
    n: int
    unscorable_before: int = 0
    unscorable_after: int = 0
    right_before: int
    right_after: int
    fixed: int
    broken: int
    difference: float
    low: float
    high: float
    p_value: float
    margin: float = 0.0
    passed: bool = False


class Rule(Record, frozen=True, kw_only=True):
    """The gate's rule, recorded before the first cycle: the run's error rate, and how often it is applied at most.

    If cycles are added to a run, another rule holds from `first_cycle` on, and `spent` is what the looks before it took
    of the error rate: the levels of all looks together never exceed `alpha`.
    """

    alpha: float
    tests: int
    learn: tuple[str, ...]
    guards: tuple[tuple[str, float], ...]
    spent: float = 0.0
    first_cycle: int = 1

    @property
    def alpha_each(self) -> float:
        """What each application gets of the error rate that is not spent yet (Bonferroni)."""
        return (self.alpha - self.spent) / self.tests


class Decision(Record, frozen=True, kw_only=True):
    """What the gate said about one cycle and why; `checkpoint` is the one that the next cycle starts from."""

    cycle: int
    outcome: Outcome
    reason: str
    checkpoint: str
    candidate: str = ""
    comparisons: tuple[Comparison, ...] = ()
