"""The command `init`: looks around, asks three questions at most, shows what it found, and writes a run file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from errorbook.cli.options import JSON, StrategyName, parse_options, print_json
from errorbook.errors import UserError

if TYPE_CHECKING:
    from errorbook.setup.new_run_file import InitAnswers
    from errorbook.setup.proposal import Proposal, Tried

_MOST = 3
_ARITHMETIC = "arithmetic"
_MODEL = "smollm2-135m-instruct"
_BUDGET = 5.0
_DOLLARS = click.FloatRange(min=0)
_OWN = {"budget"}
"""What is asked and stands in no field of the answers."""


@click.command()
@click.argument("target", metavar="[DIR or FILE]", type=click.Path(path_type=Path), default=".")
@click.option("--data", help="Your questions (JSON Lines, CSV or Parquet), or 'arithmetic'.")
@click.option("--question", default="", help="The column with the questions, if it is not found.")
@click.option("--answer", default="", help="The column with the gold answers, if it is not found.")
@click.option("--model", help="The embedded model, a folder, or a name on the hub.")
@click.option("--shots", type=click.IntRange(0, 100), default=0, help="Solved questions shown before each.")
@click.option("--instructor", help="Name of the instructor plugin.  [default: that of a key in the environment]")
@click.option("--instructor-model", help="The model that an instructor at an endpoint asks.")
@click.option("--instructor-url", help="Where that endpoint is, if not where its provider has it.")
@click.option(
    "--instructor-option",
    "instructor_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another key of [instructor], such as function=gateway:reply or price_input=1.",
)
@click.option("--strategy", type=StrategyName(), default="contrast", show_default=True)
@click.option("--cycles", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--budget", type=click.FloatRange(min=0), help="Dollar cap for the instructor; 0: none.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@JSON
def init(target: Path, yes: bool, force: bool, as_json: bool, **given: Any) -> None:
    """Write a commented run file, asking three questions at most.

    It finds your questions in DIR and a provider's key in the environment, shows two prompts and how gold answers are
    read, proposes sizes, and asks the instructor's endpoint one question to see that it answers.
    """
    from errorbook.setup import new_run_file as scaffold
    from errorbook.setup.proposal import propose

    path = scaffold.choose_path(target)
    scaffold.require_free(path, force)  # before anything is asked
    answers, proposal = propose(_collect_answers(path.parent, given, yes), path.parent)
    scaffold.write_run_file(path, answers, force)
    if not as_json:
        _show(proposal, answers)
    if untaught := scaffold.find_untaught(answers):
        click.echo(f"! {untaught}", err=True)
    tried = None if proposal.fault else _try_endpoint(path, answers)
    if as_json:
        print_json({"run_file": str(path), "answers": answers._asdict(), "proposal": proposal, "endpoint": tried})
    else:
        _conclude(path, tried)
    if proposal.fault:
        raise UserError(f"{path} is written, but cannot be run yet: {proposal.fault}")


class _Question(NamedTuple):
    """What is asked if it is not given: its name among the answers, its words, and what is taken otherwise."""

    name: str
    words: str
    default: Any
    kind: Any = str


def _collect_answers(folder: Path, given: dict[str, Any], yes: bool) -> InitAnswers:
    """The answers of `init`: those given as options and those that are found, the others from the keyboard.

    With --yes, and for a fourth question, the default is taken.
    """
    from errorbook.setup.new_run_file import InitAnswers
    from errorbook.setup.surroundings import find_data

    there = find_data(folder)
    if given["data"] is None and len(there) == 1:
        given["data"] = str(there[0])
        click.echo(f"Your questions: {there[0]}, the one file of data here.", err=True)
    options = parse_options(given["instructor_options"], "--instructor-option")
    _find_instructor(given, options)
    paid = _takes(given["instructor"], "model")
    if given["budget"] is None and not paid:
        given["budget"] = 0.0
    questions = [
        _Question("data", "Your questions (a JSON Lines, CSV or Parquet file), or 'arithmetic'", _ARITHMETIC),
        *(_Question("instructor_model", f"Model that '{given['instructor']}' asks", None) for _ in range(paid)),
        *_list_needed(given["instructor"], options),
        _Question("budget", "The most that the instructor may cost, in dollars (0: no cap)", _BUDGET, _DOLLARS),
        _Question("model", "Model to improve", _MODEL),
    ]
    open_ones = [item for item in questions if given.get(item.name) is None]
    if yes:
        _refuse_guess(open_ones, there, given["instructor"])
    for place, item in enumerate(open_ones):
        asked = not yes and (place < _MOST or item.default is None)
        given[item.name] = _prompt(item) if asked else item.default
    options |= {key: given.pop(key) for key in list(given) if key not in InitAnswers._fields and key not in _OWN}
    data, budget = given["data"], given.pop("budget")
    told = {"instructor_model": given["instructor_model"] or "", "instructor_url": given["instructor_url"] or ""}
    told |= {"data": None if data == _ARITHMETIC else Path(data), "instructor_options": tuple(options.items())}
    return InitAnswers(**{**given, **told}, budget_usd=budget or None)


def _find_instructor(given: dict[str, Any], options: dict[str, Any]) -> None:
    """Fill in plugin, address and key of an instructor from the environment, as far as they are not given."""
    from errorbook.setup.surroundings import find_account, is_near

    kind = given["instructor"] or ("openai" if given["instructor_url"] else "")
    own = given["data"] != _ARITHMETIC and (given["data"] is not None or not kind)
    account = find_account(os.environ, kind) if own or kind else None
    given["instructor"] = account.kind if account else kind or "tutor"
    url = given["instructor_url"]
    if account is None or (url and not is_near(url)):  # a key goes to its own provider, or nowhere beyond this network
        return
    given["instructor_url"] = url or account.url
    if given["instructor_url"]:
        options.setdefault("api_key_env", account.key)
    click.echo(f"The key in {account.key} is for the instructor '{account.kind}'.", err=True)


def _takes(instructor: str, key: str) -> bool:
    """Whether an instructor cannot be had without a key of the run file."""
    from errorbook import plugins

    parameter = plugins.list_options("instructors", instructor).get(key)
    return parameter is not None and parameter.default is parameter.empty


def _list_needed(instructor: str, known: dict[str, Any]) -> list[_Question]:
    """The options without which the instructor cannot be made, besides its model, and which are not given."""
    from errorbook import plugins

    return [
        _Question(key, f"'{key}' of the instructor '{instructor}'", None)
        for key, parameter in plugins.list_options("instructors", instructor).items()
        if parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_KEYWORD
        and key != "model"
        and key not in known
    ]


def _refuse_guess(open_ones: list[_Question], there: list[Path], instructor: str) -> None:
    """Refuse to take a default if there is none. Raises UserError."""
    for item in open_ones:
        if item.name == "instructor_model":
            raise UserError(f"The instructor '{instructor}' asks a model; name it with --instructor-model.")
        if item.default is None:
            raise UserError(
                f"The instructor '{instructor}' needs '{item.name}'; give --instructor-option {item.name}=VALUE."
            )
        if item.name == "data" and there:
            listed = ", ".join(file.name for file in there)
            raise UserError(f"There are {len(there)} files of data here ({listed}); name one with --data.")


def _prompt(item: _Question) -> Any:
    try:
        return click.prompt(item.words, default=item.default, type=item.kind, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UserError("There is nobody to ask here; answer by options, or give --yes for the defaults.") from None


def _show(proposal: Proposal, answers: InitAnswers) -> None:
    from errorbook.render.proposal_words import say_proposal
    from errorbook.render.tables import strip_controls
    from errorbook.setup.proposal import FREE

    for line in say_proposal(proposal, answers.shots):
        click.echo(strip_controls(line).plain)
    if set(FREE) <= set(answers.instructor_options):
        click.echo(
            "The server is taken to cost nothing; else give --instructor-option price_input=... and price_output."
        )


def _try_endpoint(path: Path, answers: InitAnswers) -> Tried | None:
    """Ask the instructor's endpoint once, if it has one. Raises UserError if it does not answer; the file stays."""
    from errorbook.config import load
    from errorbook.setup.proposal import try_endpoint
    from errorbook.setup.surroundings import find_account

    if not answers.instructor_model:
        return None
    if not answers.instructor_url and find_account(os.environ, answers.instructor) is None:
        click.echo("The endpoint was not asked: no key is set here.", err=True)
        return None
    try:
        return try_endpoint(load(path))
    except UserError as error:
        raise UserError(f"{path} is written, but its instructor does not answer: {error}") from error


def _conclude(path: Path, tried: Tried | None) -> None:
    from errorbook.render.proposal_words import say_tried
    from errorbook.render.tables import strip_controls

    if tried is not None:
        click.echo(strip_controls(say_tried(tried)).plain)
    click.echo(f"Wrote {path}. Next:\n  errorbook plan {path}\n  errorbook run {path}")
