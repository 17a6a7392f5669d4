"""What the terminal shows: progress on stderr, tables on stdout. Its tables are `tables`'.

A terminal gets a bar with the time left; a log gets one plain line every few seconds. NO_COLOR is honoured by rich.
It decides nothing and computes nothing.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from errorbook.render import status_words as standing
from errorbook.render import words as sentences
from errorbook.render.decision_words import decision_title, looks_text
from errorbook.render.tables import make_table, strip_controls
from errorbook.render.task_words import task_words
from errorbook.render.words import cost_row, each_text
from errorbook.report.fates import FATES
from errorbook.report.records import Difference

if TYPE_CHECKING:
    from errorbook.ledger.events import Event, Watch
    from errorbook.report.records import Accuracy, Report
    from errorbook.report.status import Status
    from errorbook.report.supply_records import KindCost
    from errorbook.setup.doctor import Finding
    from errorbook.setup.plan import Plan

_EVERY = 5.0
_PLAIN_WIDTH = 110
_MOST_KINDS = 30


def out() -> Console:
    """The console for data: stdout, wide enough for the tables if it is not a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    return console


@contextmanager
def show_progress(cycles: int) -> Iterator[Watch]:
    """Show progress on stderr for as long as the block lasts; what comes after `cycles` is the final exam."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _plain_lines(console, cycles)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def watch(event: Event) -> None:
            name = _named(event, cycles)
            if name not in bars:
                if event.done >= event.total:  # told again that it has ended
                    return
                bars[name] = progress.add_task(name, total=event.total)
            progress.update(bars[name], completed=event.done, total=event.total)
            if event.done >= event.total:
                progress.stop_task(bars.pop(name))

        yield watch


def plain_progress(cycles: int) -> Watch:
    """Progress in plain lines on stderr, wherever that goes: a notebook shows them below the cell."""
    return _plain_lines(Console(stderr=True, highlight=False, force_terminal=False, force_jupyter=False), cycles)


def _plain_lines(console: Console, cycles: int) -> Watch:
    """One line at a stage's begin and end, and every few seconds between."""
    last: dict[str, tuple[float, int]] = {}

    def watch(event: Event) -> None:
        name, now = _named(event, cycles), time.monotonic()
        printed, reached = last.get(name, (-_EVERY, -1))
        if reached != event.done and (now - printed >= _EVERY or event.done >= event.total):
            last[name] = (now, event.done)
            console.print(f"{name} ... {event.done}/{event.total}", markup=False, soft_wrap=True)

    return watch


def _named(event: Event, cycles: int) -> str:
    when = "" if not event.cycle else "final exam: " if event.cycle > cycles else f"cycle {event.cycle}: "
    return strip_controls(when + standing.stage_name(event)).plain


def report_text(report: Report, plain_text: bool) -> str:
    """The report as the terminal shows it; `plain_text` leaves out colours whatever stdout is."""
    console = Console(file=io.StringIO(), highlight=False, width=_PLAIN_WIDTH) if plain_text else out()
    with console.capture() as captured:
        show_report(report, console)
    return captured.get()


def show_report(report: Report, console: Console) -> None:
    """The report as a headline and tables."""
    report = sentences.for_readers(report)
    headline = sentences.headline(report)
    console.print()
    console.print(Text(headline.title, style="bold"))
    console.print(strip_controls(headline.text))
    _show_accuracy(report, console)
    for text in (*sentences.list_result_remarks(report), *map(sentences.noise_text, report.noise)):
        console.print(strip_controls(text))
    _show_fates(report, console)
    _show_decisions(report, console)
    if report.skills:
        rows = [
            [item.task, sentences.words(item.skill), item.base.n, _share(item.base), _share(item.final)]
            for item in report.skills
        ]
        title = f"Skills on {report.skills[0].split}"
        console.print(make_table(title, ["task", "skill", "n", "base (95%)", "final (95%)"], rows, 2))
    _show_kinds(report, console)
    for item in report.relearnt:
        console.print(strip_controls(sentences.again_text(item)))
    _show_funnel(report, console)
    if report.corrections:
        console.print(strip_controls(sentences.corrections_text(report.corrections)))
    if report.changes:
        console.print(strip_controls(sentences.changes_text(report)))
    _show_costs(report.spending.by_kind, console)
    console.print(strip_controls(f"Time {sentences.duration(report.seconds)}; {sentences.spent_text(report)}"))


