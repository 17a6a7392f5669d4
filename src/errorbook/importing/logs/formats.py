"""A log file -> its format and its entries. The format is told by the columns, never by the file's name.

Every row must keep to the format of the first one. It judges nothing and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from errorbook.errors import DataError
from errorbook.files import Row
from errorbook.importing.logs import inspect_ai, lm_eval, log_file, plain, published, traces
from errorbook.importing.logs.entry import Logged
from errorbook.redact import mask_shapes


class Format(Protocol):
    """A log format: its name, how its rows are recognised, and how they are read."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """What the format is called."""
        ...

    def fits(self, columns: Mapping[str, Any], /) -> bool:
        """Whether an object has this format's columns."""
        ...

    def read(self, rows: Sequence[Row], stem: str, /) -> list[Logged]:
        """The entries of all rows; `stem` begins the ids of rows that have none."""
        ...


FORMATS: tuple[Format, ...] = (inspect_ai, lm_eval, published.Solutions, published.Programs, traces, plain)
"""In the order in which they are tried: the stricter ones first."""


class Log(NamedTuple):
    """A log that was read: its format in words, one entry a response, and a sentence on what was left out, if any."""

    format: str
    entries: list[Logged]
    note: str = ""

    @property
    def models(self) -> list[str]:
        """The models that the log names, in its order."""
        return list(dict.fromkeys(entry.model for entry in self.entries if entry.model))


def read_log(path: Path) -> Log:
    """Read a log of any known format.

    Raises:
        DataError: The file cannot be read, has no known format, or a row does not keep to it.
    """
    rows = inspect_ai.unpack(path) if inspect_ai.is_packed(path) else log_file.read_rows(path)
    if not rows:
        raise DataError(f"'{path}' is an empty list; give a log with at least one response.")
    form = next((form for form in FORMATS if form.fits(rows[0].values)), None)
    if form is None:
        raise DataError(
            f"'{path}' has the columns {_list_columns(rows[0].values)}, which is no log that is known;"
            f" {_say_what_to_give(rows[0].values)}."
        )
    for row in rows:
        if not form.fits(row.values):
            raise DataError(
                f"The columns {_list_columns(row.values)} on {row.place} are not those of the first row, which is of"
                f" {form.NAME}; keep one format in a file."
            )
    entries = [_mask(entry) for entry in form.read(rows, path.stem)]
    if not entries:
        raise DataError(f"'{path}' holds no response; give a log with at least one.")
    left_out = traces.count_left_out(rows, entries) if form is traces else 0
    note = f"{left_out} of {len(rows)} exchanges are left out, because they are not all text (tools, images)."
    return Log(form.NAME, _make_ids_unique(entries), note if left_out else "")


def _mask(entry: Logged) -> Logged:
    """The entry without what has the shape of a key: logs of production hold some, and a book is shown and sent on."""
    return replace(
        entry,
        question=mask_shapes(entry.question),
        text=mask_shapes(entry.text),
        thought=mask_shapes(entry.thought),
        before=tuple(replace(message, content=mask_shapes(message.content)) for message in entry.before),
    )


def _make_ids_unique(entries: Sequence[Logged]) -> list[Logged]:
    """The entries with ids that no two share; those of several models are told apart by the model."""
    several = len({entry.model for entry in entries}) > 1
    found: dict[str, Logged] = {}
    for entry in entries:
        told = several and entry.model and not entry.id.endswith(f":{entry.model}")
        unique = f"{entry.id}:{entry.model}" if told else entry.id
        if unique in found:
            raise DataError(
                f"The id '{unique}' is on {found[unique].place} and on {entry.place};"
                " make ids unique or leave them out."
            )
        found[unique] = replace(entry, id=unique)
    return list(found.values())


def _say_what_to_give(columns: Mapping[str, Any]) -> str:
    """What leads on from a file that is no log: some programs write a summary beside the log."""
    nested = [value for value in columns.values() if isinstance(value, dict)]
    if nested and len(nested) == len(columns) and all(isinstance(value.get("eval"), dict) for value in nested):
        return "it is inspect's summary of logs, without their samples: give the .eval files that it lists"
    if isinstance(columns.get("eval"), dict) and {"date", "hash"} & columns.keys():
        return (
            "it is evalplus' summary, without questions and tests: give rows with prompt, test, entry_point and"
            " completion"
        )
    return f"give rows with {plain.describe_row()}"


def _list_columns(columns: Mapping[str, Any]) -> str:
    names = list(columns)
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "none"
