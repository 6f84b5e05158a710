"""Paints the layers of the body and the table: every ray along y is cut in intervals of one tissue each.

From the front: skin, fat, wall, lung, mediastinum, lung, what lies under the diaphragm, lung, mediastinum, lung,
airless lung, fluid, wall, fat, skin. Most are empty on most rays. Axes (x, z, y).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from phantom.anatomy import Anatomy
from phantom.picture.painting import AIR_HU, Float, Grid
from phantom.torso.body import VISCERAL_FAT_HU, BodyShape
from phantom.torso.table import Table, table_edges

FLUID_HU, COLLAPSED_HU = 10.0, 45.0
JUNCTION_MM = 4.0  # half width of what joins mediastinum, sternum and spine


@dataclass(frozen=True)
class _Outline:
    """What the layers need of the body at each height; arrays (1, nz)."""

    width: Float
    front: Float
    back: Float
    middle_x: Float
    spine_x: Float
    spine_front: Float
    spine_back: Float


def paint_layers(grid: Grid, patient: Anatomy, table: Table | None) -> Float:
    """A canvas with air, the body's layers and the table."""
    if patient.body.yaw_rad:
        return _paint_turned(grid, patient, table)
    edges, values = _body_edges(grid, patient)
    if table is not None:
        under, stuff = table_edges(table, grid.x_mm)
        flat = [np.broadcast_to(e[:, None], edges[0].shape) for e in under]
        is_before = table.is_in_front
        edges, values = (flat + edges, stuff + values) if is_before else (edges + flat, values + stuff)
    return _fill(grid, edges, [*values, AIR_HU])


