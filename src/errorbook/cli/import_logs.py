"""The command `import`: an error book from evaluation logs that people have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from errorbook.cli.options import JSON, TASK_OPTION, parse_options, print_json

if TYPE_CHECKING:
    from errorbook.config import TaskSection
    from errorbook.importing.book import Judged, VerdictTally
    from errorbook.interfaces import Task

_SHOWN = 60


class ImportOptions(NamedTuple):
    """The options of `import`."""

    task: str
    label: Literal["right", "wrong"] | None
    rescore: bool
    model: str | None
    pairs: tuple[str, ...]


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="The task that was asked; it names the scorer.")
@click.option("--label", type=click.Choice(["right", "wrong"]), help="What all responses of the file are.")
@click.option("--rescore", is_flag=True, help="Judge again instead of trusting the labels.")
@click.option("--model", help="Names the model if the log does not, or picks one of several.")
@TASK_OPTION
@click.option("--out", type=click.Path(path_type=Path), help="The book's folder.  [default: one below ./runs]")
@JSON
def import_logs(file: Path, out: Path | None, as_json: bool, **given: Any) -> None:
    """Build an error book from evaluation logs you already have.

    Reads lm-evaluation-harness samples, inspect logs, requests to OpenAI-compatible endpoints with their responses, and
    JSON Lines or CSV with a question and a response a row.
    """
    from errorbook.files import require_place
    from errorbook.importing import book as importing
    from errorbook.importing.logs.formats import read_log

    options = ImportOptions(**given)
    if out is not None:
        require_place(out)
    log = read_log(file)
    section, scorer_name = _make_section(options)
    click.echo(" ".join(filter(None, (f"Read '{file}' as {log.format}.", log.note))), err=True)
    entries = importing.apply_label(importing.select_model(log, options.model), options.label)
    if options.rescore:
        items = _rescore(entries, section.name, scorer_name)
    else:
        items, scorer_name = importing.trust_labels(entries, section.name), importing.TRUSTED
    books = importing.write_books(out or _default_out(file, options), section, items, scorer_name)
    if as_json:
        print_json(importing.tally(items))
        for book in books:
            click.echo(f"The book is {book}.", err=True)
    else:
        _show_import(importing.group_by_model(items), books)


def _make_section(options: ImportOptions) -> tuple[TaskSection, str]:
    """The task as a run file would name it, and the name of its scorer."""
    from errorbook import plugins
    from errorbook.config import TaskSection

    chosen = parse_options(options.pairs)
    task: Task = plugins.create("tasks", options.task, chosen)
    kind = "" if task.name == options.task else options.task
    return TaskSection(name=task.name, kind=kind, options=chosen), task.scorer


def _rescore(entries: Sequence[Any], task: str, scorer_name: str) -> list[Judged]:
    from errorbook import plugins
    from errorbook.importing.book import rescore
    from errorbook.ledger.events import Event
    from errorbook.render.terminal import show_progress

    scorer = plugins.create("scorers", scorer_name)
    with show_progress(1) as watch:
        return list(rescore(entries, task, scorer, lambda done, total: watch(Event("score", 0, done, total, task))))


def _default_out(file: Path, options: ImportOptions) -> Path:
    """A folder for each content and choice of options, so that two imports never meet by accident."""
    from errorbook.records import digest

    chosen = digest(file.read_bytes(), *(repr(value) for value in options))
    return Path("runs") / f"import-{file.stem}-{chosen[:8]}"


def _show_import(models: dict[str, list[Judged]], books: Sequence[Path]) -> None:
    from errorbook.importing.book import tally
    from errorbook.render.tables import make_table, strip_controls
    from errorbook.render.terminal import out

    console = out()
    tallies = {model: tally(items) for model, items in models.items()}
    columns = ["model", "n", "right", "wrong", "unscorable", "disagree"]
    rows = [[model, *_counts(counted)] for model, counted in tallies.items()]
    console.print(make_table("Responses", columns, rows, 1))
    cases = [case for counted in tallies.values() for case in counted.disagree]
    if cases:
        listed = [[case.id, case.label, case.score, case.method, case.extracted[:_SHOWN]] for case in cases]
        console.print(
            make_table("Label and scorer disagree", ["id", "label", "score", "method", "extracted"], listed, 0)
        )
    console.print()
    for book in books:
        console.print(strip_controls(f"The book is {book}. Next: errorbook report {book}"), soft_wrap=True)


def _counts(counted: VerdictTally) -> list[int]:
    return [counted.n, counted.right, counted.wrong, counted.unscorable, len(counted.disagree)]
