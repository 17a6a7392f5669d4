"""The command line: parse, call, render. Data goes to stdout, progress and complaints to stderr.

Exit codes: 0 done, 1 the run did not reach its goal, 2 the user must fix something, 130 stopped by Ctrl-C. Nothing
heavy is imported before a command needs it, so that `errorbook --help` is quick. It decides nothing.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from errorbook.cli import compare as cli_compare
from errorbook.cli import export as cli_export
from errorbook.cli import tasks as cli_tasks
from errorbook.cli import ui as cli_ui
from errorbook.cli import verify as cli_verify
from errorbook.errors import ErrorbookError, UserError
from errorbook.version import __version__

if TYPE_CHECKING:
    import msgspec

    from errorbook.config import Config
    from errorbook.report.records import Report

STRATEGIES = ("error", "contrast", "undirected")
FORMATS = ("terminal", "html", "md", "json")
_QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
OUT = click.option("--out", type=click.Path(path_type=Path), help="The run's folder; made where missing.")
FILE = click.argument("file", type=click.Path(path_type=Path))
FOLDER = click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
@click.version_option(__version__, prog_name="errorbook")
def cli(debug: bool) -> None:
    """Make a small language model better by learning from its own errors, and prove it.

    Start with 'errorbook demo': the whole loop on the embedded model, offline, in minutes.
    """


def main() -> None:
    """Run the command line and exit; every error on purpose is one sentence on stderr."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    sys.exit(_guarded(sys.argv[1:]))


