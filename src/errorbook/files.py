"""Files outside the ledger: paths, the cache's folder, writing a file or folder as a whole, TOML, JSON, CSV.

It knows how files are read and written, and nothing of what stands in them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from errorbook.errors import DataError, UserError

NOT_JSON = (ValueError, RecursionError)
"""What `parse_json` raises; a number of more than 4,300 digits is a ValueError, too."""
DEEPEST = 32
"""Levels of lists and tables within each other that a run file may have."""
_RUN = "ledger.sqlite"
"""What makes a folder a run's."""
_KEPT = ("checkpoints", "corrections", "sinks.json")
_LONG = 64
_DOTTED = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]+[ \t]*\.[ \t]*){{{_LONG}}}")
_HEADER = 100_000
"""Characters that the header line of a CSV file may have."""
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_UNFIT = re.compile("[\0\ud800-\udfff]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape of one half of a character; a whole pair is mended to itself


class Row(NamedTuple):
    """One row of a file: the file, the row's number from 1, its values by column, and what the file calls a row.

    `unit` is empty if the row is the whole file.
    """

    source: str
    number: int
    values: Mapping[str, Any]
    unit: str = "line"

    @property
    def mark(self) -> str:
        """Where the row stands in its file, for a sentence."""
        return f"{self.unit} {self.number}"

    @property
    def place(self) -> str:
        """Where the row stands, for a sentence."""
        return f"{self.mark} of '{self.source}'" if self.unit else f"'{self.source}'"


def cache_root() -> Path:
    """Folder for everything that can be made again; the environment variable ERRORBOOK_CACHE overrides it."""
    from platformdirs import user_cache_path

    override = os.environ.get("ERRORBOOK_CACHE")
    return find_path(override) if override else user_cache_path("errorbook")


def data_root() -> Path | None:
    """Folder of the benchmarks' files, one folder each, by the environment variable ERRORBOOK_DATA; None without it."""
    folder = os.environ.get("ERRORBOOK_DATA")
    return Path(folder) if folder else None


@contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to. It takes the place of `path` when the block ends well, else `path` stays as it was.

    A reader never sees half a file, and neither does anyone after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(path)
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file as a whole, text in UTF-8."""
    with replace_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill. It becomes `folder` when the block ends well.

    If `folder` is there by then, another process was quicker: its folder stays, and this one is removed.
    """
    fresh = _beside(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A name in the same folder, because a file is moved in one step only inside one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.new")


def find_path(text: str, folder: Path | None = None) -> Path:
    """A path as a person writes it, absolute: `~` is a home folder, and a relative path begins in `folder`.

    Raises:
        DataError: It names no place that there can be.
    """
    try:
        return ((folder or Path()) / Path(text).expanduser()).resolve()
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"The path {shorten(text)} names no place on this machine ({reason}); correct it.") from None


def require_file(path: Path) -> None:
    """Refuse a device or a pipe, which may never end; what is not there is left to who reads it.

    Raises:
        DataError: The path is one, or none that there can be.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except ValueError as error:
        raise DataError(f"The path {shorten(str(path))} names no file ({error}); correct it.") from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(f"'{path}' is a device or a pipe and not a file; save what it gives as a file.")


def _is_foreign(content: bytes) -> bool:
    del content
    return False


def require_output(
    path: Path, inputs: Iterable[Path] = (), is_ours: Callable[[bytes], bool] = _is_foreign, made: str = "file"
) -> None:
    """Refuse a file that a command must not write: see `require_place`, and one that is there and is not its own.

    Args:
        path: Where the command is told to write.
        inputs: Files that the command reads.
        is_ours: Whether what stands there was written by the same command, and may be replaced.
        made: What the command writes, for a sentence.

    Raises:
        UserError: The file may not be written; nothing was touched.
    """
    require_place(path)
    if not path.exists():
        return
    if path.is_dir():
        raise UserError(f"'{path}' is a folder; name a file in it.")
    require_file(path)
    if any(item.exists() and item.samefile(path) for item in inputs):
        raise UserError(f"'{path}' is read by this command and stays as it is; write to another place.")
    content = path.read_bytes()
    if content and not is_ours(content):
        raise UserError(f"'{path}' is no {made} of Errorbook and stays as it is; give a new name.")


def require_place(path: Path) -> None:
    """Refuse a place for an output that is a run's own, or that lies two or more folders below what there is.

    Raises:
        UserError: It is one; nothing was made.
    """
    place = find_path(str(path))
    if place.name.startswith((_RUN, "ledger.lock")):
        raise UserError(f"'{path}' is the name of a run's own file; write to another place.")
    for folder in place.parents:
        if place.relative_to(folder).parts[0] in _KEPT and (folder / _RUN).exists():
            raise UserError(f"'{path}' belongs to the run in '{folder}'; write to another place.")
    if not place.parent.parent.is_dir():
        raise UserError(f"There is no folder '{place.parent.parent}'; make it first, or correct the path.")


def shorten(value: object, most: int = 60) -> str:
    """A value as it would be written in Python, cut to `most` characters, for a sentence."""
    try:
        text = repr(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def parse_toml(text: str) -> dict[str, Any]:
    """TOML as tables.

    Raises:
        ValueError: It is not TOML, or nested too deeply to be read.
    """
    import tomllib

    # The standard reader needs quadratic time for a key of many parts.
    if _DOTTED.search(text):
        raise ValueError(f"a key has more than {_LONG} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None


def find_unfit(value: object, place: str = "", depth: int = 0) -> str:
    """What no setting can be, in one sentence that names its place: a number that is none or needs more than 64 bits.

    Also text that no file and no program can be handed, and a nesting without end. Empty if all is well.
    """
    if not isinstance(value, list | tuple | Mapping):
        fault = _judge_value(value)
        return f"'{place}' is {shorten(value)}; {fault}." if fault else ""
    if depth == DEEPEST:
        return f"'{place.partition('.')[0]}' is nested more than {DEEPEST} levels deep; write it flat."
    named = value.items() if isinstance(value, Mapping) else (("", item) for item in value)
    for name, item in named:
        if fault := _judge_value(name):
            return f"'{place}' has the key {shorten(name)}; {fault}."
        if fault := find_unfit(item, ".".join(filter(None, (place, str(name)))), depth + 1):
            return fault
    return ""


def _judge_value(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "it must be a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "it must be a number of 64 bits"
    if isinstance(value, str) and _UNFIT.search(value):
        return "take out the character that no file can hold"
    return ""


def format_json(value: object) -> str:
    """A record, or what consists of records and paths, as indented JSON with a line break at its end."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value, enc_hook=os.fspath), indent=2).decode() + "\n"


def parse_json(text: str | bytes, *, spelt: bool = True) -> Any:
    """JSON with decimals as texts in their spelling, because 0.10 may be an answer; without `spelt` as floats.

    NaN and Infinity, which are no JSON and yet are written, are floats, so that nobody takes them for texts.
    Half a character, which JSON can spell but no file can hold, becomes U+FFFD.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    text = text if isinstance(text, str) else text.decode()
    number = str if spelt else float
    value = json.loads(text, parse_float=number, parse_constant=float)
    return _mend(value) if _HALF.search(text) else value


def explain_json(error: Exception) -> str:
    """Why a text is not JSON, after one of NOT_JSON, for a sentence."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "digits" in str(error):  # Python advises to change its own settings
        return "a number has more than 4,300 digits"
    return str(error)


def mend_text(text: str) -> str:
    """The text with U+FFFD for each half of a character, which no file, ledger or request can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return mend_text(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value


def read_json_lines(path: Path, *, spelt: bool = True) -> Iterator[Row]:
    """The objects of a JSON Lines file, one at a time, so that a file may be larger than the memory.

    Text is UTF-8, with or without a byte order mark. Blank lines are skipped, and counted.

    Args:
        path: The file.
        spelt: As in `parse_json`.

    Raises:
        DataError: The file is missing, no text, or without an object, or a line is no JSON object.
    """
    # Only "\n" ends a line: a JSON string may hold the other line separators as they are.
    with _explain(path), path.open(encoding="utf-8-sig", newline="\n") as lines:
        yield from parse_json_lines(lines, path, spelt=spelt)


def parse_json_lines(lines: Iterable[str], path: Path, *, spelt: bool = True) -> Iterator[Row]:
    """The objects of a JSON Lines file whose text is read already; see `read_json_lines`.

    Raises:
        DataError: There is no object, or a line is none.
    """
    empty = True
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Row(str(path), number, _object(line, number, path, spelt))
            empty = False
    if empty:
        raise DataError(f"'{path}' is empty; give it one JSON object a line.")


def read_csv(path: Path) -> list[Row]:
    """The records of a CSV file with a header line, separated by commas, semicolons or tabs; blank lines are skipped.

    Numbers stay text as they are written, so that 25 digits, or 0.10, never pass through a float.

    Raises:
        DataError: The file is missing, not UTF-8, empty, or a record does not fit the header.
    """
    text = read_text(path)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text[:_HEADER]), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    try:
        for record in reader:
            if header and any(record):
                rows.append(Row(str(path), reader.line_num, _record(header, record, reader.line_num, path)))
            header = header or _header(record, path)
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of {path} is not CSV ({error}); close its quotes.") from error
    if not rows:
        raise DataError(f"{path} is empty; give it a header line and one record a line.")
    return rows


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: The file is missing or no such text.
    """
    with _explain(path):
        return path.read_text(encoding="utf-8-sig")


def missing(path: Path) -> DataError:
    """The error that a file is not there."""
    return DataError(f"There is no file '{path}'; check the path (now in {Path.cwd()}).")


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    """Turn what reading raises into a sentence for the person whose file it is."""
    require_file(path)
    try:
        yield
    except FileNotFoundError as error:
        raise missing(path) from error
    except IsADirectoryError as error:
        raise DataError(f"'{path}' is a folder and cannot be read as a file; give one file of it.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not text in UTF-8 ({error}); give a file of text.") from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); check its permissions.") from error


def _object(line: str, number: int, path: Path, spelt: bool) -> dict[str, Any]:
    try:
        value = parse_json(line, spelt=spelt)
    except NOT_JSON as error:
        if path.suffix.lower() in {".csv", ".tsv", ".parquet"}:
            raise DataError(f"'{path}' holds no JSON; save it as JSON Lines, one object a line.") from error
        raise DataError(
            f"Line {number} of '{path}' is not JSON ({explain_json(error)}); write one object a line."
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"Line {number} of '{path}' is not a JSON object; write one {{...}} a line.")
    return value


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
