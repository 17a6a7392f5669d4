"""Report -> one self-contained HTML page: inline styles and charts, no scripts, nothing fetched.

The page depends on the report alone, so rendering twice gives the same bytes. Every text in it may come from a model
and is escaped by the template; only `charts`, which escapes its own labels, is inserted as it is.
"""

from __future__ import annotations

from errorbook import sentences
from errorbook.charts import BarRow, IntervalRow, bar_chart, interval_chart, loss_chart, thin
from errorbook.pages.environment import environment, style
from errorbook.report_parts import Accuracy, Report


def render(report: Report) -> str:
    """The page as text."""
    from markupsafe import Markup

    report = sentences.for_readers(report)
    template = environment().get_template("report.html.j2")
    drawn = {name: Markup(svg) for name, svg in _charts(report).items()}  # noqa: S704 - charts escapes its labels
    return template.render(
        report=report,
        style=Markup(style()),  # noqa: S704 - our own file
        headline=sentences.headline(report),
        notes=sentences.notes(report),
        charts=drawn,
        loss_rows={item.cycle: thin(item.losses, 10) for item in report.trainings},
    )


def _charts(report: Report) -> dict[str, str]:
    drawn = {"accuracy": _accuracy(report), "funnel": _funnel(report)}
    if report.skills:
        drawn["skills"] = _skills(report)
    if report.error_kinds:
        drawn["kinds"] = _kinds(report)
    if any(item.losses for item in report.trainings):
        curves = [(f"cycle {item.cycle}", item.losses) for item in report.trainings]
        drawn["loss"] = loss_chart("Training loss by step", curves)
    return drawn


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
        for item in report.skills
    ]
    return interval_chart("Accuracy by skill with 95% intervals", rows)


def _kinds(report: Report) -> str:
    most = max(item.n for item in report.error_kinds)
    rows = []
    for item in report.error_kinds:
        if item.fixed is None:
            rows.append(BarRow(sentences.words(item.kind), str(item.n), ((item.n / most, "hatch"),)))
        else:
            parts = ((item.fixed / most, "solid"), ((item.n - item.fixed) / most, "hatch"))
            rows.append(BarRow(sentences.words(item.kind), f"{item.fixed} of {item.n} fixed", parts))
    return bar_chart("Mistakes of cycle 1 by kind, and how many are fixed", rows, "kinds")


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
