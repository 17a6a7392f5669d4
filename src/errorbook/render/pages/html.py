"""Report -> one self-contained HTML page: inline styles and charts, no scripts, nothing fetched.

The page depends on the report alone, so rendering twice gives the same bytes. Every text in it may come from a model
and is escaped by the template; only `charts`, which escapes its own labels, is inserted as it is.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from errorbook.records import Verdict
from errorbook.render import words as sentences
from errorbook.render.charts import (
    BarRow,
    IntervalRow,
    bar_chart,
    cycle_chart,
    interval_chart,
    loss_chart,
    swatch,
    thin_out,
)
from errorbook.render.pages.environment import environment, style
from errorbook.report.fates import FATES, Fate
from errorbook.report.records import Accuracy, Report

MARKS: dict[Verdict, str] = {"right": "✓", "wrong": "×", "unscorable": "?"}
"""A verdict's sign: no page tells them apart by colour alone."""
MOST_ROWS = 60
"""Rows of a table, and MOST_BARS of a chart, whose number depends on an instructor's or a task's wording."""
MOST_BARS = 20
MOST_IDS = 200
"""Newly broken questions that are listed by their ids."""


def render(report: Report) -> str:
    """The page as text."""
    from markupsafe import Markup

    carried = f"\n{style()}"
    template = environment().get_template("report.html.j2")
    return template.render(context(report), style=Markup(carried), style_hash=_source(carried))  # noqa: S704 - our file


def context(report: Report) -> dict[str, object]:
    """All that `sections/*.html.j2` show: also the run's page is made of it, so its numbers are the report's.

    Lists that a run's wording can make long are cut here; the templates say so where they are.
    """
    from markupsafe import Markup

    from errorbook.render.pages.model_texts import plain

    report = sentences.for_readers(report)
    return {
        "report": report,
        "headline": sentences.headline(report),
        "notes": sentences.notes(report),
        "charts": {name: Markup(svg) for name, svg in _charts(report).items()},  # noqa: S704 - charts escapes its labels
        "loss_rows": {item.cycle: thin_out(item.losses, 10) for item in report.trainings},
        "say": sentences,
        "plain": plain,
        "marks": MARKS,
        "meaning": sentences.FATE_MEANING,
        "compared": any(result.final for splits in report.tasks.values() for result in splits.values()),
        "fates_shown": _fates_shown(report),
        "kinds": report.error_kinds[:MOST_ROWS],
        "skills": report.skills[:MOST_ROWS],
        "costs": report.spending.by_kind[:MOST_ROWS],
        "strata": report.strata[:MOST_ROWS],
        "most_ids": MOST_IDS,
        "strategy_columns": sentences.STRATEGY_COLUMNS,
        "strategy_row": sentences.strategy_row,
        "corrections_text": sentences.corrections_text(report.corrections),
        "changes_text": sentences.changes_text(report),
    }


