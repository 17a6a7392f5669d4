"""`[strategy]`: which strategies spend a cycle's samples, in which shares, and how many samples there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from annotated_types import Interval

from errorbook.strategies.table import NAMES, Strategy, find

Shares = dict[str, Annotated[float, Interval(gt=0, le=1)]]
"""Strategies by name, each with its share of a cycle's samples."""
_CLOSE = 0.01
"""How far shares may be from 1 together: 0.33 three times is meant to be all."""


class StrategySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[strategy]`: what the instructor sees and how much it writes.

    `name` is one strategy, a table of shares within each cycle, or a list of these: one for each cycle, of which the
    last goes on.
    """

    name: str | tuple[str | Shares, ...] | Shares = "contrast"
    k: Annotated[int, Interval(ge=1, le=100)] = 3
    samples_per_error: Annotated[int, Interval(ge=1, le=1000)] = 2
    max_samples: Annotated[int, Interval(ge=1, le=10_000_000)] = 3000
    max_samples_per: Literal["cycle", "task"] = "cycle"
    show_gold: bool = True
    rounds: Annotated[int, Interval(ge=1, le=100)] = 3
    retriever: str = "auto"
    encoder: str = "google-bert/bert-base-uncased"
    draws: Annotated[int, Interval(ge=1, le=1000)] = 4
    temperature: Annotated[float, Interval(gt=0, le=10)] = 0.7

    def mix(self, cycle: int) -> tuple[tuple[Strategy, float], ...]:
        """The strategies of a cycle (from 1) with their shares, which add up to 1, in the order of the table."""
        chosen = self._turns()[min(cycle, len(self._turns())) - 1]
        shares = {chosen: 1.0} if isinstance(chosen, str) else chosen
        whole = sum(shares.values())
        return tuple((find(name), shares[name] / whole) for name in NAMES if name in shares)

    def pools(self, mistakes: Mapping[str, int]) -> list[tuple[tuple[str, ...], int]]:
        """How many samples a cycle with so many mistakes in each task is to have, and of which tasks together.

        There is one pool, or one for each task if `max_samples` counts by task; one without a mistake is left out.
        """
        groups = [tuple(mistakes)] if self.max_samples_per == "cycle" else [(task,) for task in mistakes]
        counts = [(tasks, sum(mistakes[task] for task in tasks)) for tasks in groups]
        return [(tasks, min(n * self.samples_per_error, self.max_samples)) for tasks, n in counts if n]

    def used(self, cycles: int) -> tuple[Strategy, ...]:
        """Every strategy that a run of so many cycles makes use of."""
        named = {one.name for cycle in range(1, cycles + 1) for one, _ in self.mix(cycle)}
        return tuple(find(name) for name in NAMES if name in named)

    def describe(self, cycles: int) -> str:
        """The strategies that a run of so many cycles comes to, in words: "error, then 50% error + 50% contrast"."""
        return ", then ".join(_say(turn) for turn in self._turns()[:cycles])

    def find_fault(self) -> str:
        """What is wrong with `name`, as a sentence; empty if nothing is."""
        if not self._turns():
            return "'strategy.name' is empty; give it a strategy, a list with one for each cycle, or shares."
        return next(filter(None, map(_find_fault, self._turns())), "")

    def _turns(self) -> tuple[str | Shares, ...]:
        return self.name if isinstance(self.name, tuple) else (self.name,)


def _say(turn: str | Shares) -> str:
    if isinstance(turn, str):
        return turn
    return " + ".join(f"{100 * turn[name]:g}% {name}" for name in NAMES if name in turn)


def _find_fault(turn: str | Shares) -> str:
    if unknown := [name for name in ([turn] if isinstance(turn, str) else turn) if name not in NAMES]:
        return f"'strategy.name' cannot be {unknown[0]!r}; it takes {', '.join(NAMES[:-1])} or {NAMES[-1]}."
    if isinstance(turn, str):
        return ""
    if abs(sum(turn.values()) - 1) > _CLOSE:
        return f"the shares in 'strategy.name' add up to {sum(turn.values()):g}; make them add up to 1."
    return ""