def _guarded(arguments: list[str]) -> int:
    """The exit code of one command line."""
    try:
        code = cli.main(args=arguments, prog_name="errorbook", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        _complain("stopped; the same command goes on.")
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has gone: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        code = _explained(error)
        if code is None or "--debug" in arguments:
            raise
        return code


def _explained(error: Exception) -> int | None:
    """Say what went wrong in one sentence and return the exit code, or None where only a traceback helps."""
    if any(_is_disk_full(cause) for cause in _causes(error)):
        _complain("the disk is full; free some space and give the same command again: nothing is lost.")
        return 2
    if isinstance(error, ErrorbookError):
        _complain(str(error))
        return 2 if isinstance(error, UserError) else 1
    if isinstance(error, OSError) and error.filename:
        _complain(f"'{error.filename}' cannot be used ({error.strerror}); check the path and its permissions.")
        return 2
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return full or "No space left on device" in str(error)


def _complain(sentence: str) -> None:
    click.echo(f"errorbook: {sentence}", err=True)


class DemoOptions(NamedTuple):
    """The options of `demo`; None leaves the demo's own value."""

    strategy: str | None
    instructor: str | None
    seed: int | None
    cycles: int | None


@cli.command()
@click.option("--strategy", type=click.Choice(STRATEGIES), help="What the instructor sees.  [default: contrast]")
@click.option("--instructor", type=click.Choice(["tutor", "noise"]), help="Who teaches.  [default: tutor]")
@click.option("--seed", type=int, help="Another seed draws other questions.  [default: 1]")
@click.option("--cycles", type=click.IntRange(min=1), help="How many cycles.  [default: 1]")
@OUT
@JSON
def demo(out: Path | None, as_json: bool, **options: Any) -> int:
    """The whole loop on the embedded model, offline, in minutes.

    Exits with 0 where a better model was kept and with 1 where none was.
    """
    chosen = DemoOptions(**options)
    config, text = _demo_config(chosen)
    return _run(config, out or Path("runs") / _demo_name(config, chosen), text, as_json)


def _demo_config(options: DemoOptions) -> tuple[Config, str]:
    from importlib.resources import files

    from msgspec.structs import replace

    from errorbook.config import parse

    text = files("errorbook").joinpath("demo.toml").read_text(encoding="utf-8")
    given = {name: value for name, value in options._asdict().items() if value is not None}
    config = parse(text, source="demo.toml")
    run = replace(config.run, **{name: given[name] for name in ("seed", "cycles") if name in given})
    strategy = replace(config.strategy, **({"name": given["strategy"]} if "strategy" in given else {}))
    instructor = replace(config.instructor, **({"kind": given["instructor"]} if "instructor" in given else {}))
    said = " ".join(f"--{name} {value}" for name, value in given.items())
    text = f"# errorbook demo {said}\n{text}" if said else text
    return replace(config, run=run, strategy=strategy, instructor=instructor), text


def _demo_name(config: Config, options: DemoOptions) -> str:
    """A folder for each choice of options, so that two demos never meet in one ledger."""
    name = f"demo-{config.strategy.name}-{config.run.seed}"
    if options.instructor == "noise":
        name += "-noise"
    return name if options.cycles is None else f"{name}-{options.cycles}cycles"


@cli.command()
@click.argument("target", metavar="[DIR or FILE]", type=click.Path(path_type=Path), default=".")
@click.option("--data", help="Your questions as JSON Lines, or 'arithmetic'.")
@click.option("--model", help="The embedded model, a folder, or a name on the hub.")
@click.option("--instructor", help="Name of the instructor plugin.")
@click.option("--strategy", type=click.Choice(STRATEGIES))
@click.option("--cycles", type=click.IntRange(min=1))
@click.option("--budget", type=click.FloatRange(min=0), help="Dollar cap for the instructor.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
@click.option("--force", is_flag=True, help="Overwrite the file where it exists.")
def init(target: Path, yes: bool, force: bool, **given: Any) -> None:
    """Write a commented run file, asking little."""
    from errorbook.errors import ConfigError
    from errorbook.setup import new_run_file as scaffold

    path = scaffold.place(target)
    if path.exists() and not force:
        raise ConfigError(f"'{path}' exists already; give another name, or --force to overwrite it.")
    scaffold.write(path, scaffold.Answers(**_asked(given, yes)), force)
    click.echo(f"Wrote {path}. Next:\n  errorbook plan {path}\n  errorbook run {path}")


def _asked(given: dict[str, Any], yes: bool) -> dict[str, Any]:
    """The answers of `init`: those given as options, the others from the keyboard or, with --yes, the defaults."""
    questions: list[tuple[str, str, Any, Any]] = [
        ("data", "Your questions (a JSON Lines file), or 'arithmetic'", "arithmetic", str),
        ("model", "Model to improve", "smollm2-135m-instruct", str),
        ("instructor", "Instructor", "tutor", str),
        ("strategy", "Strategy", "contrast", click.Choice(STRATEGIES)),
        ("cycles", "Cycles", 2, click.IntRange(min=1)),
        ("budget", "Budget in dollars (0: none needed)", 0.0, click.FloatRange(min=0)),
    ]
    answers: dict[str, Any] = {}
    for name, question, default, kind in questions:
        value = given[name]
        if value is None:
            value = default if yes else _ask(question, default, kind)
        answers[name] = value
    budget, data = answers.pop("budget"), answers.pop("data")
    return answers | {"budget_usd": budget or None, "data": None if data == "arithmetic" else Path(data)}


def _ask(question: str, default: Any, kind: Any) -> Any:
    try:
        return click.prompt(question, default=default, type=kind, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UserError("There is nobody to ask here; answer by options, or give --yes for the defaults.") from None


@cli.command()
@FILE
@JSON
def plan(file: Path, as_json: bool) -> None:
    """What a run will do: questions, calls, tokens, cost, smallest detectable gain."""
    from errorbook.config import load
    from errorbook.setup.plan import make_plan

    made = make_plan(load(file))
    if as_json:
        _print_json(made)
    else:
        from errorbook.render.terminal import out, show_plan

        show_plan(made, out())


@cli.command()
@FILE
@OUT
@JSON
def run(file: Path, out: Path | None, as_json: bool) -> int:
    """Run or resume; Ctrl-C and kill -9 are both safe.

    Exits with 0 where a better model was kept and with 1 where none was.
    """
    from errorbook.config import load

    config = load(file)
    return _run(config, out or _default_out(file, config), file.read_text(encoding="utf-8"), as_json)


@cli.command()
@FILE
@OUT
@JSON
def exam(file: Path, out: Path | None, as_json: bool) -> None:
    """Evaluate only: the error book without training."""
    from errorbook import loop
    from errorbook.config import load
    from errorbook.render.terminal import watching

    config = load(file)
    folder = out or _default_out(file, config)
    with watching(config.run.cycles) as watch:
        loop.exam(config, folder, watch, file.read_text(encoding="utf-8"))
    _conclude(folder, as_json)


@cli.command()
@FOLDER
@JSON
def status(folder: Path | None, as_json: bool) -> None:
    """Where a run stands; by default the latest one below ./runs."""
    from errorbook.ledger.file import open_ledger
    from errorbook.report.status import latest, stand

    with open_ledger(folder or latest(Path("runs"))) as ledger:
        where = stand(ledger)
    if as_json:
        _print_json(where)
    else:
        from errorbook.render.terminal import out, show_status

        show_status(where, out())


@cli.command()
@FOLDER
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file, not to stdout.")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option("--control", type=click.Path(path_type=Path), help="A run to compare the same mistakes with.")
def report(folder: Path | None, form: str, output: Path | None, as_json: bool, control: Path | None) -> None:
    """A report to read or to send; by default of the latest run below ./runs."""
    from errorbook.report.status import latest

    made = _build(folder or latest(Path("runs")), control)
    text = _rendered(made, "json" if as_json else form, to_file=output is not None)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"Wrote {output}", err=True)


@cli.command()
@JSON
def doctor(as_json: bool) -> int:
    """What this machine can and cannot do, and the command that fixes it."""
    from errorbook.setup.doctor import can_run_demo, examine

    findings = examine()
    ready = can_run_demo(findings)
    if as_json:
        _print_json({"ready": ready, "findings": findings})
    else:
        from errorbook.render.terminal import out, show_findings

        show_findings(findings, out())
        click.echo("'errorbook demo' can run here." if ready else "'errorbook demo' cannot run here yet.")
    return 0 if ready else 1


cli.add_command(cli_tasks.import_logs)
cli.add_command(cli_tasks.tasks)
cli.add_command(cli_verify.verify)
cli.add_command(cli_compare.compare)
cli.add_command(cli_export.export)
cli.add_command(cli_ui.ui)


def _run(config: Config, folder: Path, text: str, as_json: bool) -> int:
    from errorbook import loop
    from errorbook.exporting.trackers.feeding import Named, feeding
    from errorbook.render.terminal import watching

    sinks = [Named(sink.kind, sink.options) for sink in config.sinks]
    with watching(config.run.cycles) as watch, feeding(sinks, folder, watch, _complain) as told:
        loop.run(config, folder, told, text)
    made = _conclude(folder, as_json)
    return 0 if any(cycle.decision == "accept" for cycle in made.cycles) else 1


def _conclude(folder: Path, as_json: bool) -> Report:
    """Write report.html beside the ledger and show the result."""
    made = _build(folder)
    page = folder / "report.html"
    _write(page, _rendered(made, "html", to_file=True))
    if as_json:
        _print_json(made)
    else:
        click.echo(_rendered(made, "terminal", to_file=False), nl=False)
        click.echo(f"\nThe report to send is {page}. Next:")
        click.echo(f"  errorbook ui {folder}\n  errorbook report {folder} --format md")
    return made


def _build(folder: Path, control: Path | None = None) -> Report:
    from contextlib import ExitStack

    from errorbook.ledger.file import open_ledger
    from errorbook.report.build import build

    with ExitStack() as opened:
        ledger = opened.enter_context(open_ledger(folder))
        return build(ledger, opened.enter_context(open_ledger(control)) if control else None)


def _rendered(made: Report, form: str, to_file: bool) -> str:
    if form == "html":
        from errorbook.render.pages.html import render

        return render(made)
    if form == "md":
        from errorbook.render.markdown import render as render_markdown

        return render_markdown(made)
    if form == "json":
        return _json(made)
    from errorbook.render.terminal import report_text

    return report_text(made, plain_text=to_file)


def _default_out(file: Path, config: Config) -> Path:
    return file.parent / "runs" / config.run.name


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _print_json(value: msgspec.Struct | dict[str, object]) -> None:
    click.echo(_json(value), nl=False)


def _json(value: msgspec.Struct | dict[str, object]) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
