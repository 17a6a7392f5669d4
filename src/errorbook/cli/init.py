"""The command `init`: asks a little, and writes a run file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from errorbook.cli.options import StrategyName, parse_options
from errorbook.errors import UserError


@click.command()
@click.argument("target", metavar="[DIR or FILE]", type=click.Path(path_type=Path), default=".")
@click.option("--data", help="Your questions (JSON Lines, CSV or Parquet), or 'arithmetic'.")
@click.option("--model", help="The embedded model, a folder, or a name on the hub.")
@click.option("--instructor", help="Name of the instructor plugin.")
@click.option("--instructor-model", help="The model that an instructor at an endpoint asks.")
@click.option("--instructor-url", help="Where that endpoint is, if not where its provider has it.")
@click.option(
    "--instructor-option",
    "instructor_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another key of [instructor], such as function=gateway:reply.",
)
@click.option("--strategy", type=StrategyName())
@click.option("--cycles", type=click.IntRange(min=1))
@click.option("--budget", type=click.FloatRange(min=0), help="Dollar cap for the instructor.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(target: Path, yes: bool, force: bool, **given: Any) -> None:
    """Write a commented run file, asking little."""
    from errorbook.setup import new_run_file as scaffold

    path = scaffold.choose_path(target)
    scaffold.require_free(path, force)  # before anything is asked
    answers = scaffold.InitAnswers(**_collect_answers(given, yes))
    scaffold.write_run_file(path, answers, force)
    if untaught := scaffold.find_untaught(answers):
        click.echo(f"! {untaught}", err=True)
    click.echo(f"Wrote {path}. Next:\n  errorbook plan {path}\n  errorbook run {path}")


def _collect_answers(given: dict[str, Any], yes: bool) -> dict[str, Any]:
    """The answers of `init`: those given as options, the others from the keyboard or, with --yes, the defaults."""
    questions: list[tuple[str, str, Any, Any]] = [
        ("data", "Your questions (a JSON Lines, CSV or Parquet file), or 'arithmetic'", "arithmetic", str),
        ("model", "Model to improve", "smollm2-135m-instruct", str),
        ("instructor", "Instructor", "tutor", str),
        ("strategy", "Strategy", "contrast", StrategyName()),
        ("cycles", "Cycles", 2, click.IntRange(min=1)),
        ("budget", "Budget in dollars (0: none needed)", 0.0, click.FloatRange(min=0)),
    ]
    answers: dict[str, Any] = {}
    for name, question, default, kind in questions:
        value = given[name]
        if value is None:
            value = default if yes else _prompt(question, default, kind)
        answers[name] = value
    budget, data = answers.pop("budget"), answers.pop("data")
    asked = parse_options(given["instructor_options"], "--instructor-option")
    told = {
        "budget_usd": budget or None,
        "data": None if data == "arithmetic" else Path(data),
        "instructor_model": given["instructor_model"] or _ask_for_model(answers["instructor"], yes),
        "instructor_url": given["instructor_url"] or "",
        "instructor_options": tuple(_ask_for_options(answers["instructor"], asked, yes).items()),
    }
    return answers | told


def _ask_for_options(instructor: str, known: dict[str, Any], yes: bool) -> dict[str, Any]:
    """The options without which the instructor cannot be made, and those that were given."""
    from errorbook import plugins

    for key, parameter in plugins.list_options("instructors", instructor).items():
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if needed and key != "model" and key not in known:
            if yes:
                raise UserError(f"The instructor '{instructor}' needs '{key}'; give --instructor-option {key}=VALUE.")
            known[key] = _prompt(f"'{key}' of the instructor '{instructor}'", None, str)
    return known


def _ask_for_model(instructor: str, yes: bool) -> str:
    """The model of an instructor that cannot be had without one; empty for the others."""
    from errorbook import plugins

    parameter = plugins.list_options("instructors", instructor).get("model")
    if parameter is None or parameter.default is not parameter.empty:
        return ""
    if yes:
        raise UserError(f"The instructor '{instructor}' asks a model; name it with --instructor-model.")
    return str(_prompt(f"Model that '{instructor}' asks", None, str))


def _prompt(question: str, default: Any, kind: Any) -> Any:
    try:
        return click.prompt(question, default=default, type=kind, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UserError("There is nobody to ask here; answer by options, or give --yes for the defaults.") from None
