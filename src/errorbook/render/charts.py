"""Small charts as inline SVG text: intervals, bars and a loss curve. No scripts, no files, no fonts.

Positions are percentages, so a chart is as wide as its page while its text keeps its size; colours are the page's
CSS classes, and every distinction is also one of shape or hatching. All labels are escaped here, and characters that
would not be seen, or would turn others round, are shown by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from errorbook.render.unseen import spell
from errorbook.report.records import Accuracy, Point

_ROW = 54
_BAR_ROW = 42
_LONGEST_LABEL = 30
_POINTS = 240
_PLOT = 110
_FEW = 4
"""Points of a chart by cycle that leave room for the word before their number."""
_RING = '<circle class="base-mark" r="5"/>'
_DIAMOND = '<path class="final-mark" d="M0-7 7 0 0 7-7 0z"/>'
_CROSS = '<path class="wrong" stroke="currentColor" stroke-width="2.5" fill="none" d="M-5-5 5 5M5-5-5 5"/>'
_CURRENT = ' fill="currentColor"'
_CLASSES = {"fixed": "right"}
"""The page's class of a part's colour, if it is not the part's own name."""
_PATTERNS = {
    "hatch": (45, '<rect class="hatch-line" width="3" height="7"/>'),
    "relapsed": (-45, '<rect class="wrong" fill="currentColor" width="2.5" height="7"/>'),
    "stubborn": (45, '<rect class="hatch-line" width="3" height="7"/>'),
    "broken": (0, '<path class="wrong" stroke="currentColor" stroke-width="2" d="M0 0 7 7M7 0 0 7"/>'),
    "still_right": (0, '<circle class="right" fill="currentColor" cx="3.5" cy="3.5" r="1.4"/>'),
    "waiting": (0, ""),
}
"""Turn and lines of each pattern over its ground: parts differ by more than their colour."""


class IntervalRow(NamedTuple):
    """One line of an interval chart."""

    label: str
    value: str
    base: Accuracy
    final: Accuracy | None


class BarRow(NamedTuple):
    """One line of a bar chart; `parts` are (share of the full width, CSS class) from left to right."""

    label: str
    value: str
    parts: tuple[tuple[float, str], ...]


def interval_chart(title: str, rows: Sequence[IntervalRow]) -> str:
    """Base (ring) and final (diamond) accuracy with 95% intervals, one row each, on an axis from 0 to 100%."""
    height = _ROW * len(rows) + 24
    grid = "".join(
        f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{height - 22}"/>'
        f'<text class="tick" x="{x}%" y="{height - 6}" text-anchor="middle">{x}%</text>'
        for x in (0, 25, 50, 75, 100)
    )
    marks = "".join(_marks(index * _ROW, row) for index, row in enumerate(rows))
    plot = f'<svg x="4%" width="92%" height="{height}" overflow="visible">{grid}{marks}</svg>'
    return _svg(title, height, plot + "".join(_labels(index * _ROW, *row[:2]) for index, row in enumerate(rows)))


def bar_chart(title: str, rows: Sequence[BarRow], name: str) -> str:
    """Horizontal bars of one or more parts. `name` keeps the ids of patterns apart from other charts'."""
    used = sorted({kind for row in rows for share, kind in row.parts if share} & set(_PATTERNS))
    body = [f"<defs>{''.join(_pattern(kind, name) for kind in used)}</defs>" if used else ""]
    for index, row in enumerate(rows):
        top, left = index * _BAR_ROW + 20, 0.0
        body.append(f'<rect class="track" x="0" y="{top}" width="100%" height="13" rx="2"/>')
        for share, kind in row.parts:
            if share:
                body.append(
                    f'<rect {_fill(kind, name)} x="{left:.2f}%" y="{top}" width="{100 * share:.2f}%" height="13"/>'
                )
            left += 100 * share
        body.append(_labels(top - 20, row.label, row.value))
    return _svg(title, _BAR_ROW * len(rows), "".join(body))


def swatch(kind: str, name: str) -> str:
    """A small sample of a bar's part for a legend; `name` is of the chart on the same page that defines its pattern."""
    return f'<svg aria-hidden="true"><rect {_fill(kind, name)} width="30" height="13"/></svg>'


def cycle_chart(title: str, points: Sequence[Point]) -> str:
    """One task and split: the checkpoints from left to right, with 95% intervals, on an axis from 0 to 100%.

    A ring is the base, diamonds on the line are kept checkpoints, a cross is a candidate that was not kept.
    """
    step = 100 / max(len(points), 1)
    places = [(step * (index + 0.5), point) for index, point in enumerate(points)]
    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{_level(share)}" y2="{_level(share)}"/>'
        f'<text class="tick" x="-6" y="{_level(share) + 4}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.5, 1.0)
    )
    kept = " ".join(f"{x:.2f},{100 - 100 * point.accuracy.accuracy:.2f}" for x, point in places if point.kept)
    line = (
        f'<svg x="0" y="{_level(1.0)}" width="100%" height="{_PLOT}" viewBox="0 0 100 100" preserveAspectRatio="none"'
        f' overflow="visible"><polyline class="curve" points="{kept}" vector-effect="non-scaling-stroke"/></svg>'
    )
    word = "cycle " if len(points) <= _FEW else ""
    marks = "".join(_point(x, point, word) for x, point in places)
    # The inner drawing leaves room for the axis' labels: a share of the width cannot, if the page is narrow.
    plot = (
        f'<svg x="0" width="100%" height="{_PLOT + 56}" overflow="visible"><svg x="40" width="86%" overflow="visible">'
    )
    return _svg(title, _PLOT + 56, f"{plot}{grid}{line}{marks}</svg></svg>")


