"""What a result file says: gains, differences from the control, forgetting and costs, each with its interval.

Everything is computed from the verdicts and costs of the file. A gain is the accuracy on test after the last training
minus that of the base arm, on the same questions of the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from errorbook.experiment.arms import BASE
from errorbook.experiment.results import Questions, Results, RunResult
from errorbook.stats import holm
from errorbook.stats.mixed import Mean, Ratio, Resampled, mean_of, ratio_of, resample_questions, rescale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over seeds and questions with its 95% interval, in accuracy.

    `spread` is the standard deviation from seed to seed, and `by_chance` that which one seed's questions alone explain.
    """

    value: float
    low: float
    high: float
    p_value: float
    seeds: int
    spread: float | None = None
    by_chance: float = 0.0


class Multiple(msgspec.Struct, frozen=True, kw_only=True):
    """So many times the control's; `low` and `high` are None if the data do not bound it."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One task, or all learnt ones together: the gain of an arm, and its difference from the control."""

    accuracy: float
    gain: Estimate | None = None
    against: Estimate | None = None
    p_holm: float | None = None


class SeedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run: accuracy on all learnt tasks together after its last training, and the gain over its seed's base."""

    seed: int
    accuracy: float
    gain: float


class ArmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: means over its runs. `learnt` is of all learnt tasks together, `tasks` of each task by name.

    `budget` are the samples that it was to have, and `samples` those that it had; a strategy may find fewer.
    `kept` is the gain of what the gate kept, which is nothing for a run whose candidates it refused. The multiples are
    of the gain per sample, dollar and minute.
    """

    arm: str
    seeds: int
    by_seed: tuple[SeedSummary, ...] = ()
    learnt: Change
    tasks: dict[str, Change]
    kept: float | None
    accepted: int
    decided: int
    budget: int
    samples: float
    rejections: float
    lessons: float
    tokens: float
    usd: float
    minutes: float
    per_sample: Multiple | None = None
    per_dollar: Multiple | None = None
    per_minute: Multiple | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole experiment in numbers; `questions` are those of all seeds by task, and `groups` what they count as."""

    name: str
    model: str
    control: str
    seeds: tuple[int, ...]
    missing: int
    questions: dict[str, int]
    groups: dict[str, int]
    guards: tuple[str, ...]
    arms: tuple[ArmSummary, ...]


class _Runs(NamedTuple):
    """The finished runs by arm and seed, and the questions by task and seed."""

    by_arm: dict[str, dict[int, RunResult]]
    questions: dict[str, dict[int, Questions]]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    control: str
    budgets: dict[str, int]


class _Scope(NamedTuple):
    """One or more tasks as measures: the gain of every arm first, then the difference of each from the control."""

    resampled: Resampled
    accuracy: dict[str, float]
    places: dict[str, int]
    differences: dict[str, int]
    n: int


def summarise(results: Results) -> Summary:
    """Compute everything that is shown of an experiment."""
    runs = _sort(results)
    if not runs.seeds:
        return _begin(results)
    roles = {item.task: item.role for item in results.questions}
    learnt = [task for task, role in roles.items() if role == "learn"]
    whole = _measure(runs, learnt)
    scopes = {task: _measure(runs, [task]) for task in roles}
    families = {"": _compare(whole), **{task: _compare(scope) for task, scope in scopes.items()}}
    arms = [
        _summarise_arm(runs, arm, whole, families[""][arm], {task: families[task][arm] for task in roles})
        for arm in runs.arms
        if runs.by_arm[arm]
    ]
    return Summary(
        name=results.name,
        model=results.model,
        control=results.control,
        seeds=results.seeds,
        missing=results.missing,
        questions={task: scope.n for task, scope in scopes.items()},
        groups={task: scope.resampled.groups for task, scope in scopes.items()},
        guards=tuple(task for task, role in roles.items() if role == "guard"),
        arms=tuple(arms),
    )


def _begin(results: Results) -> Summary:
    """The summary of an experiment without a finished base run."""
    return Summary(
        name=results.name,
        model=results.model,
        control=results.control,
        seeds=results.seeds,
        missing=results.missing,
        questions={},
        groups={},
        guards=(),
        arms=(),
    )