def _show_accuracy(report: Report, console: Console) -> None:
    rows, lost = [], []
    for task, splits in report.tasks.items():
        for split, result in splits.items():
            name = sentences.task_name(task, result.role)
            change = _change(result.difference) if result.difference else "–"
            p_value = "–" if result.p_value is None else _p(result.p_value)
            asked = f"{result.base.n}/{result.base.planned}" if result.base.n < result.base.planned else result.base.n
            rows.append([name, split, asked, _share(result.base), _share(result.final), change, p_value])
            for side, accuracy in (("base", result.base), ("final", result.final)):
                if accuracy and (accuracy.unscorable or accuracy.truncated):
                    lost.append([name, split, side, accuracy.n, accuracy.unscorable, accuracy.truncated])
    columns = ["task", "split", "n", "base (95%)", "final (95%)", "points (95%)", "p"]
    console.print(make_table("Accuracy", columns, rows, 2))
    if lost:
        columns = ["task", "split", "model", "responses", "unscorable", "cut off"]
        console.print(make_table("Responses that could not be scored, or were cut off", columns, lost, 3))


def _show_fates(report: Report, console: Console) -> None:
    """The questions by fate; a line of those that only one checkpoint was asked would say nothing."""
    rows: list[list[object]] = [
        [item.task, item.split, item.n, *(band.n for band in item.bands)]
        for item in report.fates
        if item.checkpoints > 1
    ]
    if rows:
        columns = ["task", "split", "n", *map(sentences.words, FATES)]
        kept = [index for index in range(len(columns)) if columns[index] != "waiting" or any(row[-1] for row in rows)]
        shown = [[row[index] for index in kept] for row in rows]
        console.print(make_table("What became of the questions", [columns[index] for index in kept], shown, 2))


def _show_kinds(report: Report, console: Console) -> None:
    rows = [
        [
            item.task,
            sentences.brief(sentences.words(item.kind)),
            item.n,
            "–" if item.fixed is None else item.fixed,
            item.trained,
            "–" if item.broken is None else f"{item.broken} of {item.right_before}",
            f"{item.control.control_fixed} of {item.control.n}" if item.control else "–",
        ]
        for item in report.error_kinds[:_MOST_KINDS]
    ]
    columns = ["task", "kind", "mistakes", "fixed", "samples", "newly broken", "fixed by the control"]
    if rows:
        console.print(make_table("Mistakes of cycle 1", columns, rows, 2))
        if len(rows) < len(report.error_kinds):
            console.print(f"The {len(rows)} most frequent of {len(report.error_kinds)} kinds.")
        console.print(strip_controls(sentences.cause_text(report)))


def _show_decisions(report: Report, console: Console) -> None:
    for cycle in report.cycles:
        title = (f"\n{decision_title(cycle)}. ", "bold")
        console.print(Text.assemble(title, strip_controls(sentences.sentence(cycle.reason))))
        if cycle.looks:
            console.print(looks_text(cycle))
        rows = [
            [
                f"{item.task} ({item.role}{since})",
                f"{item.right_before}/{item.n}",
                f"{item.right_after}/{item.n}",
                item.fixed,
                item.broken,
                _change(Difference(value=item.difference, low=item.low, high=item.high)),
                _p(item.p_value),
                "yes" if item.passed else "no",
            ]
            for since, compared in (("", cycle.comparisons), (", since the base", cycle.against_base))
            for item in compared
        ]
        if rows:
            columns = ["on dev", "before", "after", "fixed", "broken", "points (95%)", "p", "passed"]
            console.print(make_table("", columns, rows, 1))


def _show_funnel(report: Report, console: Console) -> None:
    rows: list[list[object]] = []
    for item in report.funnel.cycles:
        reasons = ", ".join(f"{n} {sentences.words(reason)}" for reason, n in item.rejected.items())
        mistakes = "–" if item.mistakes is None else item.mistakes
        rows.append([item.cycle, mistakes, item.drafts, item.samples, item.trained, reasons or "–"])
    if rows:
        columns = ["cycle", "mistakes", "drafts", "verified", "trained on", "rejected"]
        console.print(make_table("From drafts to training", columns, rows, 0))
    if len(report.strategies) > 1:
        by_strategy = list(map(sentences.strategy_row, report.strategies))
        columns = [column.lower() for column in sentences.STRATEGY_COLUMNS]
        console.print(make_table("By strategy", columns, by_strategy, 1))


def _show_costs(kinds: Sequence[KindCost], console: Console) -> None:
    rows: list[list[object]] = []
    for task, kind, *numbers in map(cost_row, kinds[:_MOST_KINDS]):
        rows.append([task, sentences.brief(str(kind)), *numbers])
    if rows:
        console.print(
            make_table("Cost of verified samples", ["task", "against", "dollars", "verified", "each"], rows, 2)
        )


