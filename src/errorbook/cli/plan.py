"""The commands `plan` and `doctor`: what a run will do, and what this machine can do. They change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from errorbook.cli.options import FILE, JSON, print_json


@click.command()
@FILE
@JSON
def plan(file: Path, as_json: bool) -> None:
    """What a run will do: questions, calls, tokens, cost, smallest detectable gain."""
    from errorbook.config import load
    from errorbook.setup.plan import make_plan

    made = make_plan(load(file))
    if as_json:
        print_json(made)
    else:
        from errorbook.render.terminal import out, show_plan

        show_plan(made, out())


@click.command()
@JSON
def doctor(as_json: bool) -> int:
    """What this machine can and cannot do, and the command that fixes it."""
    from errorbook.setup.doctor import can_run_demo, examine

    findings = examine()
    ready = can_run_demo(findings)
    if as_json:
        print_json({"ready": ready, "findings": findings})
    else:
        from errorbook.render.terminal import out, show_findings

        show_findings(findings, out())
        click.echo("'errorbook demo' can run here." if ready else "'errorbook demo' cannot run here yet.")
    return 0 if ready else 1