def _source(text: str) -> str:
    """A content security policy's name of exactly this text."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _fates_shown(report: Report) -> tuple[Fate, ...]:
    """The fates that a table has columns for: all that two answers can lead to, and "waiting" if a question is."""
    waiting = any(band.n for item in report.fates for band in item.bands if band.fate == "waiting")
    compared = any(item.checkpoints > 1 for item in report.fates)
    return tuple(fate for fate in FATES if (waiting if fate == "waiting" else compared))


def _charts(report: Report) -> dict[str, str]:
    drawn = {}
    if any(report.tasks.values()):
        drawn["accuracy"] = _accuracy(report)
    if report.funnel.drafts:
        drawn["funnel"] = _funnel(report)
    if any(len(line.points) > 1 for line in report.by_cycle):
        drawn["cycles"] = _cycles(report)
    if any(item.checkpoints > 1 for item in report.fates):
        drawn["fates"] = _fates(report)
    if report.skills:
        drawn["skills"] = _skills(report)
    if report.error_kinds:
        drawn["kinds"] = _kinds(report)
    if report.spending.budget_usd:
        drawn["cost"] = _cost(report.spending.usd, report.spending.budget_usd)
    if any(item.losses for item in report.trainings):
        curves = [(f"cycle {item.cycle}", item.losses) for item in report.trainings]
        drawn["loss"] = loss_chart("Training loss by step", curves)
    return drawn


def _cycles(report: Report) -> str:
    """One panel a task and split, as many beside each other as there is room for."""
    panels = []
    for line in report.by_cycle:
        if len(line.points) > 1:
            name = f"{line.task} · {line.split}" + (" (guard)" if line.role == "guard" else "")
            drawn = cycle_chart(f"Accuracy of {name} by cycle", line.points)
            panels.append(f'<div><p class="soft">{escape(name)}</p>{drawn}</div>')
    return f'<div class="pair">{"".join(panels)}</div>'


def _fates(report: Report) -> str:
    """A bar for what more than one checkpoint was asked."""
    rows, name = [], "fates"
    for item in report.fates:
        if item.checkpoints > 1:
            n = {band.fate: band.n for band in item.bands}
            compared, right = item.n - n["waiting"], n["fixed"] + n["still_right"]
            parts = tuple((n[fate] / item.n, fate) for fate in FATES)
            rows.append(BarRow(f"{item.task} · {item.split}", f"{right} of {compared} right at the end", parts))
    used = {kind for row in rows for share, kind in row.parts if share}
    keys = (f"<span>{swatch(fate, name)}{escape(sentences.words(fate))}</span>" for fate in FATES if fate in used)
    chart = bar_chart("What became of the questions, by task and split", rows, name)
    return f'<p class="legend" aria-hidden="true">{"".join(keys)}</p>{chart}'


def _cost(usd: float, cap: float) -> str:
    row = BarRow("spent of the cap", f"${usd:.2f} of ${cap:.2f}", ((min(usd / cap, 1.0), "solid"),))
    return bar_chart("Dollars spent of the cap", [row], "cost")


def _accuracy(report: Report) -> str:
    rows = [
        IntervalRow(f"{task} · {split}", _arrow(result.base, result.final), result.base, result.final)
        for task, splits in report.tasks.items()
        for split, result in splits.items()
        if split != "train" or result.role == "learn"
    ]
    return interval_chart("Accuracy of the base and the final model with 95% intervals", rows)


def _skills(report: Report) -> str:
    several = len({item.task for item in report.skills}) > 1
    rows = [
        IntervalRow(
            f"{item.task}: {item.skill}" if several else sentences.words(item.skill),
            _arrow(item.base, item.final),
            item.base,
            item.final,
        )
        for item in report.skills[:MOST_BARS]
    ]
    return interval_chart("Accuracy by skill with 95% intervals", rows)


def _kinds(report: Report) -> str:
    most = max(item.n for item in report.error_kinds)
    rows = []
    for item in report.error_kinds[:MOST_BARS]:
        if item.fixed is None:
            rows.append(BarRow(sentences.words(item.kind), str(item.n), ((item.n / most, "stubborn"),)))
        else:
            parts = ((item.fixed / most, "fixed"), ((item.n - item.fixed) / most, "stubborn"))
            rows.append(BarRow(sentences.words(item.kind), f"{item.fixed} of {item.n} fixed", parts))
    named = f"<span>{swatch('fixed', 'kinds')}fixed</span>"
    named += f"<span>{swatch('stubborn', 'kinds')}still there, or not asked again yet</span>"
    chart = bar_chart("Mistakes of cycle 1 by kind, and how many are fixed", rows, "kinds")
    return f'<p class="legend" aria-hidden="true">{named}</p>{chart}'


def _funnel(report: Report) -> str:
    funnel = report.funnel
    stages = [("drafts written", funnel.drafts), ("verified", funnel.samples), ("trained on", funnel.trained)]
    stages.append(("in the final model", funnel.kept))
    full = max(funnel.drafts, 1)
    rows = [BarRow(label, str(n), ((n / full, "solid"),)) for label, n in stages]
    rows += [
        BarRow(f"rejected: {sentences.words(reason)}", str(n), ((n / full, "hatch"),))
        for reason, n in funnel.rejected.items()
    ]
    return bar_chart("What became of the drafts", rows, "funnel")


def _arrow(base: Accuracy, final: Accuracy | None) -> str:
    before = sentences.percent(base.accuracy)
    return f"{before} → {sentences.percent(final.accuracy)}" if final else before
