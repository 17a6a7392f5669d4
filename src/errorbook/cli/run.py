"""The commands `run`, `exam` and `demo`: they work on a ledger, and end with a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from errorbook.cli.options import FILE, JSON, OUT, StrategyName, complain, print_json
from errorbook.cli.report import build_report, render_report

if TYPE_CHECKING:
    from errorbook.config import Config
    from errorbook.report.records import Report


@click.command()
@FILE
@OUT
@JSON
def run(file: Path, out: Path | None, as_json: bool) -> int:
    """Run or resume; Ctrl-C and kill -9 are both safe.

    FILE may be a run's folder: it goes on from the run file that is stored there.

    Exits with 0 if a better model was kept and with 1 if none was.
    """
    from errorbook.config import load

    if file.is_dir():
        config, text = _stored(file)
        return _run(config, out or file, text, as_json)
    config = load(file)
    return _run(config, out or _default_out(file, config), file.read_text(encoding="utf-8"), as_json)


@click.command()
@FILE
@OUT
@JSON
def exam(file: Path, out: Path | None, as_json: bool) -> None:
    """Evaluate only: the error book without training."""
    from errorbook import loop
    from errorbook.config import load
    from errorbook.files import require_place
    from errorbook.render.terminal import show_progress

    config = load(file)
    folder = out or _default_out(file, config)
    require_place(folder)
    with show_progress(config.run.cycles) as watch:
        loop.exam(config, folder, watch, file.read_text(encoding="utf-8"))
    _conclude(folder, as_json)


class DemoOptions(NamedTuple):
    """The options of `demo`; None leaves the demo's own value."""

    strategy: str | None
    instructor: str | None
    seed: int | None
    cycles: int | None


@click.command()
@click.option("--strategy", type=StrategyName(), help="What the instructor sees.  [default: contrast]")
@click.option("--instructor", type=click.Choice(["tutor", "noise"]), help="Who teaches.  [default: tutor]")
@click.option("--seed", type=int, help="Another seed draws other questions.  [default: 1]")
@click.option("--cycles", type=click.IntRange(min=1), help="How many cycles.  [default: 1]")
@OUT
@JSON
def demo(out: Path | None, as_json: bool, **options: Any) -> int:
    """The whole loop on the embedded model, offline, in minutes.

    Exits with 0 if a better model was kept and with 1 if none was.
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


def _run(config: Config, folder: Path, text: str, as_json: bool) -> int:
    from errorbook import loop
    from errorbook.exporting.trackers.feeding import NamedSink, feed_sinks
    from errorbook.files import require_place
    from errorbook.render.terminal import show_progress

    require_place(folder)
    sinks = [NamedSink(sink.kind, sink.options) for sink in config.sinks]
    with show_progress(config.run.cycles) as watch, feed_sinks(sinks, folder, watch, complain) as told:
        loop.run(config, folder, told, text)
    made = _conclude(folder, as_json)
    return 0 if any(cycle.decision == "accept" for cycle in made.cycles) else 1


def _stored(folder: Path) -> tuple[Config, str]:
    """The run file that the run in a folder was started with last, its paths as they are now."""
    from msgspec.structs import replace

    from errorbook.config import IMPORTED
    from errorbook.errors import ConfigError
    from errorbook.ledger.file import open_ledger
    from errorbook.ledger.run_view import budget, read_config, read_place
    from errorbook.setup.claim import relocate

    with open_ledger(folder) as ledger:
        config, text, place = read_config(ledger), ledger.fact("run_file") or "", read_place(ledger)
        if config.target.engine == IMPORTED:
            raise ConfigError(f"'{folder}' holds a book of imported answers, which has no run to go on with.")
        config = replace(config, run=replace(config.run, budget_usd=budget(ledger)))
    return relocate(config, place, folder.resolve()) if place else config, text


def _conclude(folder: Path, as_json: bool) -> Report:
    """Write report.html beside the ledger and show the result."""
    from errorbook.files import write_file

    made = build_report(folder)
    page = folder / "report.html"
    write_file(page, render_report(made, "html", to_file=True))
    if as_json:
        print_json(made)
    else:
        click.echo(render_report(made, "terminal", to_file=False), nl=False)
        click.echo(f"\nThe report to send is {page}. Next:")
        click.echo(f"  errorbook ui {folder}\n  errorbook report {folder} --format md")
    return made


def _default_out(file: Path, config: Config) -> Path:
    return file.parent / "runs" / config.run.name
