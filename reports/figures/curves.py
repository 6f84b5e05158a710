"""Lines and points over two axes: ROC, precision against recall, reliability, decision curves, training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.figures.svg import PALETTE, SHAPES, WIDTH_PX, Figure, element, line, mark, picture, text_lines

LEFT_PX, RIGHT_PX, TOP_PX, AXIS_PX = 46.0, 12.0, 8.0, 44.0
LEGEND_PX = 20.0
N_STEPS = 5
DASHED = "4 3"


@dataclass(frozen=True)
class Line:
    """One line; `is_plain`: grey and dashed, for comparison."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    is_plain: bool = False


@dataclass(frozen=True)
class Spot:
    """One point with its limits up and down, where it has some."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spots:
    """Points of one kind."""

    label: str
    spots: Sequence[Spot]


@dataclass(frozen=True)
class Axes:
    """Names and ends of both axes."""

    x_name: str
    y_name: str
    x_ends: tuple[float, float] = (0.0, 1.0)
    y_ends: tuple[float, float] = (0.0, 1.0)
    height_px: float = 330.0


def curve_chart(
    name: str,
    title: str,
    axes: Axes,
    lines: Sequence[Line],
    spots: Sequence[Spots] = (),
) -> Figure:
    """The chart. Colours go by place, first the lines that are not plain, then the points."""
    frame = _Frame(axes)
    parts = [*frame.grid()]
    named: list[tuple[str, str, str]] = []  # kind, colour, label
    place = 0
    for each in lines:
        colour = "#8c959f" if each.is_plain else PALETTE[place % len(PALETTE)]
        place += not each.is_plain
        parts.append(frame.line(each, colour))
        named.append(("dashed" if each.is_plain else "line", colour, each.label))
    for group in spots:
        colour, shape = PALETTE[place % len(PALETTE)], SHAPES[place % len(SHAPES)]
        place += 1
        parts += [part for spot in group.spots for part in frame.spot(spot, shape, colour)]
        named.append((shape, colour, group.label))
    parts += _legend(named, axes.height_px + TOP_PX + AXIS_PX)
    height = TOP_PX + axes.height_px + AXIS_PX + LEGEND_PX * len(named)
    return picture(name, title, f"{title}: {axes.y_name} against {axes.x_name}", height, parts)


class _Frame:
    """Where values lie on the paper."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.width_px = WIDTH_PX - LEFT_PX - RIGHT_PX

    def x(self, value: float) -> float:
        low, high = self.axes.x_ends
        return LEFT_PX + self.width_px * min(1.0, max(0.0, (value - low) / (high - low)))

    def y(self, value: float) -> float:
        low, high = self.axes.y_ends
        return TOP_PX + self.axes.height_px * (1 - min(1.0, max(0.0, (value - low) / (high - low))))

    def grid(self) -> list[Markup]:
        parts = []
        bottom, right = TOP_PX + self.axes.height_px, LEFT_PX + self.width_px
        for i in range(N_STEPS + 1):
            x_value, y_value = (
                low + (high - low) * i / N_STEPS for low, high in (self.axes.x_ends, self.axes.y_ends)
            )
            x, y = self.x(x_value), self.y(y_value)
            parts.append(line(x, TOP_PX, x, bottom, {"class": "grid"}))
            parts.append(line(LEFT_PX, y, right, y, {"class": "grid"}))
            parts.append(text_lines([f"{x_value:.2g}"], x, bottom + 12, text_anchor="middle", class_="tick"))
            parts.append(text_lines([f"{y_value:.2g}"], LEFT_PX - 6, y, text_anchor="end", class_="tick"))
        middle = (LEFT_PX + right) / 2
        parts.append(text_lines([self.axes.x_name], middle, bottom + 31, text_anchor="middle", class_="axis"))
        turned = f"rotate(-90 11 {TOP_PX + self.axes.height_px / 2:.1f})"
        parts.append(
            text_lines(
                [self.axes.y_name],
                11.0,
                TOP_PX + self.axes.height_px / 2,
                text_anchor="middle",
                class_="axis",
                transform=turned,
            )
        )
        return parts

    def line(self, each: Line, colour: str) -> Markup:
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(each.x, each.y, strict=True))
        look = {"stroke_dasharray": DASHED, "stroke_width": "1.3"} if each.is_plain else {"stroke_width": "2"}
        return element("polyline", points=points, fill="none", stroke=colour, **look)

    def spot(self, spot: Spot, shape: str, colour: str) -> list[Markup]:
        parts = []
        if spot.low is not None and spot.high is not None:
            x = self.x(spot.x)
            look = {"stroke": colour, "stroke_width": "1.6"}
            parts.append(line(x, self.y(spot.low), x, self.y(spot.high), look))
        return [*parts, mark(shape, self.x(spot.x), self.y(spot.y), colour)]


def _legend(named: Sequence[tuple[str, str, str]], top: float) -> list[Markup]:
    parts = []
    for i, (kind, colour, label) in enumerate(named):
        y = top + LEGEND_PX * (i + 0.4)
        if kind in ("line", "dashed"):
            look = {"stroke": colour, "stroke_width": "2"} | (
                {"stroke_dasharray": DASHED} if kind == "dashed" else {}
            )
            parts.append(line(LEFT_PX, y, LEFT_PX + 18, y, look))
        else:
            parts.append(mark(kind, LEFT_PX + 9, y, colour))
        parts.append(text_lines([label], LEFT_PX + 26, y))
    return parts
