"""The exact test of a gain in looks: it may end early with a gain, or because there is hardly a chance of one.

Group-sequential with spent error (Lan and DeMets, Biometrika 70:659-663, 1983; Jennison and Turnbull, Group Sequential
Methods with Applications to Clinical Trials, 2000, chapter 7), but without a normal approximation: the sign-flip test's
null distribution is known, so the chance to have crossed a bound by a look is counted. Everything is conditional on how
many groups changed by how much; the signs alone are chance. Non-inferiority is not tested in looks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from errorbook.records import digest
from errorbook.stats.flips import flip_chances

LOOKS = 8
"""At most: more of them save little more, and each asks a smaller batch."""
SMALLEST = 10
"""Groups of questions in a block, at least: the first look is to be able to see something."""
_HASTE = 1.5
"""By a share t of the questions, alpha * t ** _HASTE may be spent: between Pocock's bounds (1) and O'Brien's (3)."""
_HOPE = 0.4
"""Below this chance of a gain at the end, if the truth is a gain that the whole test finds in 80%, it is hopeless."""


class Step(NamedTuple):
    """What one look found.

    `p` is the chance of an earlier gain or of as much by now, if the training did nothing; it is a gain if that is at
    most `allowed`, which is what may be spent by now. `chance` is that of a gain at the end, if the truth is one that
    the test of all questions finds in 80%.
    """

    p: float
    allowed: float
    chance: float

    @property
    def gained(self) -> bool:
        """Whether it ends here with a gain."""
        return self.p <= self.allowed

    @property
    def hopeless(self) -> bool:
        """Whether it ends here without one. The bounds do not depend on it, so going on is no error either."""
        return not self.gained and self.chance < _HOPE


def take_looks(blocks: Sequence[Mapping[int, int]], shares: Sequence[float], alpha: float) -> list[Step]:
    """One step for each block that was asked.

    Args:
        blocks: How many groups have which sum of changes, for each block in the order in which they were asked.
        shares: Of all questions, which share is asked by the end of each block; 1 for the last. Fixed before the run.
        alpha: The chance that any of the looks finds a gain if there is none; never exceeded, for any sums.

    Returns:
        The steps up to the first that found a gain. What came after it was not to be asked.
    """
    return list(_take_steps(blocks, shares, alpha))


def _take_steps(blocks: Sequence[Mapping[int, int]], shares: Sequence[float], alpha: float) -> Iterator[Step]:
    import numpy as np

    going, spent, reach, total, squares = np.ones(1), 0.0, 0, 0, 0
    for sums, share in zip(blocks, shares, strict=False):
        sizes: Counter[int] = Counter()
        for net, times in sums.items():
            sizes[abs(net)] += times
        total += sum(net * times for net, times in sums.items())
        squares += sum(size * size * times for size, times in sizes.items())
        reach += sum(size * times for size, times in sizes.items())
        # going[i]: the chance to have crossed no bound yet, with gains of i in all out of `reach`.
        going = np.convolve(going, flip_chances(sizes)) if reach else going
        as_much = np.append(np.cumsum(going[::-1])[::-1], 0.0)
        allowed = alpha if share >= 1 else alpha * share**_HASTE
        step = Step(
            p=min(1.0, spent + float(as_much[(total + reach) // 2])),
            allowed=allowed,
            chance=_forecast(total / math.sqrt(squares) if squares else 0.0, share, alpha),
        )
        yield step
        if step.gained:
            return
        bound = int(np.argmax(spent + as_much <= allowed))
        spent += float(as_much[bound])
        going[bound:] = 0.0


def _forecast(z: float, share: float, alpha: float) -> float:
    """The chance that a Brownian motion with the drift of an 80% power ends above the bound (Lan and Wittes 1988)."""
    from scipy.special import ndtr, ndtri

    if share >= 1:
        return 0.0
    needed, rest = float(ndtri(1 - alpha)), 1 - share
    drift = needed + float(ndtri(0.8))
    return float(ndtr((z * math.sqrt(share) + drift * rest - needed) / math.sqrt(rest)))


def count_looks(groups: int) -> int:
    """How often so many groups of questions are looked at."""
    return max(1, min(LOOKS, groups // SMALLEST))


def draw_blocks(
    ids: Sequence[str], together: Sequence[Sequence[str]], looks: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """The questions in blocks of about one size, drawn by lot: a group is never divided.

    The first is never empty; others may be, if groups are large. The lot depends on the seed and on the ids alone, in
    whichever order they are given.
    """
    grouped = {one for group in together for one in group}
    units = [sorted({*group} & {*ids}) for group in together] + [[one] for one in ids if one not in grouped]
    drawn = sorted(filter(None, units), key=lambda unit: digest(str(seed), *unit))
    blocks: list[list[str]] = [[] for _ in range(looks)]
    before = 0
    for unit in drawn:
        middle = (2 * before + len(unit)) * looks // (2 * len(ids))
        blocks[middle if before else 0] += unit
        before += len(unit)
    return tuple(tuple(block) for block in blocks)
