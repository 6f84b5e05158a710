"""Paints tissues on a grid of sample places: layers of the body, ellipsoids, tubes. HU, axes (x, z, y).

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

from phantom.anatomy import Anatomy
from phantom.body import BodyShape
from phantom.organs import Blob, Tube

Float = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]
AIR_HU = -1024.0
TUBE_CHUNK_MM = 24.0


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
        x, y, z = (self.span(k, low[k], high[k]) for k in range(3))
        return None if x is None or y is None or z is None else (x, z, y)

    def reaches(self, low: Float, high: Float) -> npt.NDArray[np.bool_]:
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
    return np.asarray(np.clip(distance * np.float32(1.0 / width) + np.float32(0.5), 0, 1))


def blend(target: Float, share: Float, value: float | Float) -> None:
    """Replace that share of what is there, in place."""
    target += share * (np.asarray(value, np.float32) - target)


def paint_layers(grid: Grid, patient: Anatomy) -> Float:
    """Air, skin, fat, wall, lungs, belly, wall, fat, skin, table: every ray along y cut in intervals."""
    edges, values = _layers(grid, patient)
    ny = len(grid.y_mm)
    step = float(grid.y_mm[1] - grid.y_mm[0])
    ends = np.maximum.accumulate(np.stack(edges, axis=-1), axis=-1)
    at = np.clip(np.ceil((ends - float(grid.y_mm[0])) / step), 0, ny).astype(np.int64)
    zero, full = np.zeros((*at.shape[:2], 1), np.int64), np.full((*at.shape[:2], 1), ny)
    lengths = np.diff(np.concatenate([zero, at, full], axis=-1), axis=-1)
    filled = np.stack(np.broadcast_arrays(*values), axis=-1).astype(np.float32)
    return np.repeat(filled.ravel(), lengths.ravel()).reshape(grid.shape)


def _outline(x: Float, half_width: Float, front: Float, back: Float) -> tuple[Float, Float]:
    """Front and back y of a closed superellipse-like section at (x, z)."""
    middle = 0.5 * front + 0.5 * back
    q = np.clip(np.abs(x) / np.maximum(half_width, 1.0), 0, 1)
    rise_front = (1 - q**2.3) ** (1 / 2.1)
    rise_back = (1 - q**3.4) ** (1 / 2.6)
    return (
        np.asarray(middle + (front - middle) * rise_front, np.float32),
        np.asarray(middle + (back - middle) * rise_back, np.float32),
    )


def _layers(grid: Grid, patient: Anatomy) -> tuple[list[Float], list[npt.ArrayLike]]:
    shape, tissue = patient.body, patient.tissues
    z, x = grid.z_mm, grid.x_mm[:, None]
    names = ("half_width_mm", "front_y_mm", "back_y_mm", "spine_x_mm", "spine_front_y_mm", "spine_back_y_mm")
    width, front, back, mid, s_front, s_back = (
        np.interp(z, shape.z_mm, getattr(shape, n))[None, :].astype(np.float32) for n in names
    )
    skin, lateral_fat = shape.skin_mm, 0.5 * (shape.front_fat_mm + shape.back_fat_mm)
    f0, b0 = _outline(x, width, front, back)
    f1, b1 = _outline(x, width - skin, front + skin, back - skin)
    f2, b2 = _outline(x, width - lateral_fat - skin, front + shape.front_fat_mm, back - shape.back_fat_mm)
    furrow = np.exp(-((x - mid) ** 2) / 130)  # behind the spinous processes lies fat, not muscle
    b2 = b2 - furrow * np.maximum(b2 - (s_back + 45), 0)
    inset = lateral_fat + 18
    f3, b3 = _outline(x, width - inset, front + shape.front_fat_mm + 10, back - shape.back_fat_mm - 16)
    beside = np.clip((np.abs(x - mid) - 19) / 13, 0, 1)
    beside = beside * beside * (3 - 2 * beside) * (z > -30)
    b3 = np.minimum(b3, s_front - 1 + beside * (s_back + 24 - s_front))
    outside = np.abs(x) > width - inset
    is_open = (z < shape.apex_z_mm) & (z > shape.floor_z_mm) & ~outside
    b3 = np.where(is_open, np.maximum(b3, f3), f3)
    d1, d2 = _dome(shape, z[None, :], f3, b3)
    lung = _is_lung(shape, x, z[None, :], mid)
    chest = np.where(lung, tissue.lung, tissue.mediastinum)
    table = patient.table_curve * x * x + np.zeros_like(b0) + (max(shape.back_y_mm) + patient.table_gap_mm)
    deep = np.full_like(table, float(max(shape.back_y_mm)) + patient.table_gap_mm + patient.table_depth_mm)
    on = np.abs(x) < 235
    shell = np.where(on, patient.table_hu, AIR_HU)
    edges = [f0, f1, f2, f3, d1, d2, b3, b2, b1, b0, table, table + 2.0, deep, deep + 2.2]
    values: list[npt.ArrayLike] = [AIR_HU, tissue.skin, tissue.fat, tissue.muscle, chest, tissue.fat, chest]
    values += [tissue.muscle, tissue.fat, tissue.skin, AIR_HU, shell, AIR_HU, shell, AIR_HU]
    return [np.broadcast_to(e, b0.shape) for e in edges], [np.broadcast_to(v, b0.shape) for v in values]


def _dome(shape: BodyShape, z: Float, front: Float, back: Float) -> tuple[Float, Float]:
    """Front and back y of what lies under the diaphragm; empty above its top, everything below its base."""
    height = (z - shape.base_z_mm) / (shape.dome_z_mm - shape.base_z_mm)
    reach = np.sqrt(np.clip(1 - height * height, 0, 1)) * (height < 1)
    middle = 0.45 * back + 0.55 * front
    full = height <= 0
    return (
        np.where(full, front, middle - reach * (middle - front)),
        np.where(full, back, middle + reach * (back - middle)),
    )


def _is_lung(shape: BodyShape, x: Float, z: Float, mid: Float) -> npt.NDArray[np.bool_]:
    top = np.clip((shape.apex_z_mm - z) / 60, 0.0, 1.0)  # lungs narrow towards their apex
    left = shape.mediastinum_left_mm + 26 * (1 - top)
    right = shape.mediastinum_right_mm + 26 * (1 - top)
    side = x - 0.4 * mid
    return np.asarray((side > left) | (side < -right))


def paint_blobs(canvas: Float, grid: Grid, blobs: Sequence[Blob]) -> None:
    """Ellipsoids in their order, in place; those that miss the grid cost nothing."""
    if not blobs:
        return
    centres = np.array([b.centre_xyz_mm for b in blobs])
    radii = np.array([b.radii_xyz_mm for b in blobs]) + 2
    for k in np.flatnonzero(grid.reaches(centres - radii, centres + radii)).tolist():
        paint_blob(canvas, grid, blobs[k])


def paint_blob(canvas: Float, grid: Grid, blob: Blob) -> None:
    """One ellipsoid, in place."""
    centre, radii = blob.centre_xyz_mm, blob.radii_xyz_mm
    margin = 1.0 + grid.y_width_mm
    box = grid.box(
        (centre[0] - radii[0] - margin, centre[1] - radii[1] - margin, centre[2] - radii[2] - margin),
        (centre[0] + radii[0] + margin, centre[1] + radii[1] + margin, centre[2] + radii[2] + margin),
    )
    if box is None:
        return
    x, z, y = grid.places(box)
    qx, qy, qz = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1], (z - centre[2]) / radii[2]
    small = min(radii)
    qx, qy, qz = qx * qx, qy * qy, qz * qz
    if blob.is_boxy:
        qx, qy, qz = qx * qx, qy * qy, qz * qz
    inside = (np.float32(1) - (qx + qz + qy)) * np.float32((0.25 if blob.is_boxy else 0.5) * small)
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
    for bottom in np.arange(low, high, TUBE_CHUNK_MM):
        _paint_tube_chunk(canvas, grid, tube, float(bottom), float(min(bottom + TUBE_CHUNK_MM, high)))


def _paint_tube_chunk(canvas: Float, grid: Grid, tube: Tube, low: float, high: float) -> None:
    rows = grid.span(2, low, high - 1e-6)
    if rows is None:
        return
    z = grid.z_mm[rows]
    cx, cy, r = (
        np.interp(z, tube.z_mm, v).astype(np.float32) for v in (tube.x_mm, tube.y_mm, tube.radius_mm)
    )
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
