"""A log file -> its objects with their places: JSON Lines, a JSON array, one JSON object, or CSV with a header.

It knows no log format, and reads the whole file into memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errorbook.errors import DataError
from errorbook.files import NOT_JSON, Row, parse_json, parse_json_lines, read_csv, read_text
from errorbook.importing.logs.cells import unpack_cells

_SEPARATED = {".csv", ".tsv"}


def read_rows(path: Path) -> list[Row]:
    """The objects of a text file, at least one.

    Raises:
        DataError: The file is missing, empty, not text, or neither JSON nor, by its ending, CSV, naming the line.
    """
    text = read_text(path)
    if path.suffix.lower() in _SEPARATED and not text.lstrip().startswith(("[", "{")):
        return [unpack_cells(row) for row in read_csv(path)]
    whole = _whole(text)
    if isinstance(whole, list):
        return [_item(item, number, path) for number, item in enumerate(whole, 1)]
    if isinstance(whole, dict):
        return [Row(str(path), 1, whole, unit="")]
    return list(parse_json_lines(text.split("\n"), path))


def _whole(text: str) -> Any:
    """The file as one JSON array, or as one object over several lines; None if it is neither."""
    start = text.lstrip()
    if not start.startswith(("[", "{")) or (start.startswith("{") and _parse(start.partition("\n")[0]) is not None):
        return None
    return _parse(text)


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except NOT_JSON:
        return None


def _item(value: object, number: int, path: Path) -> Row:
    row = Row(str(path), number, value if isinstance(value, dict) else {}, unit="item")
    if not isinstance(value, dict):
        raise DataError(f"There is no JSON object on {row.place}; give one {{...}} a response.")
    return row
