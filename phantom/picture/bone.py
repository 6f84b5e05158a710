"""Paints the column: bodies with shell and endplates, discs, what is inside or between them; calls the arches.

All bones are given in the frame of their vertebra (u left, v back, w up) and painted inside a small box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.bone_arch import arch, paint_canal
from phantom.picture.bone_extras import paint_bridges, paint_contents, paint_metal, paint_vein
from phantom.picture.bone_frame import Bar, Placed, Rack, box_around, frame, paint_bars, placed, rack_boxes
from phantom.picture.painting import Box, Float, Grid, between, blend, soft
from phantom.picture.texture import bone_texture
from phantom.vertebrae.relief import Plates, plates_over
from phantom.vertebrae.vertebra import Vertebra

BAND_AT_MM, BAND_SD_MM = 2.5, 4.0  # where bone impacted by a recent fracture lies under its endplate, by eye
PLATE_UNEVEN = 0.4  # SD of an endplate's thickness over its mean; it has thin places and gaps
FRONT_SHELL = 0.35  # how much thicker the front wall is than the mean, and the rear wall thinner


@dataclass(frozen=True)
class Shown:
    """A body that a grid shows: where it lies there, its box, and its endplates over that box."""

    at: Placed
    box: Box
    plates: Plates


def shown(column: Sequence[Placed], margin_mm: float = 1.5) -> list[Shown | None]:
    """Bodies on one grid with their boxes and endplates; None for each that the grid misses."""
    boxes = [body_box(at.grid, at.body, margin_mm) for at in column]
    seen = [(at, box) for at, box in zip(column, boxes, strict=True) if box is not None]
    if not seen:
        return [None] * len(column)
    grid = column[0].grid
    centre = np.array([at.body.centre_xyz_mm for at, _ in seen], np.float32)
    x, y = (_places([box[k] for _, box in seen], places) for k, places in ((0, grid.x_mm), (2, grid.y_mm)))
    columns = np.array([box[2].stop - box[2].start for _, box in seen])
    plates = plates_over([at.body for at, _ in seen], x - centre[:, :1], y - centre[:, 1:2], columns)
    found = (Shown(at, box, _plates_of(plates, k, box)) for k, (at, box) in enumerate(seen))
    return [None if box is None else next(found) for box in boxes]


def _places(spans: list[slice], places: Float) -> Float:
    """Places of each span, drawn out to the length of the longest: (n, longest)."""
    longest = max(span.stop - span.start for span in spans)
    index = np.array([[span.start] for span in spans]) + np.arange(longest)
    return np.asarray(places[np.minimum(index, len(places) - 1)])


def _plates_of(plates: Plates, k: int, box: Box) -> Plates:
    """The endplates of body k over its own box."""
    nx, ny = (span.stop - span.start for span in (box[0], box[2]))
    return Plates(*(v[k, :, :nx, :ny] for v in (plates.dz_mm, plates.steepness, plates.rough)))


@dataclass(frozen=True)
class Solid:
    """Distances (mm, inside positive) of every sample of a box to the endplates and the side wall of a body."""

    u: Float
    v: Float
    w: Float
    under_upper: Float
    over_lower: Float
    wall: Float
    rough: Float  # of both endplates above each (x, y): (2, nx, 1, ny)
    cap: Float  # distance to the nearer endplate


def solid(one: Shown) -> Solid:
    """A body's distances in its box."""
    body, plates = one.at.body, one.plates
    u, v, w = frame(one.at, one.box)
    _, z, _ = one.at.grid.places(one.box)
    dz = z - body.centre_xyz_mm[2]
    top, foot = plates.dz_mm[:, :, None]
    upright = (body.axes[2][2] / plates.steepness)[:, :, None]
    under_upper, over_lower = top - dz, dz - foot
    under_upper *= upright[0]
    over_lower *= upright[1]
    return Solid(
        u=u,
        v=v,
        w=w,
        under_upper=under_upper,
        over_lower=over_lower,
        wall=wall_distance(body, u, v, w),
        rough=plates.rough[:, :, None],
        cap=np.minimum(under_upper, over_lower),
    )


def wall_distance(body: Vertebra, u: Float, v: Float, w: Float) -> Float:
    """Signed distance to the side wall (inside positive, mm): a superellipse, its waist deeper in front."""
    qu, qv = np.abs(u) * np.float32(1 / body.half_width_mm), v * np.float32(1 / body.half_depth_mm)
    if body.notch:
        qv = qv - np.float32(body.notch) * qu * qu * np.maximum(qv, 0)
    middle = np.float32((sum(body.upper_mm) + sum(body.lower_mm)) / 6)
    tall = np.float32(6 / (sum(body.upper_mm) - sum(body.lower_mm)))
    qw = (w - middle) * tall
    qw *= qw
    grow = between(1 - qw, 0, 1) * (1 - np.float32(0.6) * qv)
    grow *= np.float32(3 * body.waist)
    grow += 1
    if body.lip_mm > 0 or body.back_lip_mm > 0:
        front, back = (np.float32(3 * mm / body.half_depth_mm) for mm in (body.lip_mm, body.back_lip_mm))
        out = front * between(-qv, 0, 1) + back * between(qv, 0, 1)
        grow /= 1 + out * between(qw * 2 - 1, 0, 1)
    np.abs(qv, out=qv)
    wall = (1 - (qu * qu * qu + qv * qv * qv) * grow) * np.float32(body.half_depth_mm / 3)
    if body.step_mm or body.bulge_mm:
        wall += _buckle(body, u, v, w)
    return np.asarray(wall)


