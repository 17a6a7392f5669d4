"""Tables for a terminal of any width: none loses a column, and no word is broken that has a line's room.

A table that does not fit puts its first column on lines of its own, above the rows. If even that is too wide, each row
becomes a paragraph of names and values. Texts of models lose their control characters here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2
_INDENT = 2
_TEXT = 16
"""Characters that a column of texts gets at least, if it has a text as long: one word a line is hard to read."""


class _Column(NamedTuple):
    """One column: its name, its cells, and whether they are numbers, which stand to the right in one piece."""

    name: str
    cells: tuple[Text, ...]
    numeric: bool

    def need(self) -> int:
        """The least width in which nothing is broken."""
        words = [word for text in (self.name, *self._parts()) for word in text.split()]
        longest = max((cell_len(text) for text in self._lines()), default=0)
        return max(*map(cell_len, words or [""]), 1, min(longest, _TEXT) if not self.numeric else longest)

    def want(self) -> int:
        """The width in which every cell is one line."""
        return max(cell_len(self.name), 1, *map(cell_len, self._lines()))

    def _lines(self) -> list[str]:
        return [line for cell in self.cells for line in cell.plain.split("\n")] or [""]

    def _parts(self) -> list[str]:
        return [] if self.numeric else self._lines()


class FittedTable:
    """A table that takes the form for which its console has room."""

    def __init__(self, title: str, columns: Sequence[_Column], left: int) -> None:
        self._title, self._columns, self._left = title, tuple(columns), left

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, and the widest form that fits."""
        if self._title:
            yield Text(f"\n{self._title}", style="bold")
        room = options.max_width
        if _fits(self._columns, room):
            yield _table(self._columns, _widths(self._columns, room))
        elif self._left and _fits(self._columns[1:], room - _INDENT):
            yield from _below_headings(self._columns, room)
        else:
            yield from _paragraphs(self._columns, self._left)


def make_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], left: int) -> FittedTable:
    """A table whose first `left` columns are texts, the rest numbers (all are texts if `left` is 0).

    A column that has nothing to say in any row is left out.
    """
    kept = [index for index in range(len(columns)) if not rows or any(str(row[index]) != "–" for row in rows)]
    made = [
        _Column(columns[index], tuple(strip_controls(row[index]) for row in rows), bool(left) and index >= left)
        for index in kept
    ]
    return FittedTable(title, made, sum(index < left for index in kept))


def strip_controls(text: object) -> Text:
    """Text without markup and without the control characters that could drive a terminal."""
    kept = "".join(c if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf"} else "�" for c in str(text))
    return Text(kept)


def _fits(columns: Sequence[_Column], room: int) -> bool:
    return bool(columns) and sum(column.need() for column in columns) + _GAP * (len(columns) - 1) <= room


def _widths(columns: Sequence[_Column], room: int) -> list[int]:
    """What each column needs, and what is left for those that want more: the least wanting are served first."""
    widths = [column.need() for column in columns]
    spare = room - sum(widths) - _GAP * (len(columns) - 1)
    for index in sorted(range(len(columns)), key=lambda at: columns[at].want() - widths[at]):
        more = min(columns[index].want() - widths[index], spare)
        widths[index] += more
        spare -= more
    return widths


def _table(columns: Sequence[_Column], widths: Sequence[int], rows: slice | None = None) -> Table:
    """The columns as a table; `rows` are a part of it without its head."""
    table = Table(box=None, pad_edge=False, show_header=rows is None)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column.name, justify="right" if column.numeric else "left", overflow="fold", width=width)
    for cells in list(zip(*(column.cells for column in columns), strict=True))[rows or slice(None)]:
        table.add_row(*cells)
    return table


def _below_headings(columns: Sequence[_Column], room: int) -> Iterator[RenderableType]:
    """The rows without their first column, which stands once above those that share it."""
    first, rest = columns[0], columns[1:]
    widths, start = _widths(rest, room - _INDENT), 0
    yield Text(first.name)
    yield Padding(_head(rest, widths), (0, 0, 0, _INDENT), expand=False)
    for name, group in groupby(cell.plain for cell in first.cells):
        end = start + len(list(group))
        yield Text(name)
        yield Padding(_table(rest, widths, slice(start, end)), (0, 0, 0, _INDENT), expand=False)
        start = end


def _head(columns: Sequence[_Column], widths: Sequence[int]) -> Table:
    return _table([column._replace(cells=()) for column in columns], widths)


def _paragraphs(columns: Sequence[_Column], left: int) -> Iterator[RenderableType]:
    """Each row as its texts, and below them the name and value of each number that it has."""
    if not columns or not columns[0].cells:
        yield Text("  ".join(column.name for column in columns))
    for cells in zip(*(column.cells for column in columns), strict=True):
        named = [f"{column.name}: {cell.plain}" for column, cell in zip(columns, cells, strict=True)]
        yield Text("  ".join(cell.plain for cell in cells[:left]) if left else named[0])
        pairs = [pair for pair, cell in zip(named, cells, strict=True) if cell.plain not in {"–", ""}]
        yield _Pairs([pair for pair in named[left or 1 :] if pair in pairs])


class _Pairs:
    """Names and values, as many on a line as have room there in one piece."""

    def __init__(self, pairs: Sequence[str]) -> None:
        self._pairs = pairs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room, lines = options.max_width - _INDENT, [""]
        for pair in self._pairs:
            joined = f"{lines[-1]}   {pair}" if lines[-1] else pair
            lines[-1:] = [joined] if not lines[-1] or cell_len(joined) <= room else [lines[-1], pair]
        yield Padding(Text("\n".join(filter(None, lines))), (0, 0, 0, _INDENT), expand=False)
