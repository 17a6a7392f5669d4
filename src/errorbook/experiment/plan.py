"""Before an experiment is run: what it can find, and how many seeds and questions the wanted difference needs.

What arms differ by from seed to seed is not known before; it is taken from the runs of the same experiment that are
finished, if two seeds or more are, and is an assumption else.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from errorbook.checks.groups import find_groups
from errorbook.experiment.arms import BASE
from errorbook.experiment.file import Experiment, make_config
from errorbook.experiment.results import RESULTS, read_results
from errorbook.experiment.summary import Estimate, summarise
from errorbook.experiment.tables import Table
from errorbook.records import Example
from errorbook.setup.assemble import create_scorer, create_task, select_sound
from errorbook.stats import effective_questions
from errorbook.stats.seeds_needed import (
    MOST_SEEDS,
    Noise,
    detectable_difference,
    find_power,
    questions_needed,
    seeds_needed,
)

ALPHA, POWER = 0.05, 0.8
ASSUMED = Noise(discordant=0.3, between=0.02)
"""Of two trainings of a small model: one alone gets three questions in ten right, and two points from seed to seed."""
_SHOWN = (2, 3, 4, 5, 6, 8, 10, 15, 20)


class ExperimentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment can find, by the two-sided test at `alpha_each` (the first of Holm's levels).

    `questions` are the learnt tasks' test questions of one seed, `effective` as many as stand alone; `shared` is the
    share that another seed asks as well. `discordant`, `between` and `shared` are those of `Noise`, `measured` if
    finished runs tell. `detectable` is found with a power of 80%. None: no number does.
    """

    name: str
    arms: int
    runs: int
    seeds: int
    comparisons: int
    alpha_each: float
    questions: int
    effective: float
    shared: float
    discordant: float
    between: float
    measured: bool
    difference: float
    power: float
    detectable: float | None
    seeds_needed: int | None
    questions_needed: int | None
    by_seeds: dict[int, float | None]


def make_plan(experiment: Experiment, out: Path) -> ExperimentPlan:
    """What the experiment can find; `out` is its folder, of which results are read if there are any."""
    first = _list_questions(experiment, experiment.seeds[0])
    other = _list_questions(experiment, experiment.seeds[-1])
    known = {(item.task, item.id) for item in other}
    shared = sum((item.task, item.id) in known for item in first) / len(first) if len(experiment.seeds) > 1 else 0.0
    sizes: Counter[int] = Counter()
    for task in {item.task for item in first}:
        sizes.update(len(group) for group in find_groups([item for item in first if item.task == task]))
    effective = effective_questions(len(first), sizes)
    measured = _measure(out / RESULTS)
    noise = (measured or ASSUMED)._replace(shared=shared)
    comparisons = sum(arm.name not in (BASE, experiment.control) for arm in experiment.arms)
    alpha, seeds, wanted = ALPHA / max(1, comparisons), len(experiment.seeds), experiment.difference
    return ExperimentPlan(
        name=experiment.name,
        arms=len(experiment.arms),
        runs=len(experiment.arms) * seeds,
        seeds=seeds,
        comparisons=comparisons,
        alpha_each=alpha,
        questions=len(first),
        effective=effective,
        shared=shared,
        discordant=noise.discordant,
        between=noise.between,
        measured=measured is not None,
        difference=wanted,
        power=find_power(wanted, seeds, effective, noise, alpha),
        detectable=detectable_difference(seeds, effective, noise, alpha, POWER),
        seeds_needed=seeds_needed(wanted, effective, noise, alpha, POWER),
        questions_needed=_all_questions(questions_needed(wanted, seeds, noise, alpha, POWER), len(first), effective),
        by_seeds={n: detectable_difference(n, effective, noise, alpha, POWER) for n in sorted({*_SHOWN, seeds})},
    )


def tabulate(plan: ExperimentPlan) -> Table:
    """The smallest difference that so many seeds find."""
    rows = tuple((str(n), "none" if found is None else f"{100 * found:.1f}") for n, found in plan.by_seeds.items())
    return Table(f"{plan.questions} test questions a seed", ("seeds", "points found with a power of 80%"), rows, left=0)


def say_plan(plan: ExperimentPlan) -> list[str]:
    """The plan in sentences."""
    alike = "" if plan.effective >= plan.questions else f", which count as {plan.effective:.0f}"
    again = f" {100 * plan.shared:.0f}% of them are asked in several seeds." if plan.shared else ""
    whence = "measured on the runs that are finished" if plan.measured else "assumed, since no two seeds are finished"
    wanted = f"{100 * plan.difference:g} points"
    more_seeds = f"{plan.seeds_needed} seeds" if plan.seeds_needed else f"more than {MOST_SEEDS} seeds"
    more_questions = (
        f"or {plan.questions_needed:,} questions in each of {plan.seeds}"
        if plan.questions_needed
        else f"and no number of questions is enough in {plan.seeds}"
    )
    return [
        f"{plan.arms} arms x {plan.seeds} seeds: {plan.runs} runs; {plan.comparisons} are held against the control.",
        f"Each seed asks {plan.questions} test questions of the learnt tasks{alike}.{again}",
        f"Noise: two arms differ in {100 * plan.discordant:.0f}% of the questions, and their difference varies by"
        f" {100 * plan.between:.1f} points from seed to seed ({whence}).",
        f"A difference of {wanted} is found with a power of {100 * plan.power:.0f}%; for 80% it takes {more_seeds} of"
        f" these questions, {more_questions}.",
    ]


def _all_questions(standing_alone: int | None, n: int, effective: float) -> int | None:
    """So many questions of this kind, of which some belong together."""
    return None if standing_alone is None else round(standing_alone * n / effective)


def _list_questions(experiment: Experiment, seed: int) -> list[Example]:
    """The test questions of the learnt tasks in one seed."""
    config = make_config(experiment, experiment.arm(BASE), seed)
    found: list[Example] = []
    for section in config.learn():
        task = create_task(section)
        scorer = create_scorer(task.scorer, section.marking)
        found += select_sound(section, task, scorer, seed, lenient=True).examples["test"]
    return found


def _measure(file: Path) -> Noise | None:
    """What the finished runs tell of the noise of a comparison; None if no arm has two seeds."""
    if not file.exists():
        return None
    found = summarise(read_results(file))
    questions = sum(n for task, n in found.questions.items() if task not in found.guards) / len(found.seeds)
    arms = [arm.learnt.against for arm in found.arms]
    told = [one for one in arms if one is not None and one.spread is not None]
    if not told:
        return None
    variances = [_between(one) for one in told]
    changed = [one.by_chance**2 * questions + one.value**2 for one in told]
    return Noise(
        discordant=min(1.0, max(0.01, sum(changed) / len(changed))),
        between=(sum(variances) / len(variances)) ** 0.5,
    )


def _between(estimate: Estimate) -> float:
    """The variance from seed to seed that the questions do not explain."""
    return max(0.0, (estimate.spread or 0.0) ** 2 - estimate.by_chance**2)
