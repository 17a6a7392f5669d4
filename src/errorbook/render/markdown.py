"""Report -> Markdown, for a pull request or a wiki. Model texts stand in fences or escaped cells, never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from errorbook.render import words as sentences
from errorbook.render.decision_words import decision_title, looks_text
from errorbook.render.words import cost_row
from errorbook.report.fates import FATES
from errorbook.report.records import Accuracy, Band, Case, Difference, ErrorKind, Report

MOST_ROWS = 60
"""Rows of a table whose number depends on an instructor's or a task's wording."""


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    report = sentences.for_readers(report)
    headline = sentences.headline(report)
    lines = [f"# {_cell(report.name)}: {headline.title}", "", _cell(headline.text), ""]
    parts = (_accuracy, _cycles, _fates, _decisions, _skills, _mistakes, _funnel, _cost, _cases, _about)
    return "\n".join([*lines, *(line for part in parts for line in part(report))]) + "\n"


def _about(report: Report) -> Iterator[str]:
    yield from ["## About this run", ""]
    yield from [f"- Target: {_cell(report.model)}", f"- Instructor: {_cell(report.instructor)}"]
    yield from [f"- Strategy: {report.strategy}", f"- Time: {sentences.duration(report.seconds)}"]
    yield from [f"- {_cell(note)}" for note in sentences.notes(report)]


def _accuracy(report: Report) -> Iterator[str]:
    rows = []
    for task, splits in report.tasks.items():
        for split, result in splits.items():
            difference = sentences.difference_text(result.difference) if result.difference else "–"
            p_value = "–" if result.p_value is None else sentences.p_text(result.p_value)
            final = _maybe(result.final)
            name = sentences.task_name(task, result.role)
            noise = sentences.noise_beside(report, task) if result.difference else "–"
            row = [name, split, result.base.n, sentences.with_interval(result.base), final, difference, noise, p_value]
            rows.append(row)
    columns = ["Task", "Split", "Questions", "Base", "Final", "Difference, points", "Noise floor", "McNemar"]
    yield from _table(columns, rows, "Accuracy")
    for text in (*sentences.list_result_remarks(report), *map(sentences.noise_text, report.noise)):
        yield from [_cell(text), ""]
    failures = [
        [task, split, result.base.unscorable, _count(result.final), result.base.truncated, _count(result.final, True)]
        for task, splits in report.tasks.items()
        for split, result in splits.items()
    ]
    columns = ["Task", "Split", "Unscorable, base", "final", "Cut off, base", "final"]
    yield from _table(columns, failures, "Responses that could not be scored or were cut off")


def _cycles(report: Report) -> Iterator[str]:
    rows = [
        [
            line.task,
            line.split,
            sentences.point_name(point),
            "yes" if point.kept else "no",
            f"{point.accuracy.right} of {point.accuracy.n}",
            sentences.with_interval(point.accuracy),
            sentences.difference_text(point.difference) if point.difference else "–",
            sentences.noise_beside(report, line.task) if point.difference else "–",
            point.accuracy.unscorable,
        ]
        for line in report.by_cycle
        for point in line.points
    ]
    columns = ["Task", "Split", "Checkpoint", "Kept", "Right", "Accuracy", "To the base, points", "Noise floor"]
    if any(len(line.points) > 1 for line in report.by_cycle):
        yield from _table([*columns, "Unscorable"], rows, "Accuracy by cycle")


def _fates(report: Report) -> Iterator[str]:
    rows = [
        [item.task, item.split, item.n, item.checkpoints, *(_band(band) for band in item.bands)]
        for item in report.fates
    ]
    columns = ["Task", "Split", "Questions", "Checkpoints", *map(sentences.words, FATES)]
    if any(item.checkpoints > 1 for item in report.fates):
        yield from _table(columns, rows, "What became of the questions")
        yield from ["In brackets those that could not be scored at the end.", ""]


def _band(band: Band) -> str:
    return f"{band.n} ({band.unscorable})" if band.unscorable else str(band.n)


def _decisions(report: Report) -> Iterator[str]:
    yield from ["## Decisions", ""]
    for cycle in report.cycles:
        yield from [f"**{decision_title(cycle)}.** {_cell(sentences.sentence(cycle.reason))}", ""]
        if cycle.looks:
            yield from [looks_text(cycle), ""]
        rows = [
            [
                f"{item.task} ({item.role}{since})",
                f"{item.right_before} of {item.n}",
                f"{item.right_after} of {item.n}",
                item.fixed,
                item.broken,
                sentences.difference_text(Difference(value=item.difference, low=item.low, high=item.high)),
                sentences.noise_beside(report, item.task),
                sentences.p_text(item.p_value),
                "yes" if item.passed else "no",
            ]
            for since, compared in (("", cycle.comparisons), (", since the base", cycle.against_base))
            for item in compared
        ]
        columns = ["On dev", "Before", "Candidate", "Fixed", "Broken", "Difference, points", "Noise floor", "Test"]
        if rows:
            yield from list_rows([*columns, "Passed"], rows)
    if not report.cycles:
        yield from ["No cycle is decided yet.", ""]


def _skills(report: Report) -> Iterator[str]:
    rows = [
        [item.task, sentences.words(item.skill), item.base.n, sentences.with_interval(item.base), _maybe(item.final)]
        for item in report.skills[:MOST_ROWS]
    ]
    if rows:
        yield from _table(["Task", "Skill", "Questions", "Base", "Final"], rows, f"Skills on {report.skills[0].split}")


def _mistakes(report: Report) -> Iterator[str]:
    shown = report.error_kinds[:MOST_ROWS]
    columns = ["Task", "Kind", "Mistakes in cycle 1", "Fixed", "Samples", "Newly broken, same skills", "Dollars"]
    rows = [_effect(item) for item in shown]
    if report.control:
        columns += ["Here", "Control", "Difference, points", "Noise floor", "McNemar"]
        rows = [[*row, *_versus(report, item)] for row, item in zip(rows, shown, strict=True)]
    if rows:
        yield from _table(columns, rows, "Kinds of mistakes")
        if len(shown) < len(report.error_kinds):
            yield from [f"The {len(shown)} most frequent of {len(report.error_kinds)} kinds.", ""]
        yield from [_cell(sentences.cause_text(report)), ""]
    for item in report.relearnt:
        yield from [_cell(sentences.again_text(item)), ""]


def _effect(item: ErrorKind) -> list[object]:
    trained = str(item.trained) if item.trained == item.kept else f"{item.trained} ({item.kept} kept)"
    fixed = "–" if item.fixed is None else f"{item.fixed} ({sentences.percent(item.fixed / item.n)})"
    broken = "–" if item.broken is None else f"{item.broken} of {item.right_before}"
    return [item.task, sentences.brief(sentences.words(item.kind)), item.n, fixed, trained, broken, f"${item.usd:.4f}"]


def _versus(report: Report, item: ErrorKind) -> list[object]:
    control = item.control
    if control is None:
        return ["–"] * 5
    return [
        f"{control.fixed} of {control.n}",
        f"{control.control_fixed} of {control.n}",
        sentences.difference_text(control.difference),
        sentences.noise_beside(report, item.task),
        sentences.p_text(control.p_value),
    ]


def _funnel(report: Report) -> Iterator[str]:
    funnel = report.funnel
    rows: list[list[object]] = [["drafts written", funnel.drafts], ["verified", funnel.samples]]
    rows += [[f"rejected: {sentences.words(reason)}", n] for reason, n in funnel.rejected.items()]
    rows += [["waiting for a check", funnel.waiting], ["trained on", funnel.trained]]
    rows += [["in the final model", funnel.kept]]
    yield from _table(["Stage", "Drafts"], rows, "From drafts to training")
    if len(report.strategies) > 1:
        by_strategy = [sentences.strategy_row(item) for item in report.strategies]
        yield from ["### By strategy", "", *list_rows(sentences.STRATEGY_COLUMNS, by_strategy)]
    if report.corrections:
        yield from [_cell(sentences.corrections_text(report.corrections)), ""]
    if report.changes:
        yield from [_cell(sentences.changes_text(report)), ""]


def _cost(report: Report) -> Iterator[str]:
    if report.spending.calls:
        yield from ["## What it cost", "", _cell(sentences.spent_text(report)), ""]
    costs = [cost_row(item) for item in report.spending.by_kind[:MOST_ROWS]]
    if costs:
        rows: list[list[object]] = [
            [f"{sentences.brief(str(kind))} ({task})", *numbers] for task, kind, *numbers in costs
        ]
        yield from ["### Cost of verified samples", ""]
        yield from list_rows(["Against", "Dollars", "Verified", "Each"], rows)


def _cases(report: Report) -> Iterator[str]:
    if report.cases:
        yield from ["## Some of the mistakes in full", "", f"{sentences.shown_text(report)}.", ""]
    for case in report.cases:
        yield from _case(case)


def _case(case: Case) -> Iterator[str]:
    kind = sentences.brief(sentences.words(case.kind)) if case.kind else "not diagnosed"
    yield from [f"### {_cell(kind)} ({_cell(case.task)}, {sentences.words(case.fate)})", "", *_fence(case.question)]
    yield from [f"Right answer: {_cell(case.answer)}. Before: {case.before.verdict}.", "", *_fence(case.before.text)]
    if case.after is not None:
        yield from [f"After: {case.after.verdict}.", "", *_fence(case.after.text)]
    if case.misconception:
        yield from [_cell(case.misconception), ""]
    for draft in case.drafts:
        reason = f" ({_cell(draft.reason)})" if draft.reason else ""
        yield from [f"Draft, {draft.outcome}{reason}:", ""]
        yield from _fence(f"{draft.question}\n\n{draft.solution}\nAnswer: {draft.answer}")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str) -> Iterator[str]:
    yield from [f"## {title}", ""]
    yield from list_rows(columns, rows)


def list_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table in Markdown, line by line, and an empty line after it."""
    yield from [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        yield f"| {' | '.join(_cell(str(value)) for value in row)} |"
    yield ""


def _cell(text: str) -> str:
    """Text that neither ends a cell nor becomes HTML, an image or a link."""
    return re.sub(r"([\\`*_\[\]<>|&#])", r"\\\1", " ".join(text.split()))


def _fence(text: str) -> list[str]:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text, fence, ""]


def _maybe(accuracy: Accuracy | None) -> str:
    return sentences.with_interval(accuracy) if accuracy else "–"


def _count(accuracy: Accuracy | None, truncated: bool = False) -> str:
    return "–" if accuracy is None else str(accuracy.truncated if truncated else accuracy.unscorable)
