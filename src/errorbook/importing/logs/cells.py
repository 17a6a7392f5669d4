"""A row of a CSV file -> the row that a JSON file would hold: cells with JSON in them are its lists and objects.

Text that a person or a model wrote stays text, be it JSON or not. It knows columns, and no log format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errorbook.errors import DataError
from errorbook.files import NOT_JSON, Row, parse_json
from errorbook.importing.logs.columns import (
    ANSWER,
    CHOICES,
    MESSAGES,
    PROGRAM,
    QUESTION,
    RESPONSE,
    SOLUTION,
    TESTS,
    find_columns,
)
from errorbook.importing.logs.dataset_row import read_options

_TEXTS = {*QUESTION, *ANSWER, *PROGRAM, *RESPONSE, *SOLUTION, *TESTS}
_PARTS = {*CHOICES, *MESSAGES}
"""Columns that hold nothing but lists and objects."""


def unpack_cells(row: Row) -> Row:
    """The row with what its cells hold; an empty one holds nothing, but an empty response is one.

    Raises:
        DataError: Options or messages are no JSON.
    """
    values = {name: _read_cell(row, name, cell) for name, cell in row.values.items() if name}
    options = read_options(values)[0]
    for name in find_columns(values, ANSWER) if options else ():
        if values[name] not in options:
            values[name] = _read_number(values[name])
    return row._replace(values=values)


def _read_cell(row: Row, column: str, cell: str) -> Any:
    name = column.casefold()
    if not cell.strip():
        return cell if name in RESPONSE else None
    if name in _TEXTS or not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        value = parse_json(cell)
    except NOT_JSON:
        value = None
    if isinstance(value, list | Mapping):
        return value
    if name in _PARTS:
        raise DataError(f"The {column} on {row.place} are no JSON; write them as JSON, in double quotes.")
    return cell


def _read_number(answer: Any) -> Any:
    """The number of an option, which in JSON is no text."""
    return int(answer) if isinstance(answer, str) and answer.isdecimal() and len(answer) < 3 else answer
