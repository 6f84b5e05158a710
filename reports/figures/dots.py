"""Shares with their intervals, one row a group: the picture of prevalence, of missed rates, and the forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.figures.svg import (
    LINE_PX,
    PALETTE,
    SHAPES,
    WIDTH_PX,
    Figure,
    line,
    mark,
    picture,
    text_lines,
    wrapped,
)

LABEL_PX = 140.0
VALUE_PX = 122.0
PLOT_FROM_PX, PLOT_TO_PX = LABEL_PX + 8, WIDTH_PX - VALUE_PX - 8
GAP_PX = 9.0
AXIS_PX = 42.0
LEGEND_PX = 20.0
TOPS_PERCENT = (
    1,
    2,
    5,
    10,
    20,
    40,
    60,
    80,
    100,
)  # where an axis may end: each makes four or five round steps


@dataclass(frozen=True)
class Dot:
    """A share in [0, 1] with its limits; None where it is not shown. `text` stands at the end of the line."""

    value: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class DotRow:
    """One group; its dots in the order of the series. A heading has none."""

    label: str
    dots: tuple[Dot | None, ...] = ()

    @property
    def is_heading(self) -> bool:
        return not self.dots


def dot_chart(
    name: str,
    title: str,
    axis: str,
    series: Sequence[str],
    rows: Sequence[DotRow],
    *,
    references: Sequence[float | None] = (),
) -> Figure:
    """The chart; `axis` names what is measured and its unit, `references` are shares of everybody (dashed lines)."""
    top_percent = _top_percent(rows, references)
    legend_px = LEGEND_PX * len(series) if len(series) > 1 else 0.0
    heights = [_height_px(row) for row in rows]
    bottom = legend_px + GAP_PX + sum(heights)
    parts = [*_legend(series)] if legend_px else []
    parts += _axis(top_percent, legend_px, bottom, axis)
    for i, share in enumerate(references):
        if share is not None:
            x = _x(share, top_percent)
            look = {"stroke": PALETTE[i], "stroke_dasharray": "2 3"}
            parts.append(line(x, legend_px, x, bottom, look))
    y = legend_px + GAP_PX
    for row, height in zip(rows, heights, strict=True):
        parts += _row(row, y, height, top_percent)
        y += height
    return picture(name, title, _description(title, axis, series, rows), bottom + AXIS_PX, parts)


def _top_percent(rows: Sequence[DotRow], references: Sequence[float | None]) -> int:
    ends = [
        end for row in rows for dot in row.dots if dot for end in (dot.value, dot.high) if end is not None
    ]
    largest = 100 * max([*ends, *(share for share in references if share is not None), 0.0])
    return next((top for top in TOPS_PERCENT if top >= largest), 100)


def _x(share: float, top_percent: int) -> float:
    return PLOT_FROM_PX + (PLOT_TO_PX - PLOT_FROM_PX) * min(1.0, max(0.0, 100 * share / top_percent))


def _label_lines(row: DotRow) -> list[str]:
    return wrapped(row.label, WIDTH_PX if row.is_heading else LABEL_PX)


def _height_px(row: DotRow) -> float:
    return LINE_PX * max(len(_label_lines(row)), len(row.dots)) + GAP_PX


def _legend(series: Sequence[str]) -> list[Markup]:
    parts = []
    for i, name in enumerate(series):
        y = LEGEND_PX * (i + 0.5)
        parts.append(mark(SHAPES[i], PLOT_FROM_PX, y, PALETTE[i]))
        parts.append(text_lines([name], PLOT_FROM_PX + 12, y))
    return parts


def _axis(top_percent: int, top: float, bottom: float, axis: str) -> list[Markup]:
    n_steps = 5 if top_percent in (5, 10, 100) else 4
    parts = []
    for i in range(n_steps + 1):
        percent = top_percent * i / n_steps
        x = _x(percent / 100, top_percent)
        parts.append(line(x, top, x, bottom, {"class": "grid"}))
        parts.append(text_lines([f"{percent:g}"], x, bottom + 12, text_anchor="middle", class_="tick"))
    middle = (PLOT_FROM_PX + PLOT_TO_PX) / 2
    parts.append(text_lines([axis], middle, bottom + 30, text_anchor="middle", class_="axis"))
    return parts


def _row(row: DotRow, top: float, height: float, top_percent: int) -> list[Markup]:
    lines = _label_lines(row)
    middle = top + (height - GAP_PX) / 2
    if row.is_heading:
        return [text_lines(lines, 0, middle + 2, class_="heading")]
    parts = [text_lines(lines, LABEL_PX, middle, text_anchor="end")]
    first = middle - LINE_PX * (len(row.dots) - 1) / 2
    for i, dot in enumerate(row.dots):
        if dot is not None:
            parts += _dot(dot, first + LINE_PX * i, i, top_percent)
    return parts


def _dot(dot: Dot, y: float, place: int, top_percent: int) -> list[Markup]:
    parts = []
    if dot.low is not None and dot.high is not None:
        look = {"stroke": PALETTE[place], "stroke_width": "2"}
        parts.append(line(_x(dot.low, top_percent), y, _x(dot.high, top_percent), y, look))
    if dot.value is not None:
        parts.append(mark(SHAPES[place], _x(dot.value, top_percent), y, PALETTE[place]))
    kind = "value" if dot.value is not None else "value absent"
    return [*parts, text_lines([dot.text], WIDTH_PX - VALUE_PX, y, class_=kind)]


def _description(title: str, axis: str, series: Sequence[str], rows: Sequence[DotRow]) -> str:
    """The same in words."""
    told = []
    for row in rows:
        values = [
            f"{name + ' ' if len(series) > 1 else ''}{dot.text}"
            for name, dot in zip(series, row.dots, strict=False)
            if dot is not None
        ]
        told.append(f"{row.label}: {'; '.join(values)}" if values else row.label)
    return f"{title}, {axis}. " + ". ".join(told)
