"""Small charts as inline SVG text: intervals, bars and a loss curve. No scripts, no files, no fonts.

Positions are percentages, so a chart is as wide as its page while its text keeps its size; colours are the page's
CSS classes, and every distinction is also one of shape or hatching. All labels are escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from errorbook.report_parts import Accuracy

_ROW = 54
_BAR_ROW = 42
_LONGEST_LABEL = 30
_POINTS = 240


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
    """Horizontal bars of one or more parts. `name` keeps the hatch pattern's id apart from other charts'."""
    pattern = (
        f'<defs><pattern id="hatch-{escape(name)}" width="7" height="7" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><rect class="hatch-ground" width="7" height="7"/>'
        '<rect class="hatch-line" width="3" height="7"/></pattern></defs>'
    )
    body = []
    for index, row in enumerate(rows):
        top, left = index * _BAR_ROW, 0.0
        body.append(f'<rect class="track" x="0" y="{top + 20}" width="100%" height="13" rx="2"/>')
        for share, kind in row.parts:
            width = 100 * share
            fill = f' style="fill:url(#hatch-{escape(name)})"' if kind == "hatch" else ""
            body.append(
                f'<rect class="{escape(kind)}" x="{left:.2f}%" y="{top + 20}" width="{width:.2f}%" height="13"{fill}/>'
            )
            left += width
        body.append(_labels(top, row.label, row.value))
    return _svg(title, _BAR_ROW * len(rows), pattern + "".join(body))


def loss_chart(title: str, curves: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Loss by step, one line a cycle, each with its own dashes; all begin at the left and share both axes."""
    height, top = 220, max((max(losses) for _, losses in curves if losses), default=1.0) or 1.0
    steps = max((len(losses) for _, losses in curves), default=1)
    lines = []
    for index, (_, losses) in enumerate(curves):
        thinned = thin(losses)
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


def thin(losses: Sequence[float], most: int = _POINTS) -> list[tuple[int, float]]:
    """At most `most` points (step from 0, loss): means over equal stretches, placed at each stretch's middle."""
    size = -(-len(losses) // most) if losses else 1
    stretches = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [(index * size + len(part) // 2, sum(part) / len(part)) for index, part in enumerate(stretches)]


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
    short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
    return (
        f'<text class="label" x="0" y="{top + 14}">{escape(short)}</text>'
        f'<text class="value" x="100%" y="{top + 14}" text-anchor="end">{escape(value)}</text>'
    )


def _svg(title: str, height: int, body: str) -> str:
    return (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" width="100%" height="{height}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
