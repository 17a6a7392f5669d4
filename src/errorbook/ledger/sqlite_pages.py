"""The rows in the pages of an SQLite file, whatever became of the tables above them.

The database reads a table from its first page down, so one damaged page hides all below it. Here every page is read by
itself (https://www.sqlite.org/fileformat2.html): what is whole is found, what is not is passed over. Which rows belong
together, and whether they are what was written, is `salvage`'s business.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Value = None | int | float | str | bytes

PAGE = 4096
"""Bytes of a page of a ledger; taken if the file's own word for it is damaged."""
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 0x0D, 0x0A, 0x02
_FIXED = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_BROKEN = (IndexError, struct.error, UnicodeDecodeError, ValueError)


class FoundRow(NamedTuple):
    """A row of a table with its number, or an entry of an index (`number` is None), which a table may be, too."""

    number: int | None
    values: tuple[Value, ...]


def read_rows(path: Path) -> Iterator[FoundRow]:
    """Every row that can be read from the file and from its write-ahead log.

    Args:
        path: The file; it and its log are read as bytes and not changed.
    """
    pages, usable = _read_pages(path)
    for number, page in pages.items():
        yield from _rows_of(number, page, pages, usable)


def _read_pages(path: Path) -> tuple[dict[int, bytes], int]:
    """The pages by their number, those of the log's commits in place of the file's; and their usable bytes."""
    content = path.read_bytes()
    size = int.from_bytes(content[16:18], "big")
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1):
        size = PAGE
    pages = {place // size + 1: content[place : place + size] for place in range(0, len(content), size)}
    log = path.with_name(f"{path.name}-wal")
    if log.is_file():
        pages |= _read_log(log.read_bytes(), size)
    reserved = content[20] if len(content) > 20 and content[20] < 64 else 0
    return pages, size - reserved


def _read_log(content: bytes, size: int) -> dict[int, bytes]:
    """The newest page of each number that a commit of the log holds; a frame of an earlier log ends it."""
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    salt = content[16:24]
    for place in range(32, len(content) - size - 23, size + 24):
        number, pages = struct.unpack(">II", content[place : place + 8])
        if content[place + 8 : place + 16] != salt:
            break
        pending[number] = content[place + 24 : place + 24 + size]
        if pages:  # the last frame of a commit says how large the file is then
            committed |= pending
            pending = {}
    return committed


def _rows_of(number: int, page: bytes, pages: dict[int, bytes], usable: int) -> Iterator[FoundRow]:
    start = 100 if number == 1 else 0
    kind = page[start] if len(page) > start else 0
    if kind not in {_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER}:
        return
    pointers = start + (12 if kind == _INDEX_INNER else 8)
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for place in range(pointers, min(pointers + 2 * count, len(page) - 1), 2):
        try:
            yield _read_cell(kind, page, int.from_bytes(page[place : place + 2], "big"), pages, usable)
        except _BROKEN:
            continue


def _read_cell(kind: int, page: bytes, place: int, pages: dict[int, bytes], usable: int) -> FoundRow:
    place += 4 if kind == _INDEX_INNER else 0
    length, place = _varint(page, place)
    number = None
    if kind == _TABLE_LEAF:
        number, place = _varint(page, place)
    most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if length <= most:
        payload = page[place : place + length]
    else:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= most else least
        further = int.from_bytes(page[place + local : place + local + 4], "big")
        payload = page[place : place + local] + _overflow(further, length - local, pages, usable)
    if len(payload) != length:
        raise ValueError("the row is cut off")
    return FoundRow(number, tuple(_values(payload)))


def _overflow(number: int, length: int, pages: dict[int, bytes], usable: int) -> bytes:
    parts = []
    while length > 0 and number in pages:
        page = pages[number]
        parts.append(page[4 : 4 + min(length, usable - 4)])
        length -= usable - 4
        number = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def _values(payload: bytes) -> Iterator[Value]:
    """The values of one row: a head of types, then what they say follows."""
    end, place = _varint(payload, 0)
    data = end
    while place < end:
        kind, place = _varint(payload, place)
        if kind in _FIXED:
            raw = payload[data : data + _FIXED[kind]]
            data += len(raw)
            yield int.from_bytes(raw, "big", signed=True)
        elif kind == 7:
            yield float(struct.unpack(">d", payload[data : data + 8])[0])
            data += 8
        elif kind >= 12:
            raw = payload[data : data + (kind - 12) // 2]
            data += len(raw)
            yield raw.decode() if kind % 2 else raw
        else:
            yield {0: None, 8: 0, 9: 1}[kind] if kind in {0, 8, 9} else None
    if data != len(payload):
        raise ValueError("the types and the values differ")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes of which the first eight say with their top bit that another follows."""
    value = 0
    for step in range(9):
        byte = data[place + step]
        if step == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + step + 1
    raise ValueError("no number")