def _buckle(body: Vertebra, u: Float, v: Float, w: Float) -> Float:
    """How far a broken front wall or a rear wall in the canal stands out; both near the upper endplate."""
    qv = v * np.float32(1 / body.half_depth_mm)
    front = np.exp(-(((w - np.float32(body.upper_mm[0] - 4)) * np.float32(1 / 2.5)) ** 2))
    back = np.exp(-(((w - np.float32(body.upper_mm[2] - 6)) * np.float32(1 / 5.0)) ** 2))
    back *= np.exp(-((u * np.float32(1 / 9.0)) ** 2))
    return np.asarray(
        np.float32(body.step_mm) * front * between(-qv, 0, 1)
        + np.float32(body.bulge_mm) * back * between(qv, 0, 1)
    )


def body_box(grid: Grid, body: Vertebra, margin_mm: float = 1.5) -> Box | None:
    """Samples around one body with its lips."""
    a, b = body.half_width_mm + margin_mm, body.half_depth_mm + margin_mm
    top, bottom = max(body.upper_mm) + margin_mm + 1, min(body.lower_mm) - margin_mm - 1
    front, back = max(body.lip_mm, body.step_mm), max(body.back_lip_mm, body.bulge_mm, 12 * body.notch)
    return box_around(grid, body, (-a, -b - front, bottom), (a, b + back, top))


def body_mask(one: Shown) -> npt.NDArray[np.bool_]:
    """Samples of its box that lie inside the body."""
    body = one.at.body
    _, z, _ = one.at.grid.places(one.box)
    dz = z - body.centre_xyz_mm[2]
    top, foot = one.plates.dz_mm[:, :, None]
    inside = wall_distance(body, *frame(one.at, one.box)) > 0
    inside &= top > dz
    inside &= dz > foot
    return inside


def paint_disc(canvas: Float, at: Placed, gain: float) -> None:
    """Disc tissue above and below the body and in what the body has lost."""
    grid, body = at.grid, at.body
    a, b = 0.98 * body.half_width_mm, 1.0 * body.half_depth_mm
    top, bottom = (
        0.5 * max(body.intact_mm) + 0.6 * body.disc_mm,
        -0.5 * max(body.intact_mm) - 0.6 * body.disc_mm,
    )
    top, bottom = min(top, max(body.upper_mm) + body.disc_mm), max(bottom, min(body.lower_mm) - body.disc_mm)
    box = box_around(grid, body, (-a - 1, -b - 1, bottom), (a + 1, b + 1, top))
    if box is None:
        return
    u, v, w = frame(at, box)
    qu, qv = u * np.float32(1 / a), v * np.float32(1 / b)
    wall = (1 - (qu * qu + qv * qv)) * np.float32(0.5 * b)
    cap = np.minimum(np.float32(top) - w, w - np.float32(bottom))
    view = canvas[box]
    blend(view, soft(np.minimum(wall, cap), grid.y_width_mm), body.disc_hu * gain)
    if body.has_vacuum:
        gap = np.float32(max(body.upper_mm) + 0.5 * body.disc_mm) - w
        gas = np.minimum(0.9 - np.abs(gap), np.minimum(wall - 5, 6 - np.abs(v)))
        blend(view, soft(gas, grid.y_width_mm), -450.0)


def _widths(grid: Grid, body: Vertebra) -> tuple[float, float]:
    """Softness of endplates and of walls: the sample's width seen along each normal."""
    st, ct = math.sin(body.theta_rad), math.cos(body.theta_rad)
    sp = math.sin(body.phi_rad)
    cap = math.hypot(grid.z_width_mm * ct, grid.y_width_mm * st + grid.x_width_mm * sp)
    wall = math.hypot(grid.y_width_mm * ct, grid.z_width_mm * st)
    return cap, wall