def _sort(results: Results) -> _Runs:
    """The runs that have a base to be held against."""
    based = {run.seed for run in results.runs if run.arm == BASE}
    by_arm: dict[str, dict[int, RunResult]] = {arm.name: {} for arm in results.arms}
    for run in results.runs:
        if run.seed in based:
            by_arm[run.arm][run.seed] = run
    questions: dict[str, dict[int, Questions]] = {}
    for item in results.questions:
        if item.seed in based:
            questions.setdefault(item.task, {})[item.seed] = item
    seeds = tuple(seed for seed in results.seeds if seed in based)
    budgets = {arm.name: arm.samples for arm in results.arms}
    return _Runs(by_arm, questions, tuple(by_arm), seeds, results.control, budgets)


def _measure(runs: _Runs, tasks: Sequence[str]) -> _Scope:
    """Resample the questions of some tasks together."""
    import numpy as np

    groups, members = _group(runs, tasks)
    counts = np.zeros((len(runs.seeds), groups))
    for row, seed in enumerate(runs.seeds):
        np.add.at(counts[row], members[seed], 1)
    right = {arm: [_right(runs, arm, seed, tasks) for seed in runs.seeds] for arm in runs.arms}
    trained = [arm for arm in runs.arms if arm != BASE]
    pairs = [(arm, BASE) for arm in trained]
    compared = [arm for arm in trained if arm != runs.control]
    pairs += [(arm, runs.control) for arm in compared]
    sums = np.full((len(pairs), len(runs.seeds), groups), np.nan)
    for place, (one, other) in enumerate(pairs):
        for row, seed in enumerate(runs.seeds):
            after, before = right[one][row], right[other][row]
            if after is not None and before is not None:
                sums[place, row] = np.bincount(members[seed], weights=after - before, minlength=groups)
    return _Scope(
        resampled=resample_questions(sums, counts),
        accuracy={
            arm: float(np.mean([one.mean() for one in found])) for arm in runs.arms if (found := _known(right[arm]))
        },
        places={arm: place for place, arm in enumerate(trained)},
        differences={arm: len(trained) + place for place, arm in enumerate(compared)},
        n=int(counts.sum()),
    )


def _known(found: Sequence[NDArray[np.float64] | None]) -> list[NDArray[np.float64]]:
    return [one for one in found if one is not None]


def _group(runs: _Runs, tasks: Sequence[str]) -> tuple[int, dict[int, NDArray[np.int64]]]:
    """How many groups of questions there are in all seeds together, and for each seed the group of each question.

    A question that several seeds ask is one, and what belongs together in one seed does so in all.
    """
    import numpy as np
    from scipy.cluster.hierarchy import DisjointSet

    given = [item for task in tasks for item in runs.questions[task].values()]
    groups = DisjointSet((item.task, id) for item in given for id in item.ids)
    for item in given:
        for first, *others in item.together:
            for place in others:
                groups.merge((item.task, item.ids[first]), (item.task, item.ids[place]))
    asked = {seed: [groups[task, id] for task in tasks for id in runs.questions[task][seed].ids] for seed in runs.seeds}
    number = {one: place for place, one in enumerate(dict.fromkeys(one for seed in runs.seeds for one in asked[seed]))}
    return len(number), {seed: np.array([number[one] for one in asked[seed]], dtype=np.int64) for seed in runs.seeds}


def _right(runs: _Runs, arm: str, seed: int, tasks: Sequence[str]) -> NDArray[np.float64] | None:
    """1 for every question that the arm's last training answers right, in the order of `_group`; None without a run."""
    import numpy as np

    run = runs.by_arm[arm].get(seed)
    if run is None:
        return None
    verdicts = run.examined[run.outcome].verdicts
    return np.array([float(letter == "r") for task in tasks for letter in verdicts[task]])


def _compare(scope: _Scope) -> dict[str, Change]:
    """Every arm's gain and difference from the control, the p-values corrected for all arms of the table (Holm)."""
    means = {arm: mean_of(scope.resampled, place) for arm, place in scope.differences.items()}
    tested = {arm: mean.p_value for arm, mean in means.items() if mean is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        arm: Change(
            accuracy=accuracy,
            gain=_estimate(mean_of(scope.resampled, scope.places[arm])) if arm in scope.places else None,
            against=_estimate(means.get(arm)),
            p_holm=adjusted.get(arm),
        )
        for arm, accuracy in scope.accuracy.items()
    }


