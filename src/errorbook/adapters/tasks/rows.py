"""Rows out of Parquet files, each with the place that an error message can name, and a file's hash.

A row maps column names to values; what the columns mean is not known here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from errorbook.errors import DataError
from errorbook.files import Row, missing


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
    if not rows:
        raise DataError(f"{path} is empty; give it at least one row.")
    return rows


def file_hash(path: Path) -> str:
    """128-bit BLAKE2b of the file's bytes, marked as such."""
    with path.open("rb") as file:
        return f"blake2b:{hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()}"
