"""Rows out of files: JSON Lines, CSV and Parquet, each with the place that an error message can name.

A row maps column names to values; what the columns mean is not known here. Numbers in text files stay text as they are
written, so that an answer of 25 digits, or 0.10, never passes through a float. Text must be UTF-8 and not compressed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from errorbook.errors import DataError


class Row(NamedTuple):
    """One row: its source, where in there it stands ("line 3"), and its values by column."""

    source: str
    mark: str
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, for a sentence."""
        return f"{self.mark} of {self.source}"


def read_jsonl(path: Path) -> list[Row]:
    """The objects of a JSON Lines file; blank lines are skipped.

    Raises:
        DataError: The file is missing, not UTF-8, empty, or a line of it is no JSON object.
    """
    # Not splitlines: a question may hold one of the rarer Unicode line separators.
    lines = _text(path, "a JSON Lines file").split("\n")
    rows = [
        Row(str(path), f"line {number}", _object(number, line, path))
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    return _filled(rows, path, "one JSON object a line")


def read_csv(path: Path) -> list[Row]:
    """The records of a CSV file with a header line, separated by commas, semicolons or tabs; blank lines are skipped.

    Raises:
        DataError: The file is missing, not UTF-8, empty, or a record does not fit the header.
    """
    text = _text(path, "a CSV file")
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text.partition("\n")[0]), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    try:
        for record in reader:
            if header and any(record):
                rows.append(Row(str(path), f"line {reader.line_num}", _record(header, record, reader.line_num, path)))
            header = header or [name.strip() for name in record]
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of {path} is not CSV ({error}); close its quotes.") from error
    return _filled(rows, path, "a header line and one record a line")


def read_parquet(path: Path) -> list[Row]:
    """The rows of a Parquet file, numbered from 1.

    Raises:
        DataError: pyarrow is not installed, or the file is missing, empty or no Parquet.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("Reading Parquet needs pyarrow; run: pip install 'errorbook[data]'.") from error
    if not path.is_file():
        raise _missing(path)
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path} cannot be read as Parquet ({reason}); give a Parquet file.") from error
    rows = [Row(str(path), f"row {number}", record) for number, record in enumerate(records, 1)]
    return _filled(rows, path, "at least one row")


def file_hash(path: Path) -> str:
    """128-bit BLAKE2b of the file's bytes, marked as such."""
    with path.open("rb") as file:
        return f"blake2b:{hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()}"


def _text(path: Path, wanted: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); give {wanted}.") from error


def _missing(path: Path) -> DataError:
    return DataError(f"There is no file {path}; check the task's 'path' (now in {Path.cwd()}).")


def _filled(rows: list[Row], path: Path, wanted: str) -> list[Row]:
    if not rows:
        raise DataError(f"{path} is empty; give it {wanted}.")
    return rows


def _object(number: int, line: str, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"Line {number} of {path} is not JSON ({error}); write one object a line.") from error
    if not isinstance(row, dict):
        raise DataError(f"Line {number} of {path} is not a JSON object; write one {{...}} a line.")
    return row


def _separator(header: str) -> str:
    """The separator that the header line uses most; a comma where it holds none."""
    return max(",;\t", key=header.count)


def _record(header: list[str], record: list[str], line: int, path: Path) -> dict[str, str]:
    if len(record) != len(header):
        raise DataError(
            f"Line {line} of {path} has {len(record)} fields, its header {len(header)}; quote fields that"
            " hold the separator."
        )
    return dict(zip(header, record, strict=True))
