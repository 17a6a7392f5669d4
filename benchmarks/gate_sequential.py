"""What the sequential gate saves, and its error rates; the gate that asks everything gets the same candidates.

`python -m benchmarks.gate --sequential` simulates, and writes benchmarks/results/gate-sequential.json. The
product draws the blocks, looks and judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from benchmarks.gate_draws import ALONE, Changes, Lot, change, compare_lots, draw_lot, redraw
from benchmarks.gate_settings import (
    ALPHA,
    DISCORDANT,
    LAYOUTS,
    Generator,
    Row,
    Setting,
    describe,
    generator_of,
    list_useless,
    named_gain,
    share,
    table,
)
from errorbook.judge import Blockwise, judge, look
from errorbook.records import Comparison, Rule
from errorbook.stats import count_looks, draw_blocks, wilson

ASKED_OF_GUARD = 400
KINDS = {"no change": (0.0, 0.4), "a small gain": (0.5, 0.2), "a clear gain": (1.5, 0.2), "harm": (-0.5, 0.2)}
"""What candidates do: a multiple of the gain that the plan names, and the share of such candidates in the mixture."""


class Found(msgspec.Struct, frozen=True):
    """Everything that was simulated; rows of candidates come in pairs: asked in full, then in blocks."""

    seed: int
    useless: tuple[Row, ...]
    candidates: tuple[Row, ...]
    power: tuple[Row, ...]


def decide(rule: Rule, before: Lot, after: Lot | Changes, guards: list[Comparison]) -> tuple[bool, int]:
    """Whether the candidate is accepted, and how many answers were asked of it."""
    guard_answers = sum(item.n for item in guards)
    if not rule.sequential:
        learnt = compare_lots(before, after, "task", "learn")
        return judge(rule, [learnt, *guards]).outcome == "accept", before.n + guard_answers
    masks = cut(before)
    blocks: list[list[Comparison]] = []
    asked = Blockwise(blocks, [int(mask.sum()) for mask in masks])
    while not blocks or look(rule, asked)[-1].said == "go on":
        blocks.append([compare_lots(before, after, "task", "learn", asked=masks[len(blocks)])])
    answers = sum(asked.sizes[: len(blocks)])
    if look(rule, asked)[-1].said != "gain":
        return False, answers
    learnt = compare_lots(before, after, "task", "learn", asked=np.logical_or.reduce(masks[: len(blocks)]))
    return judge(rule, [learnt, *guards], (), asked).outcome == "accept", answers + guard_answers


def cut(lot: Lot) -> list[NDArray[np.bool_]]:
    """The blocks of such questions, as the product draws them."""
    return _cut(lot.n, next(name for name, layout in LAYOUTS.items() if layout == lot.layout))


@lru_cache(64)
def _cut(n: int, name: str) -> list[NDArray[np.bool_]]:
    numbers = LAYOUTS[name].number(n)
    groups = [np.flatnonzero(numbers == number) for number in range(numbers[-1] + 1)]
    together = [[str(one) for one in group] for group in groups if len(group) > 1]
    drawn = draw_blocks([str(one) for one in range(n)], together, count_looks(len(groups)), seed=1)
    masks = []
    for block in drawn:
        mask = np.zeros(n, bool)
        mask[[int(one) for one in block]] = True
        masks.append(mask)
    return masks


def accepts_useless(setting: Setting, generator: Generator) -> bool:
    """As the simulation of the whole gate; without guards, which could only lower the rate."""
    rule = replace(setting.rule, sequential=True, guards=())
    current = draw_lot(setting.dev, LAYOUTS[setting.layout], setting.unscorable, generator)
    return any(
        decide(rule, current, redraw(current, 0.4, generator), [])[0] for _ in range(setting.cycles * setting.scales)
    )


def simulate(runs: int, seed: int) -> Found:
    """Every setting so many times."""
    return Found(
        seed=seed,
        useless=tuple(_count_useless(setting, runs, seed) for setting in list_useless()),
        candidates=tuple(row for setting in list_mixed() for row in _ask_candidates(setting, max(runs // 2, 1), seed)),
        power=tuple(_measure_power(runs, seed)),
    )


def list_mixed() -> Iterator[Setting]:
    """Settings whose answers are counted."""
    for (cycles, scales), dev, guards in product(((1, 1), (3, 1), (3, 2)), (120, 390, 1000), (0, 2)):
        yield Setting(cycles, scales, guards, dev)
    yield Setting(3, 1, 1, 400, "pairs")


def _count_useless(setting: Setting, runs: int, seed: int) -> Row:
    generator = generator_of(seed, "useless, sequential", setting)
    return Row(setting, runs, sum(accepts_useless(setting, generator) for _ in range(runs)))


def _ask_candidates(setting: Setting, runs: int, seed: int) -> Iterator[Row]:
    layout = LAYOUTS[setting.layout]
    gain = named_gain(setting, setting.rule.alpha_each) or DISCORDANT
    for kind, (times, _) in KINDS.items():
        generator = generator_of(seed, "candidates", setting, kind)
        found = {False: [0, 0], True: [0, 0]}
        for _ in range(runs):
            lot = draw_lot(setting.dev, layout, 0.0, generator, right=None)
            net = min(times * gain, DISCORDANT)
            fixed = (DISCORDANT + net) / 2
            after = change(lot, fixed, DISCORDANT - fixed, generator)
            guards = [_draw_guard(name, margin, generator) for name, margin in setting.rule.guards]
            for sequential, counts in found.items():
                kept, asked = decide(replace(setting.rule, sequential=sequential), lot, after, guards)
                counts[0] += kept
                counts[1] += asked
        for sequential, (accepted, answers) in found.items():
            told = {"sequential": float(sequential), "kind": float(list(KINDS).index(kind)), "answers": answers / runs}
            yield Row(setting, runs, accepted, told)


def _draw_guard(name: str, margin: float, generator: Generator) -> Comparison:
    lot = draw_lot(ASKED_OF_GUARD, ALONE, 0.0, generator, right=None)
    return compare_lots(lot, change(lot, 0.02, 0.02, generator), name, "guard", margin)


def _measure_power(runs: int, seed: int) -> Iterator[Row]:
    """Whether the gain is accepted that `plan` names for a sequential gate."""
    for (cycles, scales), dev, layout in product(((1, 1), (3, 1), (5, 4)), (50, 120, 500, 2000), ("alone", "pairs")):
        setting = Setting(cycles, scales, 0, dev, layout)
        rule = replace(setting.rule, sequential=True)
        gain = named_gain(setting, rule.alpha_each, in_looks=True)
        if gain is None or gain > DISCORDANT:
            continue
        generator = generator_of(seed, "power, sequential", setting)
        fixed, accepted = (DISCORDANT + gain) / 2, 0
        for _ in range(runs):
            lot = draw_lot(dev, LAYOUTS[layout], 0.0, generator, right=None)
            accepted += decide(rule, lot, change(lot, fixed, DISCORDANT - fixed, generator), [])[0]
        yield Row(setting, runs, accepted, {"gain": gain})


# The page ----------------------------------------------------------------------------------------------------------


def tell(found: Found) -> Iterator[str]:
    """The sections of the page about the sequential gate."""
    above = [row for row in found.useless if wilson(row.accepted, row.runs).low > ALPHA]
    worst = max(found.useless, key=lambda row: row.accepted / row.runs)
    least = min(found.power, key=lambda row: row.accepted / row.runs)
    saved = {setting: count_saved(found, setting) for setting in dict.fromkeys(row.setting for row in found.candidates)}
    alone = [part for setting, part in saved.items() if not setting.guards]
    parts = ", ".join(f"{part:.0%} {kind}" for kind, (_, part) in KINDS.items())
    yield "## The sequential gate"
    yield (
        "`sequential = true` in `[gate]` asks a candidate the dev questions in blocks, and the guards only after a"
        f" gain. Both gates were given the same candidates: {parts}. A small gain is half of what the plan names, a"
        " clear one half as much again, harm a loss of half as much; three verdicts in ten change, and a guard asks"
        " 400 questions, of which two in a hundred are fixed and two broken. The sequential gate asked"
        f" {sum(saved.values()) / len(saved):.0%} fewer answers of them, and {sum(alone) / len(alone):.0%} fewer in"
        " settings without a guard (means over the settings of the table). What the model before them is asked is not"
        " saved, and an accepted candidate is asked the rest of dev if another cycle begins with it."
    )
    yield table(
        ("looks", "dev questions", "guards", "groups", *(f"asked: {kind}" for kind in KINDS), "saved"),
        [
            (
                str(setting.cycles * setting.scales),
                f"{setting.dev:,}",
                str(setting.guards),
                setting.layout,
                *(f"{_answers(found, setting, kind, 1) / _answers(found, setting, kind, 0):.0%}" for kind in KINDS),
                f"{part:.0%}",
            )
            for setting, part in saved.items()
        ],
    )
    yield (
        f"Of useless runs at most {share(worst.accepted, worst.runs)} were accepted in one of {len(found.useless)}"
        f" settings; {len(above) or 'no'} interval{'s lie' if len(above) > 1 else ' lies'} above alpha. Guards are"
        " left out here: they could only lower the rate."
    )
    yield table(
        ("cycles", "scales", "dev questions", "groups", "unscorable", "what counts", "runs accepted"),
        [
            (
                *(cell for place, cell in enumerate(describe(row)) if place != 2),
                f"{row.setting.unscorable:.0%}",
                f"`{row.setting.counts}`",
                share(row.accepted, row.runs),
            )
            for row in found.useless
        ],
    )
    yield (
        "`errorbook plan` names a larger gain if the gate is sequential, for what is asked less is seen less. That"
        f" gain was accepted in {share(least.accepted, least.runs)} of the runs or more."
    )
    yield table(
        ("looks", "dev questions", "groups", "gain that the plan names", "accepted"),
        [
            (
                str(row.setting.cycles * row.setting.scales),
                f"{row.setting.dev:,}",
                row.setting.layout,
                f"{100 * row.told['gain']:.1f} points",
                share(row.accepted, row.runs),
            )
            for row in found.power
        ],
    )
    yield "The candidates of the first table that were accepted, over all its settings:"
    yield table(
        ("candidates", "asked in full", "asked in blocks"),
        [(kind, *(_accepted(found, kind, side) for side in (0, 1))) for kind in KINDS],
    )


def _rows(found: Found, kind: str, sequential: int) -> list[Row]:
    place = list(KINDS).index(kind)
    return [row for row in found.candidates if (row.told["kind"], row.told["sequential"]) == (place, sequential)]


def _answers(found: Found, setting: Setting, kind: str, sequential: int) -> float:
    return next(row.told["answers"] for row in _rows(found, kind, sequential) if row.setting == setting)


def count_saved(found: Found, setting: Setting) -> float:
    """The share of the answers of the whole mixture that were not asked."""
    full, less = (
        sum(part * _answers(found, setting, kind, side) for kind, (_, part) in KINDS.items()) for side in (0, 1)
    )
    return 1 - less / full


def _accepted(found: Found, kind: str, sequential: int) -> str:
    rows = _rows(found, kind, sequential)
    return share(sum(row.accepted for row in rows), sum(row.runs for row in rows))
