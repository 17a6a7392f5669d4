"""The commands `status` and `report`: what a ledger says, in the form that was asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from errorbook.cli.options import FOLDER, JSON, print_json

if TYPE_CHECKING:
    from errorbook.report.records import Report

FORMATS = ("terminal", "html", "md", "json")
_MARK = re.compile(  # of a page, now and earlier, JSON, Markdown, a terminal's text, and a run beside the paper
    rb'<meta name="generator" content="Errorbook">|The paper, ink and type of the report'
    rb'|\A\{\n  "run": .*\n  "(name|method)": '
    rb"|\n## About this run\n\n- Target: |\nFrom drafts to training|which\s+the\s+paper\s+does\s+not\s+give"
)


@click.command()
@FOLDER
@JSON
def status(folder: Path | None, as_json: bool) -> None:
    """Where a run stands; by default the latest one below ./runs."""
    from errorbook.ledger.file import open_ledger
    from errorbook.report.status import find_latest_run, read_status

    with open_ledger(folder or find_latest_run(Path("runs"))) as ledger:
        where = read_status(ledger)
    if as_json:
        print_json(where)
    else:
        from errorbook.render.terminal import out, show_status

        show_status(where, out())


@click.command()
@FOLDER
@click.option("--format", "form", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file to write; it may replace a report."
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option("--control", type=click.Path(path_type=Path), help="A run to compare the same mistakes with.")
@click.option("--against", type=click.Choice(["paper"]), help="Only the test results, beside the paper's.")
def report(
    folder: Path | None, form: str, output: Path | None, as_json: bool, control: Path | None, against: str | None
) -> None:
    """A report to read or to send; by default of the latest run below ./runs."""
    from errorbook.files import require_output, write_file
    from errorbook.report.status import find_latest_run

    if output is not None:
        require_output(output, is_ours=is_report, made="report")
    made, form = build_report(folder or find_latest_run(Path("runs")), control), "json" if as_json else form
    text = render_against(made, form) if against else render_report(made, form, to_file=output is not None)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text)
        click.echo(f"Wrote {output}", err=True)


def is_report(content: bytes) -> bool:
    """Whether a file holds a report, of whatever run and form, which another report may replace."""
    return b"\0" not in content and bool(_MARK.search(content))


def build_report(folder: Path, control: Path | None = None) -> Report:
    """Read the report from a run's ledger; with `control`, compare the same mistakes in that run."""
    from contextlib import ExitStack

    from errorbook.ledger.file import open_ledger
    from errorbook.report.build import build

    with ExitStack() as opened:
        ledger = opened.enter_context(open_ledger(folder))
        return build(ledger, opened.enter_context(open_ledger(control)) if control else None)


def render_against(made: Report, form: str) -> str:
    """The run beside the paper, as a table or as JSON."""
    from errorbook.files import format_json
    from errorbook.render.against_paper import render, render_for_terminal
    from errorbook.report.paper import lay_beside

    if form == "html":
        raise click.UsageError("--against has no HTML; give --format terminal, md or json.")
    found = lay_beside(made)
    if form == "json":
        return format_json(found)
    return render(found) if form == "md" else render_for_terminal(found)


def render_report(made: Report, form: str, to_file: bool) -> str:
    """The report as text in one of the FORMATS; a terminal's colours are left out of a file."""
    if form == "html":
        from errorbook.render.pages.html import render

        return render(made)
    if form == "md":
        from errorbook.render.markdown import render as render_markdown

        return render_markdown(made)
    if form == "json":
        from errorbook.files import format_json

        return format_json(made)
    from errorbook.render.terminal import report_text

    return report_text(made, plain_text=to_file)
