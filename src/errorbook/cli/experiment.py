"""The command `experiment`: arms x seeds at equal budget. Parses, calls, renders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from errorbook.cli.options import FILE, JSON, complain, print_json

if TYPE_CHECKING:
    from errorbook.experiment.summary import Summary


@click.command()
@FILE
@click.option("--out", type=click.Path(path_type=Path), help="The experiment's folder; each run is a folder in it.")
@click.option("--results", type=click.Path(path_type=Path), help="Write the result file here as well, to commit it.")
@JSON
def experiment(file: Path, out: Path | None, results: Path | None, as_json: bool) -> int:
    """Compare arms x seeds at equal budget; Ctrl-C and kill -9 are both safe.

    FILE names a base run file, arms as changes to it, and seeds. Every arm and seed is a run of its own, and the same
    command goes on; a second one beside it takes the runs that are left. Exits with 1 if another process still works on
    some of them.
    """
    from errorbook.experiment.file import load
    from errorbook.experiment.results import is_results, write_results
    from errorbook.experiment.runner import PAGE, RESULTS, run_experiment
    from errorbook.experiment.summary import summarise
    from errorbook.files import require_output, require_place
    from errorbook.render.terminal import show_progress

    asked = load(file)
    folder = out or file.parent / "runs" / asked.name
    require_place(folder)
    if results is not None:
        require_output(results, [file], is_results, "result file")
    found = run_experiment(asked, folder, complain, show_progress)
    if results is not None:
        write_results(results, found)
    made = summarise(found)
    if as_json:
        print_json(made)
    else:
        _show(made)
        click.echo(f"\nThe page is {folder / PAGE}, the result file {folder / RESULTS}. Next:\n  errorbook ui {folder}")
    return 1 if found.missing else 0


def _show(summary: Summary) -> None:
    from errorbook.experiment.tables import make_notes, make_tables
    from errorbook.render.terminal import make_table, out, strip_controls

    console = out()
    for table in make_tables(summary, wide=False):
        if table.rows:
            console.print(make_table(table.title.replace("`", ""), table.columns, table.rows, table.left))
    for note in make_notes(summary):
        console.print(strip_controls(note.replace("`", "")))
