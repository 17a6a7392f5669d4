"""One order in, folders out: which parts of a run are written where, each with its card and the list of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import msgspec

from errorbook.errors import UserError
from errorbook.exporting import card, gguf, samples, weights
from errorbook.exporting.chosen import Chosen, choose
from errorbook.exporting.folder import Manifest, fill_folder, require_export
from errorbook.ledger.file import Ledger
from errorbook.ledger.run_view import read_config
from errorbook.report.build import build
from errorbook.report.records import Report
from errorbook.version import __version__

What = Literal["adapter", "merged", "gguf", "samples", "card"]
PARTS: tuple[What, ...] = get_args(What)


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to export, of which checkpoint, in which form; `out` is the folder, below which `all` makes one for each.

    `base` is what the base is called on the hub, if the run file names a folder.
    """

    what: What | Literal["all"]
    out: Path
    checkpoint: str = "final"
    form: samples.Form = "jsonl"
    wanted: samples.Wanted = samples.Wanted()
    base: str = ""
    force: bool = False


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One folder that was written."""

    what: What
    folder: Path
    files: tuple[str, ...]
    bytes: int


Told = Callable[[str], None]


def export(ledger: Ledger, order: ExportRequest, told: Told) -> list[Made]:
    """Write what is ordered. Of `all`, a part that this run cannot give is said to be left out through `told`.

    Raises:
        UserError: What is ordered is not there, cannot be written in this form, or its folder holds something else.
    """
    require_export(order.out)
    report = build(ledger)
    if order.what != "all":
        return [_part(ledger, report, order, order.what, order.out)]
    made = []
    for what in PARTS:
        try:
            made.append(_part(ledger, report, order, what, order.out / what))
        except UserError as error:
            told(f"no {what}: {error}")
    if not made:
        raise UserError("Nothing of this run could be exported; the lines above say why.")
    return made


def _part(ledger: Ledger, report: Report, order: ExportRequest, what: What, folder: Path) -> Made:
    chosen = choose(ledger, order.checkpoint, base_is_final=what in {"samples", "card"})
    manifest = Manifest(what=what, run=report.name, checkpoint=chosen.checkpoint.hash, errorbook=__version__)
    with fill_folder(folder, manifest, force=order.force) as making:
        if what == "samples":
            wanted = msgspec.structs.replace(order.wanted, pairs=order.form in {"chat", "alpaca"})
            count = samples.write(making, order.form, samples.rows(ledger, wanted))
            text = card.samples_card(ledger, report, count, order.form)
        else:
            text = _model(ledger, report, order, (what, chosen), making)
        (making / "README.md").write_text(text, encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = tuple(path.relative_to(folder).as_posix() for path in files)
    return Made(what=what, folder=folder, files=names, bytes=sum(path.stat().st_size for path in files))


def _model(ledger: Ledger, report: Report, order: ExportRequest, part: tuple[card.Kind, Chosen], making: Path) -> str:
    """Write the weights of one form, or none for the card alone, and return the card."""
    kind, chosen = part
    config = read_config(ledger)
    source, base, stored = weights.Source(config, ledger.root, chosen), card.base_name(config, order.base), ""
    if kind == "adapter":
        weights.write_adapter(source, making, base)
    elif kind == "merged":
        weights.write_merged(source, making)
        stored = weights.base_dtype(source)
    elif kind == "gguf":
        gguf.write_gguf(source, making)
        stored = "float16"
    subject = card.CardSubject(kind=kind, chosen=chosen, base=base, stored="" if stored == "float32" else stored)
    return card.model_card(ledger, report, subject)
