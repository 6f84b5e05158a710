"""Flags by night as a p-chart: what was found, and the range that chance explains."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports.figures.svg import BLUE, VERMILLION, WIDTH_PX, Figure, line, mark, picture, text_lines
from reports.morning_numbers import NightPoint

LEFT_PX, RIGHT_PX, PLOT_PX, AXIS_PX, TOP_PX = 34.0, 12.0, 170.0, 42.0, 10.0
MOST_NIGHTS = 30
_STEPS = (1, 2, 5, 10, 20, 25, 50, 100)


def night_chart(points: Sequence[NightPoint]) -> Figure:
    """The newest nights, oldest first; grey bars are what the baseline explains, a diamond lies outside."""
    shown = points[-MOST_NIGHTS:]
    top = _top_percent(shown)
    parts = _axis(top)
    for number, point in enumerate(shown):
        parts += _point(point, _x(number, len(shown)), top)
    parts += _labels(shown)
    told = ". ".join(f"{p.label}: {p.n_flagged} of {p.n_scored} flagged" for p in shown)
    return picture("nights", "Share of scored studies that were flagged, by night", told, _height(), parts)


def _height() -> float:
    return TOP_PX + PLOT_PX + AXIS_PX


def _share(count: int | None, n: int) -> float:
    return 100 * (count or 0) / n if n else 0.0


def _top_percent(points: Sequence[NightPoint]) -> int:
    ends = [_share(count, p.n_scored) for p in points for count in (p.n_flagged, p.high)]
    return next((4 * step for step in _STEPS if 4 * step >= max(ends, default=0)), 100)


def _x(number: int, n: int) -> float:
    width = WIDTH_PX - LEFT_PX - RIGHT_PX
    return LEFT_PX + width * (number + 0.5) / max(1, n)


def _y(percent: float, top: int) -> float:
    return TOP_PX + PLOT_PX * (1 - min(percent, top) / top)


def _axis(top: int) -> list[Markup]:
    parts = []
    for step in range(5):
        percent = top * step / 4
        y = _y(percent, top)
        parts.append(line(LEFT_PX, y, WIDTH_PX - RIGHT_PX, y, {"class": "grid"}))
        parts.append(text_lines([f"{percent:g} %"], LEFT_PX - 5, y, text_anchor="end", class_="tick"))
    return parts


def _point(point: NightPoint, x: float, top: int) -> list[Markup]:
    if not point.n_scored:
        return []
    parts = []
    is_outside = False
    if point.low is not None and point.high is not None:
        low, high = (_y(_share(count, point.n_scored), top) for count in (point.low, point.high))
        parts.append(line(x, low, x, high, {"stroke": "#c4cad0", "stroke_width": "5"}))
        is_outside = not point.low <= point.n_flagged <= point.high
    y = _y(_share(point.n_flagged, point.n_scored), top)
    shape, colour = ("diamond", VERMILLION) if is_outside else ("circle", BLUE)
    return [*parts, mark(shape, x, y, colour, 5.0 if point.is_tonight else 3.5)]


def _labels(points: Sequence[NightPoint]) -> list[Markup]:
    """Dates of the first night and of tonight, and what the signs mean."""
    y = TOP_PX + PLOT_PX
    ends = {0, len(points) - 1}
    parts = [
        text_lines(
            [point.label], _x(number, len(points)), y + 12, text_anchor=_anchor(number, points), class_="tick"
        )
        for number, point in enumerate(points)
        if number in ends
    ]
    key = "point: flagged; grey: what chance explains; diamond: outside it"
    return [*parts, text_lines([key], LEFT_PX, y + 31, class_="axis")]


def _anchor(number: int, points: Sequence[NightPoint]) -> str:
    if len(points) == 1:
        return "middle"
    return "start" if number == 0 else "end"