def show_status(status: Status, console: Console) -> None:
    """Where a run stands."""
    console.print(Text.assemble((f"{status.name}: ", "bold"), strip_controls(standing.where(status))))
    for line in filter(None, (standing.doing(status), standing.next_step(status))):
        console.print(strip_controls(line), soft_wrap=True)
    for item in status.decisions:
        console.print(strip_controls(f"Cycle {item.cycle}: {item.decision}. {sentences.sentence(item.reason)}"))
    rows = [
        [
            task_words(item.task),
            item.split,
            item.checkpoint,
            f"{item.done}/{item.total}",
            f"{item.right} right",
        ]
        for item in status.evaluations
    ]
    console.print(make_table("Evaluations", ["task", "split", "checkpoint", "answered", "so far"], rows, 3))
    counts = ((status.diagnoses, "diagnoses"), (status.drafts, "drafts"), (status.samples, "samples"))
    line = ", ".join(f"{n} {noun}" for n, noun in counts)
    console.print(
        strip_controls(f"{line}, {status.rejections} rejected, {sentences.count(status.trainings, 'training')}.")
    )
    _show_costs(status.cost_by_kind, console)
    paid = "run" if status.host_usd else "instructor"
    cost = f"{paid} {standing.money(status)}{each_text(status.usd, status.usd_per_sample)}"
    console.print(strip_controls(f"Time {sentences.duration(status.seconds)}; {cost}; {status.run}"))


def show_plan(plan: Plan, console: Console) -> None:
    """What a run will do."""
    console.print(Text.assemble((plan.name, "bold"), f": {sentences.count(plan.cycles, 'cycle')} at most"))
    rows = [[item.task, item.role, item.train, item.dev, item.test] for item in plan.tasks]
    console.print(make_table("Questions", ["task", "role", "train", "dev", "test"], rows, 2))
    votes = f", {plan.votes} of them blind answers to drafts" if plan.votes else ""
    facts: list[list[object]] = [
        ["strategy", plan.strategy],
        ["responses of the target", f"at most {plan.responses}"],
        ["tokens it generates", f"roughly {plan.generated_tokens}, at most {plan.generated_tokens_at_most}"],
        ["instructor calls", f"at most {plan.calls}{votes}"],
        ["drafts", f"at most {plan.drafts}"],
    ]
    if plan.read_tokens:
        facts.insert(2, ["tokens it reads", f"at most {plan.read_tokens}"])
    if plan.own_answers:
        facts.insert(2, ["answers it writes in training", f"at most {plan.own_answers}"])
    if plan.training_bytes is not None:
        facts.append(["memory of a training", f"{plan.training_bytes / 2**30:.1f} GiB with one lesson at a time"])
    if plan.input_tokens is not None:
        facts.append(["instructor tokens", f"about {plan.input_tokens} in, {plan.output_tokens} out"])
    gain = "none" if plan.detectable is None else f"{100 * plan.detectable:.1f} points"
    facts += [
        ["instructor cost", _forecast_cost(plan)],
        [
            "smallest gain dev shows",
            f"{gain} (80% power, alpha {plan.alpha_each:.2g}"
            f"{f', {plan.dev_effective} questions that stand alone' if any(t.dev_groups for t in plan.tasks) else ''})",
        ],
    ]
    if plan.host_usd is not None:
        facts.insert(-1, ["cost of answers and training", f"at most ${plan.host_usd:.2f}"])
    console.print(make_table("At most this much", ["what", "how much"], facts, 2))
    for item in plan.tasks:
        if item.prompt:
            console.print(Text(f"\nA prompt of '{item.task}', about {item.prompt_tokens} tokens", "bold"))
            console.print(strip_controls(item.prompt), markup=False, highlight=False, soft_wrap=True)
    for note in plan.notes:
        console.print(strip_controls(note))
    for warning in plan.warnings:
        console.print(Text.assemble(("! ", "bold"), strip_controls(warning)))


def _forecast_cost(plan: Plan) -> str:
    if plan.usd is None:
        return "unknown: no price is given" if plan.input_tokens is not None else "unknown: it names no price"
    about = "about " if plan.usd else ""
    cap = "" if plan.budget_usd is None else f" of a budget of ${plan.budget_usd:.2f}"
    return f"{about}${plan.usd:.2f}{cap}"


def show_findings(findings: Sequence[Finding], console: Console, bad: str = "missing") -> None:
    """The doctor's findings, with the command that fixes each; `bad` is its word for what should be there."""
    for item in findings:
        mark = "ok     " if item.ok else bad if item.needed else "without"
        line = Text.assemble((f"{mark}  ", "bold"), strip_controls(f"{item.name}: {item.detail}"))
        console.print(line, soft_wrap=True)
        if item.fix:
            console.print(strip_controls(f"         fix: {item.fix}"), soft_wrap=True)


def _share(accuracy: Accuracy | None) -> str:
    """Accuracy with its interval in whole percents: a table must fit into 80 columns."""
    if accuracy is None:
        return "–"
    return f"{sentences.percent(accuracy.accuracy)} ({100 * accuracy.low:.0f}–{100 * accuracy.high:.0f})"


def _change(difference: Difference) -> str:
    low, high = (f"{100 * bound:+.0f}".replace("-", "−") for bound in (difference.low, difference.high))
    return f"{sentences.signed(difference.value)} ({low}, {high})"


def _p(p_value: float) -> str:
    return sentences.p_text(p_value).removeprefix("p ").removeprefix("= ").replace("< ", "<")
