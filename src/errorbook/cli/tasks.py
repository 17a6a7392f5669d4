"""The commands `tasks` and `tasks show`: the known tasks, and one of them as a model sees it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from errorbook.cli.options import JSON, TASK_OPTION, parse_options, print_json

if TYPE_CHECKING:
    from errorbook.interfaces import Task
    from errorbook.records import Split
    from errorbook.setup.task_preview import Shown, TaskInfo


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
        print_json({"tasks": found})
    else:
        _show_tasks(found)


def _show_tasks(found: Sequence[TaskInfo]) -> None:
    from errorbook.render.tables import make_table, strip_controls
    from errorbook.render.terminal import out

    rows = [[item.name, item.scorer or "–", item.about, f"{item.package} {item.version}"] for item in found]
    out().print(make_table("", ["task", "scorer", "about", "package"], rows, 0))
    for item in found:
        if item.needs:
            out().print(strip_controls(f"{item.name} needs the option {', '.join(item.needs)}."))


@tasks.command()
@click.argument("name")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), help="[default: the first that there is]")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws other examples.")
@click.option("--model", default="smollm2-135m-instruct", show_default=True, help="Whose chat template is used.")
@TASK_OPTION
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
    text = _read_stdin()
    if text.strip():
        shown = replace(shown, score=score_response(task, examples[0], text))
    if as_json:
        print_json(shown)
    elif shown.score is not None:
        from errorbook.render.tables import strip_controls
        from errorbook.render.terminal import out

        score = shown.score
        out().print(
            strip_controls(f"{score.verdict} (extracted: {score.extracted!r}, method: {score.method})"), soft_wrap=True
        )


def _read_stdin() -> str:
    """The whole of stdin; a person is told what is waited for."""
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        click.echo("Type a response to the first example, then Ctrl-D (Ctrl-D alone ends here):", err=True)
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _show_prompts(shown: Shown) -> None:
    from errorbook.render.tables import strip_controls

    for number, item in enumerate(shown.examples, 1):
        click.echo(f"--- {shown.name}, {shown.split}, example {number}: {strip_controls(item.id)}")
        click.echo(strip_controls(item.prompt).plain)
        click.echo(f"--- gold answer: {strip_controls(item.answer or 'none; it has tests').plain}\n")
    click.echo(shown.note, err=True)
    sys.stdout.flush()