def _paint_turned(grid: Grid, patient: Anatomy, table: Table | None) -> Float:
    """The layers of a body turned about the z axis: painted straight, then looked up place by place."""
    shape = patient.body
    sin, cos = math.sin(shape.yaw_rad), math.cos(shape.yaw_rad)
    cx, cy = shape.yaw_about_xy_mm
    dx, dy = grid.x_mm[:, None] - np.float32(cx), grid.y_mm[None] - np.float32(cy)
    own_x, own_y = cx + dx * cos + dy * sin, cy - dx * sin + dy * cos
    straight = replace(grid, x_mm=_axis(own_x, grid.x_mm), y_mm=_axis(own_y, grid.y_mm))
    edges, values = _body_edges(straight, patient)
    flat = _fill(straight, edges, [*values, AIR_HU]).ravel()
    _, rows, columns = straight.shape
    first, last = (
        np.rint((own - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
        for own, axis in ((own_x, straight.x_mm), (own_y, straight.y_mm))
    )
    at = first * (rows * columns) + last
    down = np.arange(rows)[:, None] * columns
    canvas = np.empty(grid.shape, np.float32)
    for plane, start in zip(canvas, at, strict=True):
        np.take(flat, down + start, out=plane)
    if table is not None:
        _put_table(canvas, grid, table)
    return canvas


def _axis(needed: Float, like: Float) -> Float:
    """A regular axis with the step of another one that holds all places needed."""
    step = float(like[1] - like[0])
    low, high = float(needed.min()) - step, float(needed.max()) + 2 * step
    return np.arange(low, high, step, dtype=np.float32)


def _put_table(canvas: Float, grid: Grid, table: Table) -> None:
    """The table where there is air, in place."""
    edges, values = table_edges(table, grid.x_mm)
    row = Grid(grid.x_mm, grid.z_mm[:1], grid.y_mm, grid.x_width_mm, grid.z_width_mm, grid.y_width_mm)
    alone = _fill(row, [e[:, None] for e in edges], [*values, AIR_HU])
    columns = np.flatnonzero((alone != AIR_HU).any(axis=(0, 1)))
    if len(columns):
        used = slice(int(columns[0]), int(columns[-1]) + 1)
        view = canvas[:, :, used]
        np.copyto(view, alone[:, :, used], where=view == AIR_HU)


def _fill(grid: Grid, edges: list[Float], values: list[float]) -> Float:
    """Runs of equal HU along y: value k lies before edge k."""
    ny = len(grid.y_mm)
    step = float(grid.y_mm[1] - grid.y_mm[0])
    ends = np.stack(edges, axis=-1)
    ends -= np.float32(grid.y_mm[0])
    ends *= np.float32(1 / step)
    np.maximum.accumulate(ends, axis=-1, out=ends)
    at = np.clip(np.ceil(ends, out=ends), 0, ny, out=ends).astype(np.int32)
    lengths = np.empty((*at.shape[:2], at.shape[2] + 1), np.int32)
    lengths[..., 0] = at[..., 0]
    np.subtract(at[..., 1:], at[..., :-1], out=lengths[..., 1:-1])
    np.subtract(ny, at[..., -1], out=lengths[..., -1])
    filled = np.broadcast_to(np.asarray(values, np.float32), lengths.shape)
    return np.repeat(filled.ravel(), lengths.ravel()).reshape(grid.shape)


def _body_edges(grid: Grid, patient: Anatomy) -> tuple[list[Float], list[float]]:
    """Edges (nx, nz) of a body that lies straight, and the HU before each of them."""
    outline = _outline_at(patient.body, grid.z_mm)
    x = np.broadcast_to(grid.x_mm[:, None], grid.shape[:2])
    edges = _edges(patient, outline, x, grid.z_mm)
    for edge in edges[1:-1]:  # beside the body all of them meet
        np.clip(edge, edges[0], edges[-1], out=edge)
    t = patient.tissues
    under_skin = t.fat if abs(t.fat - VISCERAL_FAT_HU) > 1 else VISCERAL_FAT_HU - 1
    inner = [
        t.lung,
        t.mediastinum,
        t.lung,
        VISCERAL_FAT_HU,
        t.lung,
        t.mediastinum,
        t.lung,
        COLLAPSED_HU,
        FLUID_HU,
    ]
    return edges, [AIR_HU, t.skin, under_skin, t.muscle, *inner, t.muscle, under_skin, t.skin]


def _outline_at(shape: BodyShape, z_mm: Float) -> _Outline:
    names: tuple[str, ...] = ("half_width_mm", "front_y_mm", "back_y_mm", "middle_x_mm", "spine_x_mm")
    names += ("spine_front_y_mm", "spine_back_y_mm")
    return _Outline(*(np.interp(z_mm, shape.z_mm, getattr(shape, n))[None].astype(np.float32) for n in names))


def section(x: Float, half_width: Float, front: Float | float, back: Float | float) -> tuple[Float, Float]:
    """Front and back y of a closed superellipse-like section at (x, z)."""
    middle = np.float32(0.5) * (front + back)
    q = np.minimum(np.abs(x) / np.maximum(half_width, 1.0), 1)
    log_q = np.log(np.maximum(q, 1e-6))
    rise_front = (1 - np.exp(np.float32(2.3) * log_q)) ** np.float32(1 / 2.1)
    rise_back = (1 - np.exp(np.float32(3.4) * log_q)) ** np.float32(1 / 2.6)
    return middle + (front - middle) * rise_front, middle + (back - middle) * rise_back


def _edges(patient: Anatomy, at: _Outline, x_mm: Float, z_mm: Float) -> list[Float]:
    shape = patient.body
    x, z = x_mm - at.middle_x, z_mm[None]
    side_fat = 0.5 * (shape.front_fat_mm + shape.back_fat_mm)
    skin, inset = shape.skin_mm, side_fat + 18
    f0, b0 = section(x, at.width, at.front, at.back)
    f1, b1 = section(x, at.width - skin, at.front + skin, at.back - skin)
    f2, b2 = section(
        x, at.width - side_fat - skin, at.front + shape.front_fat_mm, at.back - shape.back_fat_mm
    )
    wall = at.front + shape.front_fat_mm + 10
    f3, b3 = section(x, at.width - inset, wall, at.back - shape.back_fat_mm - 16)
    breast = _breasts(shape, x, z)
    f0, f1 = f0 - breast, f1 - breast
    from_spine = np.abs(x_mm - at.spine_x)
    furrow = np.exp(from_spine * from_spine * np.float32(-1 / 130))
    b2 = b2 - furrow * np.maximum(b2 - (at.spine_back + 45), 0)  # behind the spinous processes lies fat
    beside = np.clip((from_spine - 19) * np.float32(1 / 13), 0, 1)
    beside = beside * beside * (3 - 2 * beside) * (z > -30)
    # Lungs reach further back beside the spine than the belly, where the back's muscles lie.
    in_chest = np.clip((z - shape.base_z_mm) * np.float32(1 / 40), 0, 1)
    deeper = np.clip(from_spine - 30, 0, 45) * (np.float32(0.12) + np.float32(0.4) * in_chest)
    b3 = np.minimum(b3, at.spine_front - 1 + beside * (at.spine_back + 20 + deeper - at.spine_front))
    is_open = (z < shape.apex_z_mm) & (z > shape.floor_z_mm) & (np.abs(x) <= at.width - inset)
    b3 = np.where(is_open, np.maximum(b3, f3), f3)
    m1, m2 = _mediastinum(shape, at, x_mm, z, (f3, b3))
    d1, d2 = _under_diaphragm(shape, x, z, f3, b3)
    collapse, fluid = _behind_lungs(shape, x, z, from_spine, b3)
    before = [f0, f1, f2, f3, np.minimum(m1, d1), np.minimum(m2, d1), d1, d2]
    return [*before, np.maximum(m1, d2), np.maximum(m2, d2), collapse, fluid, b3, b2, b1, b0]


def _breasts(shape: BodyShape, x: Float, z: Float) -> Float:
    """How far the skin stands out over the chest wall."""
    radius = np.float32(1 / shape.breast_radius_mm)
    across = (np.abs(x) - np.float32(shape.breast_x_mm)) * radius
    along = (z - np.float32(shape.breast_z_mm)) * radius * np.float32(0.9)
    left = np.maximum(1 - across * across - along * along, 0)
    return np.asarray(np.float32(shape.breast_mm) * np.sqrt(left) * np.minimum(left * 3, 1))


def _mediastinum(
    shape: BodyShape, at: _Outline, x: Float, z: Float, cavity: tuple[Float, Float]
) -> tuple[Float, Float]:
    """Front and back y of what lies between the lungs; its edge is a curve in the axial plane."""
    front, back = cavity
    top = np.clip((shape.apex_z_mm - z) * np.float32(1 / 60), 0.0, 1.0)  # lungs narrow towards their apex
    side = x - np.float32(0.4) * at.spine_x
    limit = np.where(side > 0, shape.mediastinum_left_mm, shape.mediastinum_right_mm) + 26 * (1 - top)
    q = np.abs(side) / limit
    reach = np.sqrt(np.maximum(1 - q * q, 0))
    pointed = np.sqrt(np.maximum(1 - q, 0)) * np.minimum(1.4 - 0.4 * (1 - q), 1)  # a wedge behind the sternum
    ahead = np.minimum(at.front + shape.front_fat_mm + 10, at.spine_front)
    middle, half = 0.5 * (ahead + at.spine_front), 0.5 * (at.spine_front - ahead) + 6
    first, last = middle - half * pointed, middle + half * reach
    joined = np.abs(side) < JUNCTION_MM
    first, last = np.where(joined, front, first), np.where(joined, back, last)
    return np.clip(first, front, back), np.clip(last, front, back)


def _under_diaphragm(shape: BodyShape, x: Float, z: Float, front: Float, back: Float) -> tuple[Float, Float]:
    """Front and back y of what lies under the two domes; empty above them, everything below their base."""
    off_top = (np.abs(x) - 65) * np.float32(1 / 65)
    top = (
        shape.dome_z_mm - 22 * np.minimum(off_top * off_top, 2) + shape.right_dome_mm * np.clip(-x / 40, 0, 1)
    )
    height = (z - shape.base_z_mm) / (top - shape.base_z_mm)
    reach = np.sqrt(np.clip(1 - height * height, 0, 1)) * (height < 1)
    middle = np.float32(0.45) * back + np.float32(0.55) * front
    full = height <= 0
    return (
        np.where(full, front, middle - reach * (middle - front)),
        np.where(full, back, middle + reach * (back - middle)),
    )


def _behind_lungs(
    shape: BodyShape, x: Float, z: Float, from_spine: Float, back: Float
) -> tuple[Float, Float]:
    """Where airless lung and where fluid begins in front of the wall; at it when there is none."""
    if not any(shape.fluid_mm + shape.collapse_mm):
        return back, back
    rise = np.clip((shape.fluid_top_z_mm - z) * np.float32(1 / 60), 0, 1) * (from_spine > 16)
    fluid = back - np.where(x > 0, *shape.fluid_mm) * rise
    return fluid - np.where(x > 0, *shape.collapse_mm) * rise, fluid
