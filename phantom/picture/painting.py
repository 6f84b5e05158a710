"""Paints tissues on a grid of sample places: ellipsoids and tubes. HU, axes (x, z, y).

A grid has its rows from head to foot and knows how wide a sample is along each axis, so that edges are
as soft as the partial volume of a slice makes them. The same code paints sagittal slabs and axial volumes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from phantom.torso.organs import Blob, Tube

Float = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]
AIR_HU = -1024.0
NONE, HALF, WHOLE = np.float32(0), np.float32(0.5), np.float32(1)  # numbers of NumPy are faster in its calls
TUBE_CHUNK_MM = 40.0


@dataclass(frozen=True)
class Grid:
    """Regular sample places: x rising (to the left), z falling (to the feet), y rising (to the back)."""

    x_mm: Float
    z_mm: Float
    y_mm: Float
    x_width_mm: float
    z_width_mm: float
    y_width_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(x, z, y)."""
        return (len(self.x_mm), len(self.z_mm), len(self.y_mm))

    @cached_property
    def _axes(self) -> tuple[tuple[float, float, int], ...]:
        """First place, step and count of x, y and z as plain numbers; array access is slow in small boxes."""
        axes = (self.x_mm, self.y_mm, self.z_mm)
        return tuple((float(a[0]), float(a[1] - a[0]) if len(a) > 1 else 1.0, len(a)) for a in axes)

    def span(self, axis: int, low: float, high: float) -> slice | None:
        """Index range between two places along x (0), y (1) or z (2); None when it is empty."""
        start, step, count = self._axes[axis]
        a, b = (low - start) / step, (high - start) / step
        if a > b:
            a, b = b, a
        first, last = max(0, math.ceil(a)), min(count, math.floor(b) + 1)
        return slice(first, last) if last > first else None

    def box(self, low: Point, high: Point) -> Box | None:
        """Index ranges of the samples between two corners (x, y, z); None when there are none."""
        x = self.span(0, low[0], high[0])
        y = self.span(1, low[1], high[1]) if x is not None else None
        z = self.span(2, low[2], high[2]) if y is not None else None
        return None if x is None or y is None or z is None else (x, z, y)

    def boxes(self, low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]) -> list[Box | None]:
        """`box` of many cuboids (n, 3) at once."""
        start, step, count = np.array(self._axes).T
        a, b = (low - start) / step, (high - start) / step
        first = np.maximum(np.ceil(np.minimum(a, b)), 0).astype(np.int64).tolist()
        last = np.minimum(np.floor(np.maximum(a, b)) + 1, count).astype(np.int64).tolist()
        return [
            (slice(x0, x1), slice(z0, z1), slice(y0, y1)) if x1 > x0 and y1 > y0 and z1 > z0 else None
            for (x0, y0, z0), (x1, y1, z1) in zip(first, last, strict=True)
        ]

    def reaches(self, low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Which of many cuboids (n, 3) touch the grid."""
        near = np.ones(len(low), bool)
        for k, (start, step, count) in enumerate(self._axes):
            a, b = sorted((start, start + step * (count - 1)))
            near &= (high[:, k] >= a) & (low[:, k] <= b)
        return near

    def places(self, box: Box) -> tuple[Float, Float, Float]:
        """x, z, y of a box, shaped to broadcast to (x, z, y)."""
        x, z, y = box
        return self.x_mm[x][:, None, None], self.z_mm[z][None, :, None], self.y_mm[y][None, None, :]


def soft(distance: Float, width: float) -> Float:
    """Share of a sample that lies inside, from its signed distance to the edge and the sample's width."""
    share = distance * np.float32(1.0 / width)
    share += HALF
    np.maximum(share, NONE, out=share)  # in small boxes faster than np.clip
    np.minimum(share, WHOLE, out=share)
    return share


def between(values: Float, low: float, high: float) -> Float:
    """`np.clip`, which takes several times as long on small arrays."""
    inside = np.maximum(values, low)
    return np.asarray(np.minimum(inside, high, out=inside))


def blend(target: Float, share: Float, value: float | Float) -> None:
    """Replace that share of what is there, in place."""
    change = np.subtract(value, target, dtype=np.float32)
    change *= share
    target += change


def paint_blobs(canvas: Float, grid: Grid, blobs: Sequence[Blob]) -> None:
    """Ellipsoids in their order, in place; those that miss the grid cost nothing."""
    if not blobs:
        return
    centres = np.array([b.centre_xyz_mm for b in blobs])
    radii = np.array([b.radii_xyz_mm for b in blobs]) + 2
    near = np.flatnonzero(grid.reaches(centres - radii, centres + radii)).tolist()
    paint_each(canvas, grid, [blobs[k] for k in near])


def paint_each(canvas: Float, grid: Grid, blobs: Sequence[Blob]) -> None:
    """Ellipsoids in their order, in place; what each axis needs is worked out for all of them at once."""
    if not blobs:
        return
    centres, radii = (
        np.array(v) for v in zip(*((b.centre_xyz_mm, b.radii_xyz_mm) for b in blobs), strict=True)
    )
    margin = 1.0 + grid.y_width_mm
    boxes = grid.boxes(centres - radii - margin, centres + radii + margin)
    middle, size = centres.T.astype(np.float32)[:, :, None], radii.T.astype(np.float32)[:, :, None]
    squares = []
    for k, places in enumerate((grid.x_mm, grid.y_mm, grid.z_mm)):
        q = (places - middle[k]) / size[k]
        squares.append(q * q)
    for k, (blob, box) in enumerate(zip(blobs, boxes, strict=True)):
        if box is not None:
            x, y, z = (square[k] for square in squares)
            _paint_blob(canvas, grid, blob, box, (x[box[0]], z[box[1]], y[box[2]]))


def _paint_blob(canvas: Float, grid: Grid, blob: Blob, box: Box, squares: tuple[Float, Float, Float]) -> None:
    """One ellipsoid in its box, in place; `squares` of the places along x, z and y over its radii."""
    qx, qz, qy = squares
    small = min(blob.radii_xyz_mm)
    if blob.is_boxy:
        qx, qz, qy = qx * qx, qz * qz, qy * qy
    inside = (qx[:, None] + qz)[:, :, None] + qy
    np.subtract(np.float32(1), inside, out=inside)
    inside *= np.float32((0.25 if blob.is_boxy else 0.5) * small)
    width = max(grid.y_width_mm, 0.5 * grid.z_width_mm)
    view = canvas[box]
    share = soft(inside, width)
    if blob.over is not None:
        share *= (view > blob.over[0]) & (view < blob.over[1])
    blend(view, share, blob.hu)
    if blob.core_hu is not None and small > blob.shell_mm:
        blend(view, soft(inside - np.float32(blob.shell_mm), width), blob.core_hu)


def paint_tube(canvas: Float, grid: Grid, tube: Tube) -> None:
    """One tube along z, in place; in chunks, so that a slanting tube does not touch a large box."""
    low, high = tube.z_mm[0], tube.z_mm[-1]
    z = grid.z_mm
    x, y, r = (np.interp(z, tube.z_mm, v).astype(np.float32) for v in (tube.x_mm, tube.y_mm, tube.radius_mm))
    for bottom in np.arange(low, high, TUBE_CHUNK_MM).tolist():
        rows = grid.span(2, bottom, min(bottom + TUBE_CHUNK_MM, high) - 1e-6)
        if rows is not None:
            _paint_tube_chunk(canvas, grid, tube, rows, (x[rows], y[rows], r[rows]))


def _paint_tube_chunk(
    canvas: Float, grid: Grid, tube: Tube, rows: slice, middle: tuple[Float, Float, Float]
) -> None:
    """Some rows of a tube, in place; `middle` holds its x, y and radius on each of them."""
    cx, cy, r = middle
    wide = float(r.max()) * tube.aspect + 2
    x = grid.span(0, float(cx.min()) - wide, float(cx.max()) + wide)
    y = grid.span(1, float(cy.min() - r.max()) - 2, float(cy.max() + r.max()) + 2)
    if x is None or y is None:
        return
    dx = (grid.x_mm[x][:, None] - cx[None, :]) * np.float32(1 / tube.aspect)
    dy = grid.y_mm[y][None, :] - cy[:, None]
    r2 = (r * r)[None, :]
    inside = ((r2 - dx * dx)[:, :, None] - (dy * dy)[None]) * (np.float32(0.5) / r)[None, :, None]
    view = canvas[x, rows, y]
    blend(view, soft(inside, grid.y_width_mm), tube.hu)
    if tube.core_hu is not None:
        blend(view, soft(inside - np.float32(tube.shell_mm), grid.y_width_mm), tube.core_hu)