def _estimate(mean: Mean | None) -> Estimate | None:
    if mean is None:
        return None
    return Estimate(
        value=mean.value,
        low=mean.low,
        high=mean.high,
        p_value=mean.p_value,
        seeds=mean.seeds,
        spread=None if mean.between is None else (mean.between * mean.seeds) ** 0.5,
        by_chance=(mean.questions * mean.seeds) ** 0.5,
    )


def _summarise_arm(runs: _Runs, arm: str, whole: _Scope, learnt: Change, tasks: dict[str, Change]) -> ArmSummary:
    own = runs.by_arm[arm]
    costs = [run.cost for run in own.values()]
    outcomes = [item.outcome for run in own.values() for item in run.examined if item.outcome in ("accept", "reject")]

    def multiple(cost: Callable[[RunResult], float]) -> Multiple | None:
        return _multiply(runs, whole, arm, cost)

    return ArmSummary(
        arm=arm,
        seeds=len(own),
        by_seed=tuple(_summarise_run(runs, arm, seed, list(_learnt(runs, tasks))) for seed in own),
        learnt=learnt,
        tasks=tasks,
        kept=_gain_kept(runs, arm, tasks),
        accepted=outcomes.count("accept"),
        decided=len(outcomes),
        budget=runs.budgets[arm],
        samples=_average([sum(cost.samples) for cost in costs]),
        rejections=_average([cost.rejections for cost in costs]),
        lessons=_average([cost.lessons for cost in costs]),
        tokens=_average([cost.tokens for cost in costs]),
        usd=_average([cost.usd for cost in costs]),
        minutes=_average([cost.minutes for cost in costs]),
        per_sample=multiple(lambda run: sum(run.cost.samples)),
        per_dollar=multiple(lambda run: run.cost.usd),
        per_minute=multiple(lambda run: run.cost.minutes),
    )


def _learnt(runs: _Runs, tasks: Iterable[str]) -> Iterator[str]:
    return (task for task in tasks if next(iter(runs.questions[task].values())).role == "learn")


def _summarise_run(runs: _Runs, arm: str, seed: int, tasks: Sequence[str]) -> SeedSummary:
    after, before = _right(runs, arm, seed, tasks), _right(runs, BASE, seed, tasks)
    assert after is not None  # noqa: S101 - `_sort` keeps no other runs
    assert before is not None  # noqa: S101
    return SeedSummary(seed=seed, accuracy=float(after.mean()), gain=float(after.mean() - before.mean()))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _gain_kept(runs: _Runs, arm: str, tasks: dict[str, Change]) -> float | None:
    """The mean gain of what the gate kept on the learnt tasks."""
    learnt = list(_learnt(runs, tasks))
    gains = []
    for seed, run in runs.by_arm[arm].items():
        before = "".join(runs.by_arm[BASE][seed].examined[0].verdicts[task] for task in learnt)
        kept = run.examined[run.kept].verdicts if run.kept else None
        after = before if kept is None else "".join(kept[task] for task in learnt)
        gains.append((after.count("r") - before.count("r")) / len(before))
    return _average(gains) if arm != BASE and gains else None


def _multiply(runs: _Runs, scope: _Scope, arm: str, cost: Callable[[RunResult], float]) -> Multiple | None:
    """An arm's gain for its cost as a multiple of the control's; None if either cost nothing, or for the control."""
    import numpy as np

    if arm in (BASE, runs.control) or runs.control not in scope.places:
        return None
    factors = np.full(scope.resampled.values.shape, np.nan)
    for one in (arm, runs.control):
        for row, seed in enumerate(runs.seeds):
            run = runs.by_arm[one].get(seed)
            spent = cost(run) if run is not None else 0.0
            if spent > 0:
                factors[scope.places[one], row] = 1 / spent
    found: Ratio | None = ratio_of(rescale(scope.resampled, factors), scope.places[arm], scope.places[runs.control])
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return Multiple(value=found.value if np.isfinite(found.value) else None, low=low, high=high)
