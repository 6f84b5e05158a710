"""Rods: rounded bars along a line of points, painted as one solid: ribs, limbs, plates of flat bones, cables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phantom.painting import Box, Float, Grid, blend, soft

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]
SHELL_BAND_HU = 30.0  # a limited rod's core covers its own shell, which has its HU within this


@dataclass(frozen=True)
class Rod:
    """A bar of `radius_mm` along points (x, y, z); `tall` is its height over its width.

    `core_hu` makes it a shell; `over` limits it to tissues of that HU, so that flesh does not cover a table.
    """

    points_xyz_mm: tuple[Point, ...]
    radius_mm: float
    hu: float
    core_hu: float | None = None
    shell_mm: float = 1.2
    tall: float = 1.0
    over: tuple[float, float] | None = None


def rod(points: npt.ArrayLike, radius_mm: float, hu: float, core_hu: float | None = None) -> Rod:
    """A rod along an array of points (n, 3)."""
    line = tuple((float(x), float(y), float(z)) for x, y, z in np.asarray(points))
    return Rod(line, radius_mm, hu, core_hu)


def mirrored(one: Rod) -> Rod:
    """The same rod on the other side."""
    return replace(one, points_xyz_mm=tuple((-x, y, z) for x, y, z in one.points_xyz_mm))


def paint_rods(canvas: Float, grid: Grid, rods: Sequence[Rod]) -> None:
    """Rods as one solid, in place: all their shells, then all their cores, so that no wall stands inside."""
    pieces = list(_pieces(grid, rods))
    for one, box, inside in pieces:
        view = canvas[box]
        share = soft(inside, grid.y_width_mm)
        if one.over is not None:
            share *= (view > one.over[0]) & (view < one.over[1])
        blend(view, share, one.hu)
    for one, box, inside in pieces:
        if one.core_hu is not None and one.radius_mm > one.shell_mm:
            view = canvas[box]
            share = soft(inside - np.float32(one.shell_mm), grid.y_width_mm)
            if one.over is not None:
                share *= np.abs(view - np.float32(one.hu)) < SHELL_BAND_HU
            blend(view, share, one.core_hu)


def _pieces(grid: Grid, rods: Sequence[Rod]) -> Iterator[tuple[Rod, Box, Float]]:
    """Each straight piece that touches the grid: its box and the distance to its wall (inside positive, mm)."""
    lines = [np.asarray(one.points_xyz_mm) for one in rods]
    if not lines:
        return
    starts, ends = (
        np.concatenate([line[cut] for line in lines]) for cut in (slice(None, -1), slice(1, None))
    )
    owner = np.repeat(np.arange(len(rods)), [len(line) - 1 for line in lines])
    reach = np.array([(r.radius_mm, r.radius_mm, r.radius_mm * r.tall) for r in rods])[owner]
    reach = reach + 0.6 * grid.y_width_mm
    low, high = np.minimum(starts, ends) - reach, np.maximum(starts, ends) + reach
    for k in np.flatnonzero(grid.reaches(low, high)).tolist():
        box = grid.box(tuple(low[k].tolist()), tuple(high[k].tolist()))
        if box is not None:
            one = rods[owner[k]]
            yield one, box, _inside(grid, box, one, starts[k], ends[k])


def _inside(grid: Grid, box: Box, one: Rod, start: Floats, end: Floats) -> Float:
    x, z, y = grid.places(box)
    low = np.float32(1 / one.tall)
    dx, dy, dz = x - np.float32(start[0]), y - np.float32(start[1]), (z - np.float32(start[2])) * low
    along = (end - start).astype(np.float32)
    along[2] *= low
    length2 = max(float(along @ along), 1e-6)
    t = (dx * along[0] + dz * along[2]) + dy * along[1]
    squared = (dx * dx + dz * dz) + dy * dy
    clipped = np.clip(t, 0, np.float32(length2))
    t *= 2
    t -= clipped
    t *= clipped
    t *= np.float32(1 / length2)
    squared -= t
    np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
    return np.asarray(np.subtract(np.float32(one.radius_mm), squared, out=squared))