def loss_chart(title: str, curves: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Loss by step, one line a cycle, each with its own dashes; all begin at the left and share both axes."""
    height, top = 220, max((max(losses) for _, losses in curves if losses), default=1.0) or 1.0
    steps = max((len(losses) for _, losses in curves), default=1)
    lines = []
    for index, (_, losses) in enumerate(curves):
        thinned = thin_out(losses)
        points = " ".join(f"{100 * x / max(steps - 1, 1):.2f},{100 - 100 * y / top:.2f}" for x, y in thinned)
        lines.append(
            f'<polyline class="curve curve-{index % 4}" points="{points}" vector-effect="non-scaling-stroke"/>'
        )
    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{18 + 170 * part:g}" y2="{18 + 170 * part:g}"/>'
        f'<text class="tick" x="2" y="{18 + 170 * part - 4:g}">{top * (1 - part):.2f}</text>'
        for part in (0.0, 0.5, 1.0)
    )
    plot = (
        '<svg x="0" y="18" width="100%" height="170" viewBox="0 0 100 100" preserveAspectRatio="none"'
        f' overflow="visible">{"".join(lines)}</svg>'
    )
    axis = (
        f'<text class="tick" x="0" y="{height - 12}">step 1</text>'
        f'<text class="tick" x="100%" y="{height - 12}" text-anchor="end">step {steps}</text>'
    )
    return _svg(title, height, grid + plot + axis)


def thin_out(losses: Sequence[float], most: int = _POINTS) -> list[tuple[int, float]]:
    """At most `most` points (step from 0, loss): means over equal stretches, placed at each stretch's middle."""
    size = -(-len(losses) // most) if losses else 1
    stretches = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [(index * size + len(part) // 2, sum(part) / len(part)) for index, part in enumerate(stretches)]


def _point(x: float, point: Point, word: str) -> str:
    accuracy, y = point.accuracy, _level(point.accuracy.accuracy)
    mark, of = _CROSS, 'class="wrong" stroke="currentColor" stroke-width="2"'
    if point.kept:
        mark, of = (_DIAMOND, 'class="final-range"') if point.cycle else (_RING, 'class="base-range"')
    name = f"{word}{point.cycle}" if point.cycle else "base"
    name += f"·{point.scale:g}" if point.scale != 1.0 else ""
    return (
        f'<line {of} x1="{x:.2f}%" x2="{x:.2f}%" y1="{_level(accuracy.low)}" y2="{_level(accuracy.high)}"/>'
        f'<svg x="{x:.2f}%" y="{y}" overflow="visible">{mark}</svg>'
        f'<text class="tick" x="{x:.2f}%" y="{_PLOT + 30}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="tick" x="{x:.2f}%" y="{_PLOT + 46}" text-anchor="middle">{accuracy.accuracy:.0%}</text>'
    )


def _level(share: float) -> float:
    """Where a share lies in a chart by cycle."""
    return round(10 + _PLOT * (1 - share), 1)


def _pattern(kind: str, name: str) -> str:
    turn, inside = _PATTERNS[kind]
    return (
        f'<pattern id="{escape(kind)}-{escape(name)}" width="7" height="7" patternUnits="userSpaceOnUse"'
        f' patternTransform="rotate({turn})"><rect class="hatch-ground" width="7" height="7"/>{inside}</pattern>'
    )


def _fill(kind: str, name: str) -> str:
    """How a part is filled: a pattern, or its class alone."""
    filled = f' fill="url(#{escape(kind)}-{escape(name)})"' if kind in _PATTERNS else ""
    return f'class="{_CLASSES.get(kind, escape(kind))}"{filled or (_CURRENT if kind in _CLASSES else "")}'


def _marks(top: int, row: IntervalRow) -> str:
    y = top + (28 if row.final else 33)
    text = f'<line class="base-range" x1="{_x(row.base.low)}" x2="{_x(row.base.high)}" y1="{y}" y2="{y}"/>'
    text += f'<circle class="base-mark" cx="{_x(row.base.accuracy)}" cy="{y}" r="5"/>'
    if row.final:
        y = top + 40
        text += f'<line class="final-range" x1="{_x(row.final.low)}" x2="{_x(row.final.high)}" y1="{y}" y2="{y}"/>'
        text += (
            f'<svg x="{_x(row.final.accuracy)}" y="{y}" overflow="visible">'
            '<path class="final-mark" d="M0-7 7 0 0 7-7 0z"/></svg>'
        )
    return text


def _x(share: float) -> str:
    return f"{100 * share:.2f}%"


def _labels(top: int, label: str, value: str) -> str:
    label = spell(label)
    short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
    return (
        f'<text class="label" x="0" y="{top + 14}">{escape(short)}</text>'
        f'<text class="value" x="100%" y="{top + 14}" text-anchor="end">{escape(spell(value))}</text>'
    )


def _svg(title: str, height: int, body: str) -> str:
    title = spell(title)
    return (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" width="100%" height="{height}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
