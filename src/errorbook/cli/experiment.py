"""The command `experiment`: arms x seeds at equal budget. Parses, calls, renders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from errorbook.cli.options import FILE, JSON, complain, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from errorbook.experiment.file import Experiment
    from errorbook.experiment.summary import Summary
    from errorbook.experiment.tables import Table


@click.command()
@FILE
@click.option("--out", type=click.Path(path_type=Path), help="The experiment's folder; each run is a folder in it.")
@click.option("--results", type=click.Path(path_type=Path), help="Write the result file here as well, to commit it.")
@click.option("--plan", is_flag=True, help="Run nothing: how many seeds and questions the wanted difference needs.")
@JSON
def experiment(file: Path, out: Path | None, results: Path | None, plan: bool, as_json: bool) -> int:
    """Compare arms x seeds at equal budget; Ctrl-C and kill -9 are both safe.

    FILE names a base run file, arms as changes to it, and seeds. Every arm and seed is a run of its own, and the same
    command goes on; a second one beside it takes the runs that are left. Exits with 1 if another process still works on
    some of them.
    """
    from errorbook.errors import ErrorbookError
    from errorbook.experiment.file import load
    from errorbook.experiment.page import is_page
    from errorbook.experiment.results import PAGE, RESULTS, is_results, read_results, write_results
    from errorbook.experiment.runner import run_experiment
    from errorbook.experiment.summary import summarise
    from errorbook.files import require_output, require_place
    from errorbook.render.terminal import show_progress

    asked = load(file)
    folder = out or file.parent / "runs" / asked.name
    if plan:
        return _plan(asked, folder, as_json)
    require_place(folder)
    if folder.exists():
        require_output(folder / PAGE, [file], is_page, "page of an experiment")
        require_output(folder / RESULTS, [file], is_results, "result file")
    if results is not None:
        require_output(results, [file], is_results, "result file")
    try:
        found = run_experiment(asked, folder, complain, show_progress)
    except ErrorbookError:
        if (folder / RESULTS).exists() and not as_json:
            _show(summarise(read_results(folder / RESULTS)))
        raise
    if results is not None:
        write_results(results, found)
    made = summarise(found)
    if as_json:
        print_json(made)
    else:
        _show(made)
        click.echo(f"\nThe page is {folder / PAGE}, the result file {folder / RESULTS}. Next:\n  errorbook ui {folder}")
    return 1 if found.missing else 0


def _plan(asked: Experiment, folder: Path, as_json: bool) -> int:
    from errorbook.experiment.plan import make_plan, say_plan, tabulate

    made = make_plan(asked, folder)
    if as_json:
        print_json(made)
    else:
        _print([tabulate(made)], say_plan(made))
    return 0


def _show(summary: Summary) -> None:
    from errorbook.experiment.tables import make_notes, make_tables

    _print(make_tables(summary, wide=False), make_notes(summary))


def _print(tables: Sequence[Table], notes: Sequence[str]) -> None:
    from errorbook.render.tables import make_table, strip_controls
    from errorbook.render.terminal import out

    console = out()
    for table in tables:
        if table.rows:
            console.print(make_table(table.title.replace("`", ""), table.columns, table.rows, table.left))
    for note in notes:
        console.print(strip_controls(note.replace("`", "")))
