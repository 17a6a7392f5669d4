"""The command `doctor`: what this machine can do, and whether a run's folder is whole. It mends nothing in place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from errorbook.cli.options import FOLDER, JSON, print_json
from errorbook.errors import UserError


@click.command()
@FOLDER
@click.option(
    "--salvage",
    "fresh",
    metavar="NEW",
    type=click.Path(path_type=Path),
    help="Put what is whole in the run DIR into the new folder NEW.",
)
@JSON
def doctor(folder: Path | None, fresh: Path | None, as_json: bool) -> int:
    """What this machine can and cannot do, and the command that fixes it; with DIR, whether that run is whole.

    Exits with 1 if the demo cannot run here, and with 2 if the run is damaged.
    """
    if folder is None:
        if fresh is not None:
            raise UserError("--salvage needs a run; write 'errorbook doctor DIR --salvage NEW'.")
        return _examine_machine(as_json)
    return _examine_run(folder, as_json) if fresh is None else _salvage(folder, fresh, as_json)


def _examine_machine(as_json: bool) -> int:
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


def _examine_run(folder: Path, as_json: bool) -> int:
    from errorbook.setup.run_doctor import examine_run

    findings = examine_run(folder)
    whole = all(item.ok for item in findings)
    if as_json:
        print_json({"whole": whole, "findings": findings})
    else:
        from errorbook.render.terminal import out, show_findings

        show_findings(findings, out(), bad="damaged")
        fix = f"; 'errorbook doctor {folder} --salvage NEW' puts what is whole into the new folder NEW."
        click.echo(f"The run in '{folder}' is {'whole.' if whole else f'damaged{fix}'}")
    return 0 if whole else 2


def _salvage(folder: Path, fresh: Path, as_json: bool) -> int:
    from errorbook.setup.run_doctor import salvage_run

    found = salvage_run(folder, fresh)
    if as_json:
        print_json(found)
        return 0
    click.echo(f"Kept: {_count(found.kept)}.")
    click.echo(f"Lost: {_count(found.lost)}.")
    if found.facts:
        click.echo(f"Lost of what was noted once: {', '.join(found.facts)}.")
    click.echo(f"The run's folder is now '{fresh}': give it as --out to go on. '{folder}' is as it was.")
    return 0


def _count(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "nothing"
