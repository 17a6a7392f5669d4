"""Useless and harmful runs at the gate, thousands of them: what is accepted by luck, what erodes, and what is seen.

Counts runs. In a null setting candidates change verdicts without direction: questions alone, groups that move as one or
nearly, groups that the gate must find in the texts, several cycles and scales. It may accept in alpha of the runs at
most. In an eroding run every cycle is a true gain that costs the guard some points: what is kept at the end may be
worse by more than the margin in alpha of the runs at most. A true gain of the size that `plan` calls detectable is
accepted in 80% of the runs, two points more or less. A figure is broken if a binomial test at 1 in 10,000 says so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from scipy.stats import binomtest

from benchmarks.torture.part import Outcome
from errorbook.checks.groups import find_groups
from errorbook.judge import compare, judge
from errorbook.records import Cluster, Comparison, Evaluation, Example, Generation, Role, Rule, Verdict
from errorbook.stats import detectable_gain, effective_questions, mcnemar_gain

ALPHA, MARGIN = 0.05, 0.1
_RARE = 1e-4
_FEWEST = 8
_WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "lagoon")
Sizes = Sequence[int]
"""The size of each group of dev questions; 1 for a question that stands alone."""
Verdicts = dict[str, Verdict]


class Null(NamedTuple):
    """Groups of so many questions; `alike` of them follow their group; `found`: the gate sees them in the texts."""

    sizes: Sizes
    cycles: int = 1
    scales: int = 1
    alike: float = 1.0
    found: bool = False


NULLS: dict[str, Null] = {
    "independent": Null([1] * 200),
    "pairs": Null([2] * 100),
    "fours": Null([4] * 50),
    "tens": Null([10] * 20),
    "fours, partly alike": Null([4] * 50, alike=0.6),
    "tens, partly alike": Null([10] * 30, alike=0.6),
    "one of each size": Null([*range(1, 20)]),
    "a few giants": Null([1] * 60 + [40, 40, 40]),
    "duplicates, found": Null([12] * 10, found=True),
    "copies and singles, found": Null([6] * 10 + [1] * 60, found=True),
    "independent, 3 cycles": Null([1] * 200, cycles=3),
    "tens, 3 cycles, 3 scales": Null([10] * 30, cycles=3, scales=3),
}


def torment(seconds: float, seed: int) -> Outcome:
    """Run every setting for its share of the time."""
    settings: dict[str, tuple[Callable[[random.Random], bool], float, str]] = {
        **{f"null: {name}": (partial(_is_accepted, given), ALPHA, "above") for name, given in NULLS.items()},
        "erosion": (partial(_erodes, [1] * 400, True), ALPHA, "above"),
        "erosion: guard in fours": (partial(_erodes, [4] * 200, True), ALPHA, "above"),
        "erosion: were the parent alone compared": (partial(_erodes, [1] * 400, False), ALPHA, "shown"),
        "power: 100 questions": (partial(_is_seen, [1] * 100), 0.8, "apart"),
        "power: 200 questions": (partial(_is_seen, [1] * 200), 0.8, "apart"),
        "power: 60 groups of four": (partial(_is_seen, [4] * 60), 0.8, "apart"),
    }
    tried, broken, figures = 0, list[str](), dict[str, float]()
    for number, (name, (happens, wanted, side)) in enumerate(settings.items()):
        generator, until = random.Random(f"{seed} {name}"), time.monotonic() + seconds / len(settings)
        runs = hits = 0
        while runs < _FEWEST or time.monotonic() < until:
            runs, hits = runs + 1, hits + happens(generator)
        tried += runs
        figures[name] = hits / runs
        if _is_broken(hits, runs, wanted, side):
            broken.append(f"{name}: {hits} of {runs} runs instead of {wanted:.0%} (setting {number}, seed {seed}).")
    return Outcome(tried, tuple(broken), figures)


def _is_broken(hits: int, runs: int, wanted: float, side: str) -> bool:
    if side == "shown":
        return False
    if side == "above":
        return bool(binomtest(hits, runs, wanted, alternative="greater").pvalue < _RARE)
    low = binomtest(hits, runs, wanted - 0.02, alternative="less").pvalue
    high = binomtest(hits, runs, wanted + 0.02, alternative="greater").pvalue
    return bool(min(low, high) < _RARE)


# One run each ------------------------------------------------------------------------------------------------------


def _is_accepted(null: Null, generator: random.Random) -> bool:
    """Whether a run whose candidates change nothing but by luck has one accepted."""
    rule = Rule(alpha=ALPHA, tests=null.cycles * null.scales, learn=("task",), guards=())
    together = _found_groups(null.sizes, generator) if null.found else _told_groups(null.sizes)
    current = [_draw(size, null.alike, generator) for size in null.sizes]
    for _ in range(null.cycles):
        for _ in range(null.scales):
            # Four groups in ten are answered anew: "before" and "after" can be exchanged.
            candidate = [_draw(len(was), null.alike, generator) if generator.random() < 0.4 else was for was in current]
            comparison = _compared(_as_verdicts(current), _as_verdicts(candidate), "learn", together)
            if judge(rule, [comparison]).outcome == "accept":
                return True
    return False


def _draw(size: int, alike: float, generator: random.Random) -> list[bool]:
    """Which questions of a group are right: each follows the group's coin, or tosses its own."""
    group = generator.random() < 0.5
    return [group if generator.random() < alike else generator.random() < 0.5 for _ in range(size)]


