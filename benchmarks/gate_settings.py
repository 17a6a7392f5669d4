"""What the simulations of the gate share: how runs ask it, what is counted of them, and how that is written down."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import product

import msgspec
import numpy as np

from benchmarks.gate_draws import ALONE, Layout
from errorbook.records import Counts, Rule
from errorbook.stats import detectable_gain, effective_questions, wilson

ALPHA, MARGIN, DISCORDANT = 0.05, 0.05, 0.3
Generator = np.random.Generator


class Setting(msgspec.Struct, frozen=True):
    """How a run asks its gate. `layout` names how the dev questions come in groups, `unscorable` is their share."""

    cycles: int
    scales: int
    guards: int
    dev: int
    layout: str = "alone"
    unscorable: float = 0.0
    counts: Counts = "all"

    @property
    def rule(self) -> Rule:
        """The rule of such a run; each guard has a margin of 5 points."""
        return Rule(
            alpha=ALPHA,
            tests=self.cycles * self.scales,
            learn=("task",),
            guards=tuple((f"guard {number}", MARGIN) for number in range(self.guards)),
            counts=self.counts,
        )


class Row(msgspec.Struct, frozen=True):
    """How many of the runs had something accepted; `told` has what else stands in the row."""

    setting: Setting
    runs: int
    accepted: int
    told: dict[str, float] = {}


LAYOUTS: dict[str, Layout] = {
    "alone": ALONE,
    "pairs": Layout(2, 1.0),
    "fours, partly alike": Layout(4, 0.6),
    "tens": Layout(10, 1.0),
    "half alone, half in fives": Layout(5, 1.0, alone=0.5),
}
SHAPES = ((1, 1), (3, 1), (5, 1), (1, 4), (3, 2), (5, 4))
DEVS = (50, 120, 500, 2000)
GUARDS = (0, 1, 0, 3, 0, 6)
READ: tuple[tuple[float, Counts], ...] = ((0.0, "all"), (0.2, "all"), (0.2, "read_twice"))


def list_useless() -> Iterator[Setting]:
    """Cycles and scales against dev questions; guards, groups and unscorable answers take turns."""
    names = list(LAYOUTS)
    for number, ((cycles, scales), dev) in enumerate(product(SHAPES, DEVS)):
        unscorable, counts = READ[number % len(READ)]
        guards, layout = GUARDS[number % len(GUARDS)], names[number % len(names)]
        yield Setting(cycles, scales, guards, dev, layout, unscorable, counts)


def generator_of(seed: int, *of: object) -> Generator:
    """A generator that depends on the seed and on what it is for."""
    return np.random.default_rng([seed, zlib.crc32(repr(of).encode())])


def named_gain(setting: Setting, alpha: float, *, in_looks: bool = False) -> float | None:
    """The gain that `errorbook plan` names for such dev questions."""
    sizes = LAYOUTS[setting.layout].count_sizes(setting.dev)
    return detectable_gain(int(effective_questions(setting.dev, sizes)), alpha, in_looks=in_looks)


def describe(row: Row) -> tuple[str, ...]:
    """The first cells of its line."""
    of = row.setting
    return str(of.cycles), str(of.scales), str(of.guards), f"{of.dev:,}", of.layout


def share(count: int, of: int) -> str:
    """A share of the runs with its interval."""
    low, high = wilson(count, of)
    return f"{100 * count / of:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
