"""`errorbook.run`: the command `run` for people in Python, with its progress, its sinks and its report.

It adds nothing to a run: `loop.run` is the run, and the ledger holds all that it comes to.
"""

from __future__ import annotations

import html
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from errorbook import loop
from errorbook.config import Config, load
from errorbook.exporting.trackers.feeding import NamedSink, feed_sinks
from errorbook.ledger.events import Watch, quiet
from errorbook.ledger.file import open_ledger
from errorbook.ledger.tables import make_frame
from errorbook.records import Checkpoint
from errorbook.render.terminal import plain_progress, report_text
from errorbook.report.build import build
from errorbook.report.records import Report

if TYPE_CHECKING:
    import pandas

_log = logging.getLogger("errorbook")


class Finished(NamedTuple):
    """What a run came to: its final checkpoint (the last accepted one, or the base), its folder and its report."""

    checkpoint: Checkpoint
    folder: Path
    report: Report

    @property
    def improved(self) -> bool:
        """Whether a better model was kept."""
        return any(cycle.decision == "accept" for cycle in self.report.cycles)

    def to_pandas(self) -> dict[str, pandas.DataFrame]:
        """Every table of the report by its name: "results" is accuracy by task and split, "cycles" the decisions.

        Raises:
            UserError: pandas is not installed.
        """
        return {name: make_frame(rows) for name, rows in _list_tables(self.report)}

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        """The report as the command shows it."""
        return report_text(self.report, plain_text=True)


def run(
    config: Config | Path | str, folder: Path | str | None = None, watch: Watch | None = None, run_file: str = ""
) -> Finished:
    """Run or resume all cycles and the final exam; everything is in `folder`/ledger.sqlite afterwards.

    Args:
        config: The checked run file, or its path.
        folder: The run's own folder, created if it is missing; runs/NAME if not given, beside a run file that is given
            by its path, else below the current folder.
        watch: Called with each event of the run's stages. Without it progress is shown in a notebook, and nowhere else.
        run_file: The run file's text, kept for the record; it is read if `config` is a path.

    Returns:
        The final checkpoint with the report and its tables.

    Raises:
        UserError: Something that the user must fix; what was recorded stays, and the same call goes on.
        StageError: A stage broke its contract.
    """
    beside = Path()
    if not isinstance(config, Config):
        path = Path(config)
        config, beside, run_file = load(path), path.parent, run_file or path.read_text(encoding="utf-8")
    place = Path(folder) if folder is not None else beside / "runs" / config.run.name
    if watch is None:
        watch = plain_progress(config.run.cycles) if _is_notebook() else quiet
    sinks = [NamedSink(sink.kind, sink.options) for sink in config.sinks]
    with feed_sinks(sinks, place, watch, lambda sentence: _log.warning("%s", sentence)) as told:
        checkpoint = loop.run(config, place, told, run_file)
    with open_ledger(place) as ledger:
        return Finished(checkpoint, place, build(ledger))


def _list_tables(report: Report) -> Iterator[tuple[str, Sequence[Any]]]:
    """The results by task and split, and the parts of a report that are lists of records."""
    split = report.tasks.items()
    yield (
        "results",
        [
            {"task": task, "split": name, **msgspec.to_builtins(found)}
            for task, each in split
            for name, found in each.items()
        ],
    )
    for name in report.__struct_fields__:
        rows = getattr(report, name)
        if isinstance(rows, tuple) and rows and all(isinstance(row, msgspec.Struct) for row in rows):
            yield name, rows


def _is_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
