"""Records of the gate: its rule, the comparisons it makes and what it decides."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from errorbook.records.answering import Split
from errorbook.records.base import Record

Role = Literal["learn", "guard"]
Outcome = Literal["accept", "reject", "stop"]
Counts = Literal["all", "read_twice"]
"""What counts as a gain: every change, or those alone of answers that could be scored before and after."""
Against = Literal["both", "base"]
"""What a guard must not be worse than: the base, or the checkpoint that the cycle began with as well."""

Said = Literal["go on", "gain", "hopeless", "no gain"]
"""What a look at a part of dev comes to; all but the first end the asking."""


class Groups(Record, frozen=True, kw_only=True):
    """Which questions of one split belong together, by id; a question that is not named stands alone.

    Duplicates, near duplicates, questions on one passage, variants of one question, and what the data say themselves:
    what makes one of them right or wrong does so to the others, so the gate takes a group as one piece of evidence.
    """

    task: str
    split: Split
    together: tuple[tuple[str, ...], ...] = ()


class Blocks(Record, frozen=True, kw_only=True):
    """The order in which a sequential gate asks a task's dev questions: blocks of ids, drawn before the first cycle."""

    task: str
    blocks: tuple[tuple[str, ...], ...]


class Cluster(Record, frozen=True, kw_only=True):
    """`times` groups of `size` questions each of which as many were fixed and broken; see `Comparison`."""

    size: int
    fixed: int = 0
    broken: int = 0
    newly_readable: int = 0
    no_longer_readable: int = 0
    times: int = 1


def count_groups(n: int, clusters: Iterable[Cluster]) -> int:
    """How many pieces of evidence `n` questions are: groups, and questions that stand alone."""
    return n - sum((one.size - 1) * one.times for one in clusters)


class Comparison(Record, frozen=True, kw_only=True):
    """Two evaluations of the same examples, paired. Bounds are of the difference in accuracy (after - before).

    `n` is how many questions were asked: fewer than there are if a sequential gate ended early. `low` and `high` are a
    95% interval; of what is learnt at a sequential gate it holds at all looks together. `p_value` is of the test that
    decides: for a task to learn the exact one-sided McNemar test, over sums of groups if questions belong together, of
    the changes that count by the rule (of all learnt tasks in looks, if it is sequential); for a guard non-inferiority.
    Of the fixed, `newly_readable` could not be scored before; of the broken, `no_longer_readable` cannot be scored now.
    `clusters` are the groups of questions that belong together, by what became of them; all others stand alone.
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
    newly_readable: int = 0
    no_longer_readable: int = 0
    clusters: tuple[Cluster, ...] = ()

    @property
    def groups(self) -> int:
        """See `count_groups`."""
        return count_groups(self.n, self.clusters)


class Rule(Record, frozen=True, kw_only=True):
    """The gate's rule, recorded before the first cycle: the run's error rate, and how often it is applied at most.

    If cycles are added to a run, another rule holds from `first_cycle` on, and `spent` is what the looks before it took
    of the error rate: the levels of all looks together never exceed `alpha`. A `sequential` one asks candidates
    the dev questions of what is learnt in blocks (`Blocks`), and the test of a gain may end after any of them.

    Raises:
        ValueError: A number is not finite or out of its range, so the rule would accept anything or nothing.
    """

    alpha: float
    tests: int
    learn: tuple[str, ...]
    guards: tuple[tuple[str, float], ...]
    counts: Counts = "all"
    guards_against: Against = "both"
    spent: float = 0.0
    first_cycle: int = 1
    sequential: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and 0 < self.alpha < 1):
            raise ValueError(f"The gate's alpha is {self.alpha}; it must be between 0 and 1.")
        if not 0 <= self.spent <= self.alpha:
            raise ValueError(f"Of the gate's alpha {self.alpha}, {self.spent} is said to be spent; it is at most all.")
        if self.tests < 1:
            raise ValueError(f"The gate's rule is applied {self.tests} times; it must be once or more.")
        for name, margin in self.guards:
            if not (math.isfinite(margin) and 0 < margin < 1):
                raise ValueError(f"The margin of '{name}' is {margin}; it must be between 0 and 1.")

    @property
    def alpha_each(self) -> float:
        """What each application gets of the error rate that is not spent yet (Bonferroni)."""
        return (self.alpha - self.spent) / self.tests


class Look(Record, frozen=True, kw_only=True):
    """What a sequential gate saw of a candidate after a block of dev questions: of all learnt tasks, by what counts.

    `p_value` is the chance of an earlier gain or of as much by now if the training did nothing; at most `allowed` of it
    is a gain. `chance` is that of a gain at the end if there is one of a size that the test finds in 80%.
    """

    number: int
    of: int
    asked: int
    fixed: int
    broken: int
    p_value: float
    allowed: float
    chance: float
    said: Said


class Decision(Record, frozen=True, kw_only=True):
    """What the gate said about one cycle and why; `checkpoint` is the one that the next cycle starts from.

    `against_base` compares the guards with the base if the cycle began with another checkpoint. `form` says that the
    gain is not shown among answers that could be scored before and after: answers became readable. `looks` has the path
    of a sequential gate. It asked the guards only if it saw a gain.
    """

    cycle: int
    outcome: Outcome
    reason: str
    checkpoint: str
    candidate: str = ""
    comparisons: tuple[Comparison, ...] = ()
    against_base: tuple[Comparison, ...] = ()
    form: bool = False
    looks: tuple[Look, ...] = ()
