"""How a cycle's samples and its mistakes are divided among its strategies: exactly, and alike whoever divides them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from errorbook.strategies.table import Strategy

T = TypeVar("T")
Mix = Sequence[tuple[Strategy, float]]


class Part(NamedTuple, Generic[T]):
    """One strategy's part of a cycle: how many samples it is to give, and its mistakes by task."""

    strategy: Strategy
    quota: int
    mistakes: Mapping[str, Sequence[T]]


def divide(mix: Mix, quota: int, mistakes: Mapping[str, Sequence[T]], draw: Callable[[T], str]) -> list[Part[T]]:
    """Divide `quota` samples by the shares, and the mistakes among the strategies that analyse mistakes.

    All mistakes together are divided by the shares, and those of each task as nearly as that allows. A mistake goes to
    one strategy, since what it costs is its analysis, and each has one at least: it must have something to write
    against. Only if there are fewer mistakes than such strategies do these share them.

    Args:
        mix: The strategies with their shares.
        quota: How many samples the cycle is to have.
        mistakes: By task, in an order that each part keeps.
        draw: What is drawn by: a text for each mistake, whose order has nothing to do with what it is about.
    """
    quotas = apportion(quota, [share for _, share in mix])
    busy = [place for place, (strategy, _) in enumerate(mix) if strategy.diagnoses and quotas[place]]
    dealt: dict[int, dict[str, Sequence[T]]] = {place: {} for place in busy}
    everything = [(task, item) for task, own in mistakes.items() for item in own]
    due = _count_mistakes(len(everything), [mix[place][1] for place in busy])
    for task, own in mistakes.items():
        parts = _deal(own, due, draw)
        dealt = {place: {**dealt[place], task: part} for place, part in zip(busy, parts, strict=True)}
        due = [count - len(part) for count, part in zip(due, parts, strict=True)]
    for turn, place in enumerate(busy):
        if everything and not any(dealt[place].values()):
            task, item = everything[turn % len(everything)]
            dealt[place] = {task: [item]}
    return [
        Part(strategy, quotas[place], dealt.get(place, {})) for place, (strategy, _) in enumerate(mix) if quotas[place]
    ]


def apportion(whole: int, shares: Sequence[float]) -> list[int]:
    """`whole` in parts by the shares, by largest remainders; of equal remainders the earlier one is served first."""
    total = sum(shares)
    # Rounded, so that 0.1 + 0.2 and 0.3 leave equal remainders.
    exact = [round(whole * share / total, 9) for share in shares]
    given = [math.floor(part) for part in exact]
    order = sorted(range(len(shares)), key=lambda place: (given[place] - exact[place], place))
    for place in order[: whole - sum(given)]:
        given[place] += 1
    return given


def _count_mistakes(whole: int, shares: Sequence[float]) -> list[int]:
    """How many mistakes each strategy gets by its share: one at least, if there are enough of them."""
    counts = apportion(whole, shares)
    while whole >= len(counts) and 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] = 1
    return counts


def _deal(items: Sequence[T], due: Sequence[int], draw: Callable[[T], str]) -> list[list[T]]:
    """The items in parts by what is still due, and none has more than that: drawn, but each part in their order."""
    if not items:
        return [[] for _ in due]
    drawn = sorted(range(len(items)), key=lambda place: draw(items[place]))
    parts = []
    for size in apportion(len(items), due):
        parts.append([items[place] for place in sorted(drawn[:size])])
        drawn = drawn[size:]
    return parts
