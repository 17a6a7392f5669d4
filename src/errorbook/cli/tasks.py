"""The commands `import` and `tasks`: logs that people have, and the tasks that they may ask of a model.

Like `cli`, it parses, calls and renders; nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from errorbook.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from errorbook.config import TaskSection
    from errorbook.importing.book import Judged, Tally
    from errorbook.interfaces import Task
    from errorbook.records import Split
    from errorbook.setup.task_preview import Shown, TaskInfo

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
OPTION = click.option(
    "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the task, such as path=my.jsonl."
)
_SHOWN = 60


class Options(NamedTuple):
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
@click.option("--model", help="Names the model where the log does not, or picks one of several.")
@OPTION
@click.option("--out", type=click.Path(path_type=Path), help="The book's folder.  [default: one below ./runs]")
@JSON
def import_logs(file: Path, out: Path | None, as_json: bool, **given: Any) -> None:
    """Build an error book from evaluation logs you already have.

    Reads lm-evaluation-harness samples, inspect logs, and JSON Lines with a question and a response a row.
    """
    from errorbook.importing import book as importing
    from errorbook.importing.logs.reading import read_log

    options = Options(**given)
    log = read_log(file)
    section, scorer_name = _section(options)
    click.echo(f"Read '{file}' as {log.format}.", err=True)
    entries = importing.labelled(importing.of_model(log, options.model), options.label)
    if options.rescore:
        items = _rescored(entries, section.name, scorer_name)
    else:
        items, scorer_name = importing.trust(entries, section.name), importing.TRUSTED
    books = importing.shelve(out or _default_out(file, options), section, items, scorer_name)
    if as_json:
        _print_json(importing.tally(items))
        for book in books:
            click.echo(f"The book is {book}.", err=True)
    else:
        _show_import(importing.by_model(items), books)


def _section(options: Options) -> tuple[TaskSection, str]:
    """The task as a run file would name it, and the name of its scorer."""
    from errorbook import plugins
    from errorbook.config import TaskSection

    chosen = parse_options(options.pairs)
    task: Task = plugins.create("tasks", options.task, chosen)
    kind = "" if task.name == options.task else options.task
    return TaskSection(name=task.name, kind=kind, options=chosen), task.scorer


def _rescored(entries: Sequence[Any], task: str, scorer_name: str) -> list[Judged]:
    from errorbook import plugins
    from errorbook.importing.book import rescore
    from errorbook.ledger.events import Event
    from errorbook.render.terminal import watching

    scorer = plugins.create("scorers", scorer_name)
    with watching(1) as watch:
        return list(rescore(entries, task, scorer, lambda done, total: watch(Event("score", 0, done, total, task))))


def _default_out(file: Path, options: Options) -> Path:
    """A folder for each content and choice of options, so that two imports never meet by accident."""
    from errorbook.records import digest

    chosen = digest(file.read_bytes(), *(repr(value) for value in options))
    return Path("runs") / f"import-{file.stem}-{chosen[:8]}"


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Options given as KEY=VALUE; a value is read as in a run file, and is text where it is nothing else there.

    Raises:
        ConfigError: A pair has no '=', or a key comes twice.
    """
    import tomllib

    found: dict[str, Any] = {}
    for pair in pairs:
        key, mark, value = pair.partition("=")
        if not mark or not key or key in found:
            raise ConfigError(f"--option {pair} is not a new KEY=VALUE; write each option once, such as path=my.jsonl.")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def _show_import(models: dict[str, list[Judged]], books: Sequence[Path]) -> None:
    from errorbook.importing.book import tally
    from errorbook.render.terminal import out, plain

    console = out()
    tallies = {model: tally(items) for model, items in models.items()}
    columns = ["model", "n", "right", "wrong", "unscorable", "disagree"]
    rows = [[model, *_counts(counted)] for model, counted in tallies.items()]
    console.print(_table("Responses", columns, rows))
    cases = [case for counted in tallies.values() for case in counted.disagree]
    if cases:
        listed = [[case.id, case.label, case.score, case.method, case.extracted[:_SHOWN]] for case in cases]
        console.print(_table("Label and scorer disagree", ["id", "label", "score", "method", "extracted"], listed))
    console.print()
    for book in books:
        console.print(plain(f"The book is {book}. Next: errorbook report {book}"), soft_wrap=True)


def _counts(counted: Tally) -> list[int]:
    return [counted.n, counted.right, counted.wrong, counted.unscorable, len(counted.disagree)]


@click.group(invoke_without_command=True)
@JSON
@click.pass_context
def tasks(context: click.Context, as_json: bool) -> None:
    """The known tasks; 'errorbook tasks show NAME' shows one as the model sees it."""
    if context.invoked_subcommand is not None:
        return
    from errorbook.setup.task_preview import known_tasks

    found = known_tasks()
    if as_json:
        _print_json({"tasks": found})
    else:
        _show_tasks(found)


def _show_tasks(found: Sequence[TaskInfo]) -> None:
    from errorbook.render.terminal import out, plain

    rows = [[item.name, item.scorer or "–", item.about, f"{item.package} {item.version}"] for item in found]
    out().print(_table("", ["task", "scorer", "about", "package"], rows))
    for item in found:
        if item.needs:
            out().print(plain(f"{item.name} needs the option {', '.join(item.needs)}."))


@tasks.command()
@click.argument("name")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), help="[default: the first that there is]")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws other examples.")
@click.option("--model", default="smollm2-135m-instruct", show_default=True, help="Whose chat template is used.")
@OPTION
@JSON
def show(name: str, split: Split | None, pairs: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Three prompts of a task exactly as the model will see them.

    A response on stdin is scored against the first of them.
    """
    from msgspec.structs import replace

    from errorbook import plugins
    from errorbook.setup.task_preview import chat_template, first_examples, score_response, show_task

    task: Task = plugins.create("tasks", name, parse_options(pairs))
    examples = first_examples(task, split, given["seed"])
    shown = show_task(task, examples, chat_template(given["model"]))
    if not as_json:
        _show_prompts(shown)
    text = _typed()
    if text.strip():
        shown = replace(shown, score=score_response(task, examples[0], text))
    if as_json:
        _print_json(shown)
    elif shown.score is not None:
        from errorbook.render.terminal import out, plain

        score = shown.score
        out().print(plain(f"{score.verdict} (extracted: {score.extracted!r}, method: {score.method})"), soft_wrap=True)


def _typed() -> str:
    """The whole of stdin; a person is told what is waited for."""
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        click.echo("Type a response to the first example, then Ctrl-D (Ctrl-D alone ends here):", err=True)
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _show_prompts(shown: Shown) -> None:
    from errorbook.render.terminal import plain

    for number, item in enumerate(shown.examples, 1):
        click.echo(f"--- {shown.name}, {shown.split}, example {number}: {plain(item.id)}")
        click.echo(plain(item.prompt).plain)
        click.echo(f"--- gold answer: {plain(item.answer or 'none; it has tests').plain}\n")
    click.echo(shown.note, err=True)
    sys.stdout.flush()


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Any:
    """A table whose whole numbers stand to the right."""
    from rich.table import Table

    from errorbook.render.terminal import plain

    table = Table(title=f"\n{title}" if title else None, title_justify="left", title_style="bold", box=None)
    for index, column in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][index], int)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    return table


def _print_json(value: msgspec.Struct | dict[str, object]) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