def _erodes(sizes: Sizes, since_base: bool, generator: random.Random) -> bool:
    """Whether ten cycles of true gains, each at the price of some points on a guard, end beyond its margin."""
    cycles, price = 10, generator.uniform(0.005, 0.06)
    rule = Rule(alpha=ALPHA, tests=cycles, learn=("task",), guards=(("guard", MARGIN),))
    gain, together = _gain_of(60), _told_groups(sizes)
    current = [[generator.random() < 0.9] * size for size in sizes]
    base, kept = _as_verdicts(current), 0.0
    for cycle in range(cycles):
        chance = min(1.0, price / max(0.9 - kept, 0.05))  # of a group that is right to be lost as a whole
        candidate = [[was[0] and generator.random() >= chance] * len(was) for was in current]
        after = _as_verdicts(candidate)
        guard = _compared(_as_verdicts(current), after, "guard", together)
        against = [_compared(base, after, "guard", together)] if since_base and cycle else []
        if judge(rule, [gain, guard], against).outcome == "accept":
            current, kept = candidate, kept + price
    return kept > MARGIN


def _is_seen(sizes: Sizes, generator: random.Random) -> bool:
    """Whether a true gain of the size that the plan calls detectable is accepted; three verdicts in ten change."""
    counts = {size: sizes.count(size) for size in set(sizes) if size > 1}
    gain = detectable_gain(int(effective_questions(sum(sizes), counts)), ALPHA) or 0.0
    better, fixed, broken, clusters = (0.3 + gain) / 2, 0, 0, list[Cluster]()
    for size in sizes:
        drawn = generator.random()
        up, down = size * (drawn < better), size * (better <= drawn < 0.3)
        fixed, broken = fixed + up, broken + down
        if size > 1:
            clusters.append(Cluster(size=size, fixed=up, broken=down))
    return mcnemar_gain(fixed, broken, clusters) <= ALPHA


# Verdicts and groups -----------------------------------------------------------------------------------------------


def _as_verdicts(groups: Sequence[Sequence[bool]]) -> Verdicts:
    return {
        f"{number}-{place}": "right" if good else "wrong"
        for number, group in enumerate(groups)
        for place, good in enumerate(group)
    }


def _told_groups(sizes: Sizes) -> list[list[str]]:
    return [[f"{group}-{place}" for place in range(size)] for group, size in enumerate(sizes) if size > 1]


def _found_groups(sizes: Sizes, generator: random.Random) -> Sequence[Sequence[str]]:
    """The groups that the gate finds: the same question again, in capitals, or with a word put in."""
    examples = []
    for group, size in enumerate(sizes):
        text = " ".join(generator.choices(_WORDS, k=30)) + f" with {group} and {generator.randrange(999)}?"
        for place in range(size):
            written = [text, text.upper(), f"{text} now"][generator.randrange(3)]
            examples.append(Example(id=f"{group}-{place}", task="task", split="dev", question=written, answer="1"))
    return find_groups(examples)


def _gain_of(fixed: int) -> Comparison:
    before: Verdicts = {str(place): "wrong" for place in range(100)}
    after: Verdicts = {str(place): "right" if place < fixed else "wrong" for place in range(100)}
    return _compared(before, after, "learn", ())


def _compared(before: Verdicts, after: Verdicts, role: Role, together: Sequence[Sequence[str]]) -> Comparison:
    name = "guard" if role == "guard" else "task"
    old, new = (_evaluation(name, point, len(before)) for point in ("before", "after"))
    return compare((old, before), (new, after), role, MARGIN if role == "guard" else 0.0, together)


def _evaluation(task: str, checkpoint: str, n: int) -> Evaluation:
    return Evaluation(
        checkpoint=checkpoint,
        task=task,
        split="dev",
        target="t",
        examples="e",
        n=n,
        generation=Generation(max_new_tokens=1),
        scorer="numeric",
    )
