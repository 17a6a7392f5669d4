"""`errorbook export [DIR]`: a run's model, samples and card in the forms that other tools open. Parses and renders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from errorbook.cli.options import FOLDER, complain, parse_options, print_json
from errorbook.errors import UserError

if TYPE_CHECKING:
    from errorbook.exporting.export import ExportRequest, Made
    from errorbook.ledger.file import Ledger

WHATS = ("adapter", "merged", "gguf", "samples", "card", "all")
FORMS = ("jsonl", "chat", "alpaca", "datasets")


class ExportOptions(NamedTuple):
    """The options of `export`; None if one was not given."""

    what: str | None
    checkpoint: str
    form: str | None
    accepted_only: bool
    include_rejected: bool
    out: Path | None
    force: bool
    base: str | None
    push: str | None
    public: bool
    sink: str | None
    settings: tuple[str, ...]


@click.command("export")
@FOLDER
@click.option("--what", type=click.Choice(WHATS), help="What to export; 'all' is everything that this run can give.")
@click.option(
    "--checkpoint", default="final", show_default=True, help="final, base, or the first digits of a checkpoint's hash."
)
@click.option("--format", "form", type=click.Choice(FORMS), help="Form of the samples.  [default: jsonl]")
@click.option("--accepted-only", is_flag=True, help="Samples of cycles that the gate accepted.")
@click.option("--include-rejected", is_flag=True, help="Rejected drafts as well, with the reason.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: DIR/export/WHAT]")
@click.option("--force", is_flag=True, help="Replace an earlier export in that folder.")
@click.option("--base", metavar="NAME", help="What others know the base model by, if the run file names a folder.")
@click.option("--push", metavar="OWNER/NAME", help="Send it to the hub as well, into a private repository.")
@click.option("--public", is_flag=True, help="With --push: make a new repository public.")
@click.option("--to", "sink", metavar="KIND", help="Send the run's metrics to a sink: jsonl, wandb, mlflow, trackio.")
@click.option("--option", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the sink.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(folder: Path | None, as_json: bool, **given: Any) -> None:
    """The model, its samples and its card, for other tools; by default of the latest run below ./runs."""
    from errorbook.ledger.file import open_ledger
    from errorbook.report.status import find_latest_run

    options = ExportOptions(**given)
    _check(options)
    root = folder or find_latest_run(Path("runs"))
    with open_ledger(root) as ledger:
        if options.sink is not None:
            _send(ledger, options.sink, options.settings)
            return
        made = _write_export(ledger, _make_order(root, options))
    address = _push(made[0], options.push, public=options.public) if options.push else ""
    if as_json:
        print_json({"exports": made, **({"hub": address} if address else {})})
        return
    for item in made:
        click.echo(f"{item.folder}  {_several(len(item.files), 'file')}, {_size(item.bytes)}")
    if address:
        click.echo(address)


def _check(options: ExportOptions) -> None:
    """Refuse what does not go together, before anything is read."""
    samples = options.what in {"samples", "all"}
    narrowed = options.accepted_only or options.include_rejected
    problems = [
        (options.what is None and options.sink is None, f"Say what to export: --what {'|'.join(WHATS)}, or --to KIND."),
        (
            options.what is not None and options.sink is not None,
            "--what writes files, --to sends metrics; give one.",
        ),
        (bool(options.settings) and options.sink is None, "--option is for the sink that --to names; leave it out."),
        ((options.form is not None or narrowed) and not samples, "--format and which samples go with --what samples."),
        (
            options.include_rejected and options.form in {"chat", "alpaca"},
            "Rejected drafts are for analysis, not for training; --include-rejected goes with jsonl and datasets.",
        ),
        (options.public and not options.push, "--public goes with --push OWNER/NAME."),
        (options.push is not None and options.what == "all", "A repository holds one export; give one --what a push."),
        (options.push is not None and options.sink is not None, "--push goes with --what, not with --to."),
    ]
    for wrong, sentence in problems:
        if wrong:
            raise UserError(sentence)
    if options.push is not None:
        from errorbook.exporting.hub import check

        check(options.push)


def _make_order(root: Path, options: ExportOptions) -> ExportRequest:
    import msgspec

    from errorbook.exporting.export import ExportRequest
    from errorbook.exporting.samples import Wanted

    given = {
        "what": options.what,
        "checkpoint": options.checkpoint,
        "form": options.form or "jsonl",
        "wanted": Wanted(accepted_only=options.accepted_only, include_rejected=options.include_rejected),
        "base": options.base or "",
        "force": options.force,
        "out": options.out or root / "export" / (options.what or "").removeprefix("all"),
    }
    return msgspec.convert(given, ExportRequest)


def _write_export(ledger: Ledger, order: ExportRequest) -> list[Made]:
    from errorbook.exporting.export import export as write

    return write(ledger, order, complain)


def _push(made: Made, repository: str, *, public: bool) -> str:
    from errorbook.exporting.hub import push

    return push(made.folder, repository, "dataset" if made.what == "samples" else "model", public=public)


def _send(ledger: Ledger, kind: str, settings: tuple[str, ...]) -> None:
    """Tell a sink everything that this run measured and that it was not told yet."""
    from errorbook.exporting.trackers.feeding import Feed, NamedSink

    feed = Feed(ledger.root, [NamedSink(kind, parse_options(settings))])
    feed.tell(ledger)
    feed.finish(ledger)
    if feed.failures:
        raise UserError(feed.failures[-1])
    click.echo(f"Told {kind} of {_several(feed.told[kind], 'step')}.", err=True)


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _size(number: int) -> str:
    """Bytes as people say them."""
    size, units = float(number), ["bytes", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{number} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