def paint_body(canvas: Float, patient: Anatomy, one: Shown) -> None:
    """One vertebral body: compact shell and endplates around textured trabecular bone."""
    grid, body, box = one.at.grid, one.at.body, one.box
    shape = solid(one)
    cap, (cap_width, wall_width) = shape.cap, _widths(grid, body)
    x, z, y = (places.ravel() for places in grid.places(box))
    texture = bone_texture(
        x,
        z,
        y,
        patient.texture_scale,
        patient.texture_shift,
        striation=patient.striation,
        slant=math.tan(body.theta_rad),
    )
    view = canvas[box]
    compact = (1 + np.float32(0.12) * texture) * np.float32(patient.cortex_hu * body.cortex_gain)
    corner = soft(cap + shape.wall - np.float32(patient.corner_mm), wall_width)
    outside = soft(cap, cap_width) * soft(shape.wall, wall_width) * corner
    blend(view, outside, compact)
    thick = np.minimum(np.maximum(1 + np.float32(PLATE_UNEVEN) * shape.rough, 0.2), 2.2)
    thick *= np.float32(patient.cortex_mm * body.endplate_gain)
    inner = np.minimum(shape.under_upper - thick[0], shape.over_lower - thick[1])
    front = 1 - np.float32(FRONT_SHELL / body.half_depth_mm) * shape.v
    front *= np.float32(patient.wall_share * patient.cortex_mm)
    inside = soft(inner, cap_width) * soft(shape.wall - front, wall_width)
    blend(view, inside, _marrow(patient, body, shape, texture))
    if body.spots or body.cuts:
        paint_contents(view, body, (shape.u, shape.v, shape.w), np.minimum(cap, shape.wall), texture)
    if body.vein_mm > 0:
        paint_vein(canvas, patient, one.at)


def _marrow(patient: Anatomy, body: Vertebra, shape: Solid, texture: Float) -> Float:
    """HU of trabecular bone: texture, denser under the endplates, perhaps a band of impacted bone."""
    core = texture * np.float32(patient.texture_hu) + np.float32(body.trabecular_hu)
    depth = np.maximum(shape.cap, 0) * np.float32(1 / 3.0)
    core += np.float32(patient.plate_band_hu) / (1 + depth * depth)
    if body.band_hu:
        from_upper = 0.5 * body.intact_mm[1] - body.upper_mm[1] >= body.lower_mm[1] + 0.5 * body.intact_mm[1]
        under = shape.under_upper if from_upper else shape.over_lower
        band = np.exp(-(((under - np.float32(BAND_AT_MM)) * np.float32(1 / BAND_SD_MM)) ** 2))
        # What the band holds more, the rest of the body holds less: its mean says nothing.
        share = 0.82 * math.sqrt(math.pi) * BAND_SD_MM / max(body.heights_mm[1], 8.0)
        core += np.float32(body.band_hu) * (band - np.float32(share))
    return np.asarray(core)


def _sacral(patient: Anatomy, at: Placed, order: int) -> Rack:
    """The plate behind one sacral body and its wings; the coccyx has none."""
    body, bars = at.body, []
    if order < 4:
        tall = max(body.intact_mm)
        bars = [Bar((0, body.half_depth_mm + 15 - 2.5 * order, 0), (14.0 - 2 * order, 3.0, 0.55 * tall))]
        for side in (-1.0, 1.0):
            wing = (side * (body.half_width_mm + 14 - 2 * order), 2.0, 0.0)
            bars.append(Bar(wing, (17, 12 - 2 * order, 0.5 * tall)))
    return Rack(at, bars, shell_hu=patient.cortex_hu * 0.95, core_hu=0.8 * body.trabecular_hu + 90)


def paint_spine(canvas: Float, grid: Grid, patient: Anatomy) -> None:
    """The whole column; discs and canal first, then sacrum, bodies, what stands behind and before them, metal."""
    spine = [placed(grid, b) for b in patient.vertebrae if _may_show(grid, b)]
    sacrum = [placed(grid, b) for b in patient.sacrum]
    _paint_between(canvas, patient, spine, with_canal=len(spine))
    _paint_between(canvas, patient, sacrum, with_canal=3)
    column = sacrum + spine
    racks = [_sacral(patient, at, order) for order, at in enumerate(sacrum)] + [
        arch(patient, at) for at in spine
    ]
    solids = shown(column, 1.5 + 0.5 * grid.z_width_mm)
    for one, rack, boxes in zip(solids, racks, rack_boxes(racks), strict=True):
        if one is not None:
            paint_body(canvas, patient, one)
        paint_bars(canvas, rack, boxes)
    paint_bridges(canvas, grid, patient)
    paint_metal(canvas, grid, patient.metal)


def _paint_between(canvas: Float, patient: Anatomy, column: Sequence[Placed], with_canal: int) -> None:
    """Discs, and the canal behind the first bodies."""
    for order, at in enumerate(column):
        if order < with_canal:
            paint_canal(canvas, patient, at)
        paint_disc(canvas, at, patient.tissues.disc_gain)


def _may_show(grid: Grid, body: Vertebra) -> bool:
    z = body.centre_xyz_mm[2]
    return float(grid.z_mm[-1]) - 70 < z < float(grid.z_mm[0]) + 70


__all__ = ["body_mask", "paint_spine", "placed", "shown"]
