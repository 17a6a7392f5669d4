"""`errorbook compare A B`: two checkpoints or runs, paired, item by item. Parses, calls `comparing`, renders."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from errorbook.cli.options import JSON, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from errorbook.report.compare_runs import Compared, ComparedQuestion, Paired, Shown

_WIDEST, _NARROW = 60, 20


class CompareOptions(NamedTuple):
    """The options of `compare`."""

    task: str
    split: str
    change: Shown
    items: int


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--task", default="", help="Only this task.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), help="Only this split.")
@click.option(
    "--change",
    type=click.Choice(["regressions", "gains", "all"]),
    default="regressions",
    show_default=True,
    help="Which questions are listed.",
)
@click.option("--items", type=click.IntRange(min=0), default=5, show_default=True, help="Questions listed a task.")
@JSON
def compare(a: str, b: str, as_json: bool, **given: Any) -> None:
    """Paired statistics between two runs or checkpoints.

    A and B are a run's folder, or FOLDER:CHECKPOINT with base, final (the default) or the first digits of a
    candidate's hash. The difference is B minus A, on the questions that both answered.
    """
    from errorbook.report import compare_runs as comparing

    options = CompareOptions(**{**given, "split": given["split"] or ""})
    made = comparing.compare(comparing.parse_side(a), comparing.parse_side(b), options.task, options.split)
    listed = [
        item
        for row in made.tasks
        if options.items
        for item in comparing.list_items(made.a, made.b, row, options.change, options.items)
    ]
    if as_json:
        from msgspec.structs import asdict

        print_json({**asdict(made), "items": listed})
    else:
        _show(made, listed, options)


def _show(made: Compared, listed: list[ComparedQuestion], options: CompareOptions) -> None:
    from errorbook.render.compare_words import comparison_notes, list_remarks
    from errorbook.render.tables import make_table, strip_controls
    from errorbook.render.terminal import out
    from errorbook.render.words import noise_text

    console = out()
    for name, side in (("A", made.a), ("B", made.b)):
        console.print(strip_controls(f"{name}  {side.label}  ({side.model})"))
    columns = ["task", "split", "n", "A right", "B right", "fixed", "broken", "points (95%)", "p", "p (Holm)"]
    console.print(make_table("B against A", columns, [_cells(row) for row in made.tasks], 2))
    lost = [cells for row in made.tasks for cells in _lost(row)]
    if lost:
        columns = ["task", "split", "side", "responses", "unscorable", "cut off"]
        console.print(make_table("Responses that could not be scored, or were cut off", columns, lost, 3))
    for row in made.tasks:
        for text in (*([noise_text(row.noise)] if row.noise else []), *list_remarks(row)):
            console.print(strip_controls(text))
    for text in (*made.unlike, *comparison_notes(made)):
        console.print(strip_controls(text))
    for row in made.tasks:
        mine = [item for item in listed if (item.task, item.split) == (row.task, row.split)]
        if mine:
            columns = ["question", "A", "B", "A said", "B said"]
            console.print(make_table(_title(row, len(mine), options), columns, [_item(item) for item in mine], 0))
    sys.stdout.flush()


def _cells(row: Paired) -> list[object]:
    from errorbook.render.words import difference_text, percent, task_name

    return [
        task_name(row.task, row.role),
        row.split,
        row.n,
        percent(row.right_before / row.n),
        percent(row.right_after / row.n),
        row.fixed,
        row.broken,
        difference_text(row.difference),
        _p(row.p_value),
        _p(row.p_holm),
    ]


def _p(p_value: float) -> str:
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def _lost(row: Paired) -> Iterator[list[object]]:
    from errorbook.render.task_words import task_words

    counts = (
        ("A", row.unscorable_before, row.truncated_before),
        ("B", row.unscorable_after, row.truncated_after),
    )
    for side, unscorable, truncated in counts:
        if unscorable or truncated:
            yield [task_words(row.task), row.split, side, row.n, unscorable, truncated]


def _title(row: Paired, shown: int, options: CompareOptions) -> str:
    from errorbook.render.task_words import task_words
    from errorbook.report.compare_runs import SHOWN

    total = sum(row.changes[change] for change in SHOWN[options.change])
    what = {"regressions": "Regressions", "gains": "Gains", "all": "Questions, regressions first"}[options.change]
    return f"{what} of {task_words(row.task)} ({row.split}): {shown} of {total}"


def _item(item: ComparedQuestion) -> list[object]:
    question = " ".join(item.question.split())
    shown = _shorten(question, _WIDEST)
    said = [_shorten(text, _NARROW) or "–" for text in (item.extracted_before, item.extracted_after)]
    return [f"{item.example}: {shown}" if shown else item.example, item.before, item.after, *said]


def _shorten(text: str, most: int) -> str:
    """A text of at most so many characters, which says that it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
