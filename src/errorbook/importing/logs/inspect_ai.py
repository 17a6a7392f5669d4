"""Logs of inspect_ai: an `.eval` file (a zip of JSON files) or the same log as one JSON file.

Inspect itself is not needed to read them, but before Python 3.14 the package zstandard is, because that is how `.eval`
files are compressed now. Of several scorers the first whose score is a verdict gives the label; partial credit is none.
A sample that ended in an error has no response, and is kept as an empty one: it proves no mistake. The system message
and the turns before the last stand before the question, if all of them are text.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from errorbook.errors import DataError
from errorbook.files import Row, parse_json
from errorbook.importing.logs.columns import LETTERS
from errorbook.importing.logs.dataset_row import read_gold
from errorbook.importing.logs.entry import Label, Logged, read_label
from errorbook.records import Message as Asked
from errorbook.records import read_talk

MOST_UNPACKED = 4_000_000_000
"""Bytes that an `.eval` file may become: it is read as a whole."""
MOST_PACKED = 300
"""How many times smaller than its content a large file of it may be: JSON shrinks to a tenth, spaces far more."""
NAME = "inspect log (eval, samples)"
_ZSTD = 93
_ZIP = b"PK\x03\x04"


class Part(msgspec.Struct, frozen=True):
    """One piece of a message."""

    type: str = "text"
    text: str = ""
    reasoning: str = ""


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: str
    content: str | list[Part] = ""


class Choice(msgspec.Struct, frozen=True):
    """One completion; `stop_reason` tells where it was cut off."""

    message: Message
    stop_reason: str = ""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a sample's last call."""

    output_tokens: int = 0


class Output(msgspec.Struct, frozen=True):
    """What the model answered."""

    choices: list[Choice] = []
    usage: Usage | None = None


class Scored(msgspec.Struct, frozen=True):
    """One scorer's value: C, I, P, N, a number, or something of its own."""

    value: Any = None


class Sample(msgspec.Struct, frozen=True):
    """One sample with its response."""

    id: str | int
    input: str | list[Message]
    target: str | list[str] = ""
    epoch: int = 1
    choices: list[str] | None = None
    messages: list[Message] = []
    output: Output = Output()
    scores: dict[str, Scored] | None = None
    attachments: dict[str, str] = {}


def fits(columns: Mapping[str, Any]) -> bool:
    """Whether the object is a whole log."""
    return isinstance(columns.get("eval"), dict) and isinstance(columns.get("samples"), list)


def is_packed(path: Path) -> bool:
    """Whether a file is a zip, be it a damaged one that has lost its end."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_ZIP)) == _ZIP or zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True


def unpack(path: Path) -> list[Row]:
    """An `.eval` file as the one object that the JSON form of the log would be.

    Raises:
        DataError: It is another kind of zip, damaged, or packed in a way that this Python cannot read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            header = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            inside = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
            if header is None or not inside:
                raise DataError(f"'{path}' is a zip without inspect's header and samples; give an .eval file or JSON.")
            _require_size(packed, path)
            read = [parse_json(_unzip(packed, name, path)) for name in (header, *inside)]
    except DataError:
        raise
    except Exception as error:  # no list says what zipfile and the decompressors raise on damaged bytes
        why = str(error) or "it ends too early"
        raise DataError(f"'{path}' is a damaged .eval file ({why}); copy it again.") from None
    if not isinstance(read[0], dict) or not isinstance(read[0].get("eval"), dict):
        raise DataError(f"'{path}' does not say what was evaluated; copy the .eval file again.")
    log = {**read[0], "samples": read[1:]}
    return [Row(str(path), 1, log, unit="")]


def _require_size(packed: zipfile.ZipFile, path: Path) -> None:
    """Refuse a small file that would unpack without end."""
    inside = packed.infolist()
    empty = (item for item in inside if item.file_size > max(10**8, MOST_PACKED * item.compress_size))
    if sum(item.file_size for item in inside) > MOST_UNPACKED or any(empty):
        raise DataError(f"'{path}' would unpack to more than any log holds; give the log as it was written.")


