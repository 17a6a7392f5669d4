"""A file -> its JSON objects with their places: JSON Lines, a JSON array, or one JSON object.

Decimals keep their spelling (0.10 is not 0.1) because an answer may be one. It knows no log format, and reads the
whole file into memory.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from errorbook.errors import DataError
from errorbook.importing.logs.entry import Row

_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape of one half of a character; a whole pair is mended to itself
_NOT_JSON = (ValueError, RecursionError)  # a number of more than 4,300 digits is a ValueError, too


def read_rows(path: Path) -> list[Row]:
    """The objects of a text file, at least one.

    Raises:
        DataError: The file is missing, empty, not text, or not JSON, naming the line.
    """
    text = _text(path)
    if not text.strip():
        raise DataError(f"'{path}' is empty; give a log with at least one response.")
    whole = _whole(text)
    if isinstance(whole, list):
        return [_row(item, number, f"item {number} of '{path}'") for number, item in enumerate(whole, 1)]
    if isinstance(whole, dict):
        return [Row(1, f"'{path}'", whole)]
    # Not splitlines: a JSON string may hold the other line separators as they are.
    lines = enumerate(text.split("\n"), 1)
    return [_line(line, number, path) for number, line in lines if line.strip()]


def _text(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"'{path}' is a folder; give one log file of it.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'; check the path (now in {Path.cwd()}).") from None
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is not text in UTF-8; give a log in JSON Lines or JSON, or an .eval file.") from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); check its permissions.") from None


def _whole(text: str) -> Any:
    """The file as one JSON array, or as one object over several lines; None where it is neither."""
    start = text.lstrip()
    first = start.partition("\n")[0].strip()
    if not start.startswith("[") and (not start.startswith("{") or _is_json(first)):
        return None
    try:
        return parse(text)
    except _NOT_JSON:
        return None


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except _NOT_JSON:
        return False
    return True


def parse(text: str | bytes) -> Any:
    """JSON with decimals as they are spelt. Half a character, which JSON can spell but no file keep, becomes U+FFFD.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    text = text if isinstance(text, str) else text.decode()
    value = json.loads(text, parse_float=str, parse_constant=str)
    return _mended(value) if _HALF.search(text) else value


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def _line(line: str, number: int, path: Path) -> Row:
    try:
        value = parse(line)
    except _NOT_JSON as error:
        raise DataError(f"Line {number} of '{path}' is not JSON ({error}); give one JSON object a line.") from None
    return _row(value, number, f"line {number} of '{path}'")


def _row(value: object, number: int, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"There is no JSON object on {place}; give one {{...}} a response.")
    return Row(number, place, value)
