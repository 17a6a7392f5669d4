"""A summary as tables of text, the same for the terminal and for pages. It computes nothing but roundings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from errorbook.experiment.arms import BASE
from errorbook.experiment.summary import ArmSummary, Change, Estimate, Multiple, SeedSummary, Summary

NOTHING = "–"
"""What a cell shows that has nothing to say."""
_NEARLY = 0.98
"""Of the budget: what a few rejected drafts leave is taken for it."""


class Table(NamedTuple):
    """A titled table; the first `left` columns are texts, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def make_tables(summary: Summary, *, wide: bool = True) -> list[Table]:
    """What was gained and forgotten, on each task, and what it cost; guards beside the gain only if it is `wide`."""
    learnt = [task for task in summary.questions if task not in summary.guards]
    several = learnt if len(learnt) > 1 else []
    tasks = [_task(summary, task) for task in (*several, *summary.guards)]
    return [_gains(summary, wide), *tasks, _costs(summary), _multiples(summary)]


def make_run_table(summary: Summary) -> Table:
    """Every run's accuracy with its gain: one row an arm, one column a seed, in the order of `summary.seeds`."""
    found = {(arm.arm, run.seed): run for arm in summary.arms for run in arm.by_seed}
    rows = (
        (arm.arm, *(_run_cell(arm.arm == BASE, found.get((arm.arm, seed))) for seed in summary.seeds))
        for arm in summary.arms
    )
    columns = ("arm", *(f"seed {seed}" for seed in summary.seeds))
    return Table("Each run: accuracy (gain)", columns, tuple(rows))


def _run_cell(is_base: bool, run: SeedSummary | None) -> str:
    if run is None:
        return NOTHING
    return _percent(run.accuracy) + ("" if is_base else f" ({_signed(run.gain)})")


def drop_empty(table: Table) -> Table:
    """The table without the columns that have nothing to say in any row."""
    kept = [place for place in range(len(table.columns)) if any(row[place] != NOTHING for row in table.rows)]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    left = sum(place < table.left for place in kept)
    return Table(table.title, tuple(table.columns[place] for place in kept), rows, left)


def make_notes(summary: Summary) -> list[str]:
    """What a reader must know of the tables, one sentence or more each."""
    asked = ", ".join(
        f"{n} of `{task}`" + (f" in {summary.groups[task]} groups" if summary.groups[task] < n else "")
        for task, n in summary.questions.items()
    )
    notes = [
        f"Target: `{summary.model}`. Seeds: {', '.join(map(str, summary.seeds))}. Test questions of all seeds: {asked}."
        if asked
        else "No run of the base is finished yet."
    ]
    if summary.missing:
        notes.append(f"{summary.missing} run{'s are' if summary.missing > 1 else ' is'} not finished.")
    notes += [
        f"`{arm.arm}` had {arm.samples:.0f} of its {arm.budget} samples on average, so it is not at equal budget."
        for arm in _list_trained(summary)
        if arm.samples < _NEARLY * arm.budget
    ]
    notes += [
        f"`{arm.arm}` has a budget of its own: {arm.budget} samples."
        for arm in _list_trained(summary)
        if arm.budget != _usual_budget(summary)
    ]
    if any(arm.learnt.gain is not None and arm.learnt.gain.seeds == 1 for arm in summary.arms):
        notes.append(
            "An arm with one seed has an interval over questions alone: it says nothing about another training."
        )
    fewest = min((n for n in summary.groups.values()), default=0)
    if asked and fewest < 100:
        notes.append("A task has fewer than 100 questions, for which these intervals are somewhat too narrow.")
    return notes


def _usual_budget(summary: Summary) -> int:
    """That of the control, or of most arms if the control trains nothing."""
    budgets = {arm.arm: arm.budget for arm in _list_trained(summary)}
    usual = max(budgets.values(), key=list(budgets.values()).count)
    return budgets.get(summary.control, usual)


def _gains(summary: Summary, wide: bool) -> Table:
    """Accuracy and gain on all learnt tasks together, the change on each guard, and what the gate said."""
    columns = ("arm", "seeds", "accuracy", "gain (95%)", f"to {summary.control} (95%)", "p (Holm)")
    beside = summary.guards if wide else ()
    guards = tuple(f"{task}, change (95%)" for task in beside)
    rows = [
        (
            arm.arm,
            str(arm.seeds),
            _percent(arm.learnt.accuracy),
            *_compared(arm.learnt),
            *(_points(arm.tasks[task].gain) for task in beside),
            f"{arm.accepted} of {arm.decided}" if arm.decided else NOTHING,
            NOTHING if arm.kept is None or not arm.decided else _signed(arm.kept),
        )
        for arm in summary.arms
    ]
    return Table("Gain on test, in points", (*columns, *guards, "accepted", "gain kept"), tuple(rows))


def _task(summary: Summary, task: str) -> Table:
    title = f"`{task}`" + (", a guard" if task in summary.guards else "")
    columns = ("arm", "accuracy", "change (95%)", f"to {summary.control} (95%)", "p (Holm)")
    rows = ((arm.arm, _percent(arm.tasks[task].accuracy), *_compared(arm.tasks[task])) for arm in summary.arms)
    return Table(title, columns, tuple(rows))


def _costs(summary: Summary) -> Table:
    columns = ("arm", "samples", "rejected", "lessons", "tokens", "dollars", "minutes", "points per 100 samples")
    return Table("What a run took", columns, tuple(_cost_cells(arm) for arm in _list_trained(summary)))


def _cost_cells(arm: ArmSummary) -> tuple[str, ...]:
    gain = arm.learnt.gain
    each = 100 * gain.value / arm.samples * 100 if gain is not None and arm.samples else None
    return (
        arm.arm,
        f"{arm.samples:.0f}",
        f"{arm.rejections:.0f}",
        f"{arm.lessons:.0f}",
        f"{arm.tokens:,.0f}",
        f"{arm.usd:.2f}" if arm.usd else NOTHING,
        f"{arm.minutes:.1f}",
        NOTHING if each is None else f"{each:+.1f}",
    )


def _multiples(summary: Summary) -> Table:
    columns = ("arm", "per sample (95%)", "per dollar (95%)", "per minute (95%)")
    rows = (
        (arm.arm, *(_times(one) for one in (arm.per_sample, arm.per_dollar, arm.per_minute)))
        for arm in _list_trained(summary)
        if arm.arm != summary.control
    )
    return Table(f"Gain for what it took, as a multiple of {summary.control}'s", columns, tuple(rows))


def _list_trained(summary: Summary) -> list[ArmSummary]:
    return [arm for arm in summary.arms if arm.decided or arm.samples]


def _compared(change: Change) -> Iterable[str]:
    p_value = change.p_holm
    yield _points(change.gain)
    yield _points(change.against)
    yield NOTHING if p_value is None else "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def _points(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    return f"{_signed(estimate.value)} ({_signed(estimate.low)} to {_signed(estimate.high)})"


def _times(multiple: Multiple | None) -> str:
    if multiple is None or multiple.value is None:
        return NOTHING
    if multiple.low is None or multiple.high is None:
        return f"{multiple.value:.1f} (not bounded)"
    return f"{multiple.value:.1f} ({multiple.low:.1f} to {multiple.high:.1f})"


def _signed(share: float) -> str:
    points = round(100 * share, 1)
    return f"{points + 0.0:+.1f}" if points else "0.0"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