def _unzip(packed: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """One file of the zip; zstd, which inspect writes, is in the standard library from Python 3.14 on only."""
    try:
        return packed.read(name)
    except NotImplementedError:
        if packed.getinfo(name).compress_type != _ZSTD or find_spec("zstandard") is None:
            raise DataError(
                f"'{path}' is compressed with zstd, which this Python cannot read; run: pip install zstandard"
            ) from None
    zstandard: Any = import_module("zstandard")
    try:
        raw, size = _raw(packed.getinfo(name), path), packed.getinfo(name).file_size
        whole: bytes = zstandard.ZstdDecompressor().stream_reader(raw).read(size + 1)
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from None
    if zlib.crc32(whole) != packed.getinfo(name).CRC:
        raise zipfile.BadZipFile(f"wrong checksum of {name}")
    return whole


def _raw(info: zipfile.ZipInfo, path: Path) -> bytes:
    """A file's bytes as they lie in the zip, after its local header (30 bytes, the name and extra fields)."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(30)
        if len(head) < 30:
            raise zipfile.BadZipFile("it ends too early")
        name_size, extra_size = struct.unpack("<HH", head[26:])
        file.seek(name_size + extra_size, 1)
        return file.read(info.compress_size)


def read(rows: Sequence[Row], stem: str) -> list[Logged]:
    """One entry for each sample and epoch, in the order of the log."""
    return list(_entries(rows[0], stem))


def _entries(row: Row, stem: str) -> Iterator[Logged]:
    model = row.values["eval"].get("model")
    for number, item in enumerate(row.values["samples"], 1):
        place = f"sample {number} of {row.place}"
        try:
            sample = msgspec.convert(item, Sample, strict=False)
        except msgspec.ValidationError as error:
            raise DataError(f"There is no sample of inspect's on {place} ({error}); write the log again.") from None
        yield _entry(sample, place, model if isinstance(model, str) else "")


def _entry(sample: Sample, place: str, model: str) -> Logged:
    choices = tuple(sample.choices or ())
    gold = read_gold(sample.target, choices, LETTERS[: len(choices)])
    last = sample.output.choices[0] if sample.output.choices else None
    before, question = _asked(sample)
    return Logged(
        id=str(sample.id) if sample.epoch == 1 else f"{sample.id}:epoch {sample.epoch}",
        place=place,
        question=question,
        text=_text(last.message.content, sample.attachments) if last else "",
        label=_label(sample),
        answer=gold.answer,
        accepted=gold.accepted,
        choices=choices,
        solution=gold.solution,
        model=model,
        tokens=sample.output.usage.output_tokens if sample.output.usage else 0,
        truncated=last is not None and last.stop_reason in {"max_tokens", "model_length"},
        before=before,
        thought=_thought(last.message.content) if last else "",
    )


def _asked(sample: Sample) -> tuple[tuple[Asked, ...], str]:
    """The question and what stood before it; a system message that a solver added is only among the messages sent.

    What holds a tool's messages cannot be asked again as it was: of that the user's texts are the question.
    """
    given = [Message("user", sample.input)] if isinstance(sample.input, str) else sample.input
    added = [item for item in sample.messages if item.role == "system"]
    told = [] if any(item.role == "system" for item in given) else added
    texts = [{"role": item.role, "content": _text(item.content, sample.attachments)} for item in (*told, *given)]
    try:
        talk = read_talk(texts)
        return talk.before, talk.question
    except ValueError:
        return (), "\n\n".join(item["content"] for item in texts if item["role"] == "user")


def _text(content: str | list[Part], attachments: Mapping[str, str]) -> str:
    """The text of a message; long texts lie apart, under the name that the message gives."""
    texts = [content] if isinstance(content, str) else [part.text for part in content if part.type == "text"]
    return "\n".join(attachments.get(text.removeprefix("attachment://"), text) for text in texts)


def _thought(content: str | list[Part]) -> str:
    """What a message holds as the model's reasoning, apart from its text."""
    return "" if isinstance(content, str) else "\n".join(part.reasoning for part in content if part.reasoning)


def _label(sample: Sample) -> Label:
    labels = (read_label(scored.value) for scored in (sample.scores or {}).values())
    return next((label for label in labels if label is not None), "")
