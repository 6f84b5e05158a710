"""What all pictures share: escaped markup, colours, marks, and text that is broken into lines.

Every picture is drawn for a column of WIDTH px, narrow enough that its text can be read on a phone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH_PX = 480
LINE_PX = 15
# Okabe and Ito 2008, "Color Universal Design": told apart with every kind of colour blindness.
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE)
SHAPES = ("circle", "square", "diamond", "triangle")  # so that a print in black and white tells them apart
_CORNERS: Mapping[str, Sequence[tuple[float, float]]] = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
}
# The mean width of a letter at 13.5 px; wide signs (Chinese) take two.
LETTER_PX = 7.2


@dataclass(frozen=True)
class Figure:
    """A picture and the line above it."""

    caption: str
    svg: Markup


def element(name: str, inside: str | Markup = "", /, **attributes: object) -> Markup:
    """One SVG element; text and attributes are escaped. `class_` and `font_size` become `class` and `font-size`."""
    named = Markup(" ").join(  # Markup escapes what it is formatted with
        Markup('{}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
    )
    return Markup("<{0} {1}>{2}</{0}>").format(name, named, escape(inside))


def _short(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value


def picture(name: str, title: str, description: str, height_px: float, parts: Iterable[Markup]) -> Figure:
    """The whole drawing. `name` is unique on its page; title and description are what a screen reader says."""
    inside = element("title", title, id=f"{name}-title") + element("desc", description, id=f"{name}-desc")
    drawn = element(
        "svg",
        inside + Markup("").join(parts),
        viewBox=f"0 0 {WIDTH_PX} {height_px:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )
    return Figure(title, drawn)


def text_lines(lines: Sequence[str], x: float, y: float, **attributes: object) -> Markup:
    """Lines under each other; y is the middle of the block."""
    top = y - LINE_PX * (len(lines) - 1) / 2
    return Markup("").join(
        element("text", line, x=x, y=top + LINE_PX * i, dy="0.35em", **attributes)
        for i, line in enumerate(lines)
    )


def wrapped(text: str, width_px: float) -> list[str]:
    """The text in lines that fit; a word that is too long is broken, nothing is left out."""
    wide = sum(ord(sign) > 0x2E80 for sign in text)
    letter_px = LETTER_PX * (1 + wide / max(1, len(text)))
    return textwrap.wrap(text, max(4, int(width_px / letter_px))) or [""]


def line(x1: float, y1: float, x2: float, y2: float, look: Mapping[str, str]) -> Markup:
    """A line between two points."""
    return element("line", "", x1=x1, y1=y1, x2=x2, y2=y2, **look)


def mark(shape: str, x: float, y: float, colour: str, radius: float = 4.0) -> Markup:
    """A filled mark around a point."""
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=radius, fill=colour)
    points = " ".join(
        f"{x + dx * radius * 0.9:.1f},{y + dy * radius * 0.9:.1f}" for dx, dy in _CORNERS[shape]
    )
    return element("polygon", points=points, fill=colour)
