"""Report -> Markdown, for a pull request or a wiki. Model texts stand in fences or escaped cells, never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from errorbook import sentences
from errorbook.costs import cost_row, each_text
from errorbook.report_cases import Case
from errorbook.report_parts import Accuracy, Report


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    report = sentences.for_readers(report)
    headline = sentences.headline(report)
    lines = [f"# {_cell(report.name)}: {headline.title}", "", _cell(headline.text), "", *_accuracy(report)]
    lines += [*_decisions(report), *_skills(report), *_mistakes(report), *_funnel(report), *_cases(report)]
    lines += ["## About this run", ""]
    lines += [f"- Target: {_cell(report.model)}", f"- Instructor: {_cell(report.instructor)}"]
    lines += [f"- Strategy: {report.strategy}", f"- Time: {sentences.duration(report.seconds)}"]
    spending = report.spending
    each = each_text(spending.usd, spending.usd_per_sample)
    lines += [f"- Instructor cost: ${spending.usd:.2f} for {spending.calls} calls{each}"]
    lines += [f"- {_cell(note)}" for note in sentences.notes(report)]
    return "\n".join(lines) + "\n"


def _accuracy(report: Report) -> Iterator[str]:
    rows = []
    for task, splits in report.tasks.items():
        for split, result in splits.items():
            difference = sentences.difference_text(result.difference) if result.difference else "–"
            p_value = "–" if result.p_value is None else sentences.p_text(result.p_value)
            final = _maybe(result.final)
            name = f"{task} (guard)" if result.role == "guard" else task
            rows.append([name, split, result.base.n, sentences.with_interval(result.base), final, difference, p_value])
    yield from _table(
        ["Task", "Split", "Questions", "Base", "Final", "Difference, points", "McNemar"], rows, "Accuracy"
    )
    for item in report.noise:
        yield from [_cell(sentences.noise_text(item)), ""]
    failures = [
        [task, split, result.base.unscorable, _count(result.final), result.base.truncated, _count(result.final, True)]
        for task, splits in report.tasks.items()
        for split, result in splits.items()
    ]
    columns = ["Task", "Split", "Unscorable, base", "final", "Cut off, base", "final"]
    yield from _table(columns, failures, "Responses that could not be scored or were cut off")


def _decisions(report: Report) -> Iterator[str]:
    yield from ["## Decisions", ""]
    for cycle in report.cycles:
        yield from [f"**{sentences.decision_title(cycle)}.** {_cell(sentences.sentence(cycle.reason))}", ""]
    if not report.cycles:
        yield from ["No cycle is decided yet.", ""]


def _skills(report: Report) -> Iterator[str]:
    rows = [
        [item.task, sentences.words(item.skill), item.base.n, sentences.with_interval(item.base), _maybe(item.final)]
        for item in report.skills
    ]
    if rows:
        yield from _table(["Task", "Skill", "Questions", "Base", "Final"], rows, f"Skills on {report.skills[0].split}")


def _mistakes(report: Report) -> Iterator[str]:
    rows = [
        [item.task, sentences.words(item.kind), item.n, "–" if item.fixed is None else item.fixed]
        for item in report.error_kinds
    ]
    if rows:
        yield from _table(["Task", "Kind", "Mistakes in cycle 1", "Fixed"], rows, "Kinds of mistakes")
    for item in report.relearnt:
        yield from [_cell(sentences.again_text(item)), ""]


def _funnel(report: Report) -> Iterator[str]:
    funnel = report.funnel
    rows: list[list[object]] = [["drafts written", funnel.drafts], ["verified", funnel.samples]]
    rows += [[f"rejected: {sentences.words(reason)}", n] for reason, n in funnel.rejected.items()]
    rows += [["waiting for a check", funnel.waiting], ["trained on", funnel.trained]]
    rows += [["in the final model", funnel.kept]]
    yield from _table(["Stage", "Drafts"], rows, "From drafts to training")
    costs = [cost_row(item) for item in report.spending.by_kind]
    if costs:
        rows = [[f"{kind} ({task})", *numbers] for task, kind, *numbers in costs]
        yield from _table(["Against", "Dollars", "Verified", "Each"], rows, "Cost of verified samples")


def _cases(report: Report) -> Iterator[str]:
    if report.cases:
        yield from ["## Some of the mistakes", ""]
    for case in report.cases:
        yield from _case(case)


def _case(case: Case) -> Iterator[str]:
    kind = sentences.words(case.kind) if case.kind else "not diagnosed"
    yield from [f"### {_cell(kind)} ({_cell(case.task)})", "", *_fence(case.question)]
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
    yield from [f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
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
