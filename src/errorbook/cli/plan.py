"""The command `plan`: what a run will do. It changes nothing."""

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

    made = make_plan(load(file), lambda sentence: click.echo(sentence, err=True))
    if as_json:
        print_json(made)
    else:
        from errorbook.render.terminal import out, show_plan

        show_plan(made, out())
