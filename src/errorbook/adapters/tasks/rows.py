"""Rows out of CSV and Parquet files, each with the place that an error message can name, and a file's hash.

A row maps column names to values; what the columns mean is not known here. Numbers in text files stay text as they are
written, so that an answer of 25 digits, or 0.10, never passes through a float. Text must be UTF-8 and not compressed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from pathlib import Path

from errorbook.errors import DataError
from errorbook.files import Row, missing, read_text

_HEAD = 100_000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_csv(path: Path) -> list[Row]:
    """The records of a CSV file with a header line, separated by commas, semicolons or tabs; blank lines are skipped.

    Raises:
        DataError: The file is missing, not UTF-8, empty, or a record does not fit the header.
    """
    text = read_text(path)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text[:_HEAD]), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    try:
        for record in reader:
            if header and any(record):
                rows.append(Row(str(path), reader.line_num, _record(header, record, reader.line_num, path)))
            header = header or _header(record, path)
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
        raise missing(path)
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path} cannot be read as Parquet ({reason}); give a Parquet file.") from error
    rows = [Row(str(path), number, record, "row") for number, record in enumerate(records, 1)]
    return _filled(rows, path, "at least one row")


def file_hash(path: Path) -> str:
    """128-bit BLAKE2b of the file's bytes, marked as such."""
    with path.open("rb") as file:
        return f"blake2b:{hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()}"


def _filled(rows: list[Row], path: Path, wanted: str) -> list[Row]:
    if not rows:
        raise DataError(f"{path} is empty; give it {wanted}.")
    return rows


def _separator(head: str) -> str:
    """The separator that the header line uses most outside of quotes; a comma if it holds none."""
    line = _QUOTED.sub("", head).lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=line.count)


def _header(record: list[str], path: Path) -> list[str]:
    """The names of the columns. Raises DataError if two are the same."""
    names = [name.strip() for name in record]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has two columns called '{twice}'; give each column a name of its own.")
    return names


def _record(header: list[str], record: list[str], line: int, path: Path) -> dict[str, str]:
    if len(record) != len(header):
        raise DataError(
            f"Line {line} of {path} has {len(record)} fields, its header {len(header)}; quote fields that"
            " hold the separator."
        )
    return dict(zip(header, record, strict=True))
