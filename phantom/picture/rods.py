"""Rods: rounded bars along a line of points, painted as one solid: ribs, limbs, plates of flat bones, cables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.picture.painting import Box, Float, Grid, between, blend, soft

Floats = npt.NDArray[np.float64]
SHELL_BAND_HU = 30.0  # a limited rod's core covers its own shell, which has its HU within this
OTHER_SIDE = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Rod:
    """A bar of `radius_mm` along points (n, 3; x, y, z); `tall` is its height over its width.

    `core_hu` makes it a shell; `over` limits it to tissues of that HU, so that flesh does not cover a table.
    """

    points_xyz_mm: Floats
    radius_mm: float
    hu: float
    core_hu: float | None = None
    shell_mm: float = 1.2
    tall: float = 1.0
    over: tuple[float, float] | None = None


def mirrored(one: Rod) -> Rod:
    """The same rod on the other side."""
    return along(one, one.points_xyz_mm * OTHER_SIDE)


def along(one: Rod, points_xyz_mm: Floats) -> Rod:
    """The same rod along other points."""
    return Rod(points_xyz_mm, one.radius_mm, one.hu, one.core_hu, one.shell_mm, one.tall, one.over)


@dataclass(frozen=True, eq=False)
class Bundle:
    """Rods cut into straight pieces from `starts` to `ends` (n, 3); piece k belongs to rod `owner[k]`."""

    rods: tuple[Rod, ...]
    starts: Floats
    ends: Floats
    owner: npt.NDArray[np.int64]
    reach_mm: Floats


def bundle(rods: Sequence[Rod]) -> Bundle:
    """Rods that are painted as one solid."""
    lines = [one.points_xyz_mm for one in rods] or [np.zeros((1, 3))]
    starts, ends = (
        np.concatenate([line[cut] for line in lines]) for cut in (slice(None, -1), slice(1, None))
    )
    owner = np.repeat(np.arange(len(lines)), [len(line) - 1 for line in lines])
    size = np.array([(r.radius_mm, r.radius_mm, r.radius_mm * r.tall) for r in rods] or [(0.0, 0.0, 0.0)])
    return Bundle(tuple(rods), starts, ends, owner, size[owner])


def paint_bundle(canvas: Float, grid: Grid, rods: Bundle) -> None:
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


def _pieces(grid: Grid, rods: Bundle) -> Iterator[tuple[Rod, Box, Float]]:
    """Each straight piece that touches the grid: its box and the distance to its wall (inside positive, mm)."""
    reach = rods.reach_mm + 0.6 * grid.y_width_mm
    low, high = np.minimum(rods.starts, rods.ends) - reach, np.maximum(rods.starts, rods.ends) + reach
    for k in np.flatnonzero(grid.reaches(low, high)).tolist():
        (x0, y0, z0), (x1, y1, z1) = low[k].tolist(), high[k].tolist()
        box = grid.box((x0, y0, z0), (x1, y1, z1))
        if box is not None:
            one = rods.rods[rods.owner[k]]
            yield one, box, _inside(grid, box, one, rods.starts[k], rods.ends[k])


def _inside(grid: Grid, box: Box, one: Rod, start: Floats, end: Floats) -> Float:
    x, z, y = grid.places(box)
    low = np.float32(1 / one.tall)
    dx, dy, dz = x - np.float32(start[0]), y - np.float32(start[1]), (z - np.float32(start[2])) * low
    along = (end - start).astype(np.float32)
    along[2] *= low
    length2 = max(float(along @ along), 1e-6)
    t = (dx * along[0] + dz * along[2]) + dy * along[1]
    squared = (dx * dx + dz * dz) + dy * dy
    clipped = between(t, 0, length2)
    t *= 2
    t -= clipped
    t *= clipped
    t *= np.float32(1 / length2)
    squared -= t
    np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
    return np.asarray(np.subtract(np.float32(one.radius_mm), squared, out=squared))
