"""Dev questions of a simulated run: verdicts as numbers, drawn in groups, and paired as the gate sees them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errorbook.records import Cluster, Comparison, Role

WRONG, RIGHT, UNSCORABLE = 0, 1, 2
Generator = np.random.Generator


class Layout(NamedTuple):
    """Groups of `size` questions, of which `alike` follow their group; the share `alone` of all stands alone."""

    size: int
    alike: float = 1.0
    alone: float = 0.0

    def number(self, n: int) -> NDArray[np.int64]:
        """The number of the group of each of `n` questions; a rest that fills no group stands alone."""
        single = round(n * self.alone) + (n - round(n * self.alone)) % self.size
        groups = (n - single) // self.size
        return np.concatenate([np.arange(single), single + np.repeat(np.arange(groups), self.size)])

    def count_sizes(self, n: int) -> dict[int, int]:
        """How many groups of each size there are."""
        sizes, times = np.unique(np.bincount(self.number(n)), return_counts=True)
        return {int(size): int(n) for size, n in zip(sizes, times, strict=True) if size > 1}


ALONE = Layout(1)

Changes = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which questions are fixed, and which are broken."""


class Lot(NamedTuple):
    """The verdicts of one checkpoint: of each question the verdict and the number of its group."""

    verdicts: NDArray[np.int64]
    group: NDArray[np.int64]
    layout: Layout
    shares: tuple[float, float, float]

    @property
    def n(self) -> int:
        """How many questions there are."""
        return len(self.verdicts)


def draw_lot(n: int, layout: Layout, unscorable: float, generator: Generator, right: float | None = 0.5) -> Lot:
    """Verdicts of `n` questions; without `right` none are drawn, for `change` to say what became of each."""
    group = layout.number(n)
    if right is None:
        return Lot(np.full(n, WRONG), group, layout, (1.0, 0.0, 0.0))
    readable = 1 - unscorable
    lot = Lot(np.zeros(n, int), group, layout, (readable * (1 - right), readable * right, unscorable))
    return lot._replace(verdicts=_answer(lot, generator))


def redraw(lot: Lot, share: float, generator: Generator) -> Lot:
    """A candidate that learnt nothing: this share of the groups is answered anew, so the two can be exchanged."""
    anew = (generator.random(lot.group[-1] + 1) < share)[lot.group]
    return lot._replace(verdicts=np.where(anew, _answer(lot, generator), lot.verdicts))


def change(lot: Lot, fixed: float, broken: float, generator: Generator) -> Changes:
    """Which questions are fixed and which broken: these shares of the groups, each as a whole."""
    drawn = generator.random(lot.group[-1] + 1)[lot.group]
    return drawn < fixed, (fixed <= drawn) & (drawn < fixed + broken)


def compare_lots(
    before: Lot,
    after: Lot | Changes,
    task: str,
    role: Role,
    margin: float = 0.0,
    asked: NDArray[np.bool_] | None = None,
) -> Comparison:
    """The pairing that the gate gets, without the interval, on which nothing depends; of those `asked`, or of all."""
    kept = np.ones(before.n, bool) if asked is None else asked
    newly = gone = np.zeros(before.n, bool)
    if isinstance(after, Lot):
        was, now = before.verdicts, after.verdicts
        fixed, broken = (was != RIGHT) & (now == RIGHT), (was == RIGHT) & (now != RIGHT)
        newly, gone = fixed & (was == UNSCORABLE), broken & (now == UNSCORABLE)
    else:
        fixed, broken = after
    parts = np.stack([kept, fixed & kept, broken & kept, newly & kept, gone & kept])
    counts = [int(total) for total in parts.sum(axis=1)]
    return Comparison(
        task=task,
        split="dev",
        role=role,
        before="before",
        after="after",
        n=counts[0],
        right_before=0,
        right_after=0,
        fixed=counts[1],
        broken=counts[2],
        newly_readable=counts[3],
        no_longer_readable=counts[4],
        difference=(counts[1] - counts[2]) / max(1, counts[0]),
        low=-1.0,
        high=1.0,
        p_value=1.0,
        margin=margin,
        clusters=_cluster(parts, before) if before.layout.size > 1 else (),
    )


def _cluster(parts: NDArray[np.bool_], lot: Lot) -> tuple[Cluster, ...]:
    sums = np.stack([np.bincount(lot.group, weights=part).astype(int) for part in parts], axis=1)
    found = Counter(map(tuple, sums[sums[:, 0] > 1].tolist()))
    return tuple(
        Cluster(size=size, fixed=fixed, broken=broken, newly_readable=newly, no_longer_readable=gone, times=times)
        for (size, fixed, broken, newly, gone), times in sorted(found.items())
    )


def _answer(lot: Lot, generator: Generator) -> NDArray[np.int64]:
    """A verdict for every question: that of its group, or its own."""
    of_group = generator.choice(3, size=lot.group[-1] + 1, p=lot.shares)[lot.group]
    own = generator.choice(3, size=lot.n, p=lot.shares)
    return np.where(generator.random(lot.n) < lot.layout.alike, of_group, own)
