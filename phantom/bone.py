"""Paints vertebrae, sacrum and ribs: bodies with shell and endplates, discs, canal, arches, processes.

All bones are given in the frame of their vertebra (u left, v back, w up) and painted inside a small box.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.organs import Blob
from phantom.painting import Box, Float, Grid, blend, paint_blob, soft
from phantom.spine import ALL_LEVELS, RIM, Vertebra
from phantom.texture import bone_texture

# Sizes of canal and arches were read from the two real mid-sagittal and axial images in the data.
CANAL_DEPTH_MM = 15.0
CANAL_HALF_WIDTH_MM = 10.5


def frame(grid: Grid, box: Box, body: Vertebra) -> tuple[Float, Float, Float]:
    """u, v, w (mm) of every sample of a box; u is two-dimensional and broadcasts."""
    x, z, y = grid.places(box)
    cx, cy, cz = body.centre_xyz_mm
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    (ux, _, uz), (vx, vy, vz), (wx, wy, wz) = (tuple(np.float32(c) for c in axis) for axis in body.axes)
    u = ux * dx + uz * dz
    return u, (vx * dx + vz * dz) + vy * dy, (wx * dx + wz * dz) + wy * dy


def box_around(
    grid: Grid, body: Vertebra, low: tuple[float, float, float], high: tuple[float, float, float]
) -> Box | None:
    """Samples around a cuboid given in the body's frame."""
    middle = body.to_patient(*(0.5 * (a + b) for a, b in zip(low, high, strict=True)))
    half = [0.5 * (b - a) for a, b in zip(low, high, strict=True)]
    reach = [sum(abs(axis[k]) * h for axis, h in zip(body.axes, half, strict=True)) for k in range(3)]
    return grid.box(
        (middle[0] - reach[0], middle[1] - reach[1], middle[2] - reach[2]),
        (middle[0] + reach[0], middle[1] + reach[1], middle[2] + reach[2]),
    )


def endplates(body: Vertebra, u: Float, v: Float) -> tuple[Float, Float]:
    """w of the upper and the lower endplate at (u, v), mm."""
    reach = np.float32(RIM * body.half_depth_mm)
    along = v * np.float32(0.5 / reach)
    qv, qu = v / reach, u / np.float32(0.92 * body.half_width_mm)
    dish = np.maximum(1 - qv * qv, 0) * np.maximum(1 - qu * qu, 0)
    lean = 1 + np.float32(body.lateral_tilt / body.half_width_mm) * u
    surfaces = []
    for (a, m, p), is_upper in ((body.upper_mm, True), (body.lower_mm, False)):
        flat = np.float32(0.5 * (a + p)) + along * np.float32(p - a)
        surface = flat - dish * lean * np.float32(0.5 * (a + p) - m)
        for node in body.nodes:
            if node.is_upper == is_upper:
                surface = surface - _pit(node.u_mm, node.v_mm, node.radius_mm, u, v) * np.float32(
                    node.depth_mm if is_upper else -node.depth_mm
                )
        surfaces.append(surface)
    return surfaces[0], surfaces[1]


def _pit(u0: float, v0: float, radius: float, u: Float, v: Float) -> Float:
    r2 = ((u - np.float32(u0)) ** 2 + (v - np.float32(v0)) ** 2) * np.float32(1 / radius**2)
    return np.asarray(np.maximum(1 - r2, 0) ** 2)


def wall_distance(body: Vertebra, u: Float, v: Float, w: Float) -> Float:
    """Signed distance to the side wall (inside positive, mm): a superellipse with a waist."""
    qu, qv = np.abs(u) * np.float32(1 / body.half_width_mm), np.abs(v) * np.float32(1 / body.half_depth_mm)
    tall = np.float32(2 / (0.5 * (sum(body.upper_mm) - sum(body.lower_mm)) / 1.5))
    qw = (w * tall) ** 2
    grow = 1 + np.float32(3 * body.waist) * np.clip(1 - qw, 0, 1)
    if body.lip_mm > 0:
        front = np.clip(-v * np.float32(1 / body.half_depth_mm), 0, 1)
        lip = np.float32(3 * body.lip_mm / body.half_depth_mm)
        grow = grow / (1 + lip * front * np.clip(qw * 2 - 1, 0, 1))
    s = (qu * qu * qu + qv * qv * qv) * grow
    return np.asarray((1 - s) * np.float32(body.half_depth_mm / 3))


def body_box(grid: Grid, body: Vertebra, margin_mm: float = 1.5) -> Box | None:
    """Samples around one body with its lips."""
    a, b = body.half_width_mm + margin_mm, body.half_depth_mm + margin_mm
    top, bottom = max(body.upper_mm) + margin_mm + 1, min(body.lower_mm) - margin_mm - 1
    return box_around(grid, body, (-a, -b - body.lip_mm, bottom), (a, b, top))


def body_mask(grid: Grid, box: Box, body: Vertebra) -> npt.NDArray[np.bool_]:
    """Samples that lie inside the body."""
    u, v, w = frame(grid, box, body)
    upper, lower = endplates(body, u, v)
    return np.asarray((w < upper) & (w > lower) & (wall_distance(body, u, v, w) > 0))


def paint_disc(canvas: Float, grid: Grid, body: Vertebra, gain: float) -> None:
    """Disc tissue above and below the body and in what the body has lost."""
    a, b = 0.98 * body.half_width_mm, 1.0 * body.half_depth_mm
    top, bottom = (
        0.5 * max(body.intact_mm) + 0.6 * body.disc_mm,
        -0.5 * max(body.intact_mm) - 0.6 * body.disc_mm,
    )
    top, bottom = min(top, max(body.upper_mm) + body.disc_mm), max(bottom, min(body.lower_mm) - body.disc_mm)
    box = box_around(grid, body, (-a - 1, -b - 1, bottom), (a + 1, b + 1, top))
    if box is None:
        return
    u, v, w = frame(grid, box, body)
    qu, qv = u * np.float32(1 / a), v * np.float32(1 / b)
    wall = (1 - (qu * qu + qv * qv)) * np.float32(0.5 * b)
    cap = np.minimum(np.float32(top) - w, w - np.float32(bottom))
    view = canvas[box]
    blend(view, soft(np.minimum(wall, cap), grid.y_width_mm), body.disc_hu * gain)
    if body.has_vacuum:
        gap = np.float32(max(body.upper_mm) + 0.5 * body.disc_mm) - w
        gas = np.minimum(1.1 - np.abs(gap), np.minimum(wall - 5, 6 - np.abs(v)))
        blend(view, soft(gas, grid.y_width_mm), -350.0)


def _widths(grid: Grid, body: Vertebra) -> tuple[float, float]:
    """Softness of endplates and of walls: the sample's width seen along each normal."""
    st, ct = math.sin(body.theta_rad), math.cos(body.theta_rad)
    sp = math.sin(body.phi_rad)
    cap = math.hypot(grid.z_width_mm * ct, grid.y_width_mm * st + grid.x_width_mm * sp)
    wall = math.hypot(grid.y_width_mm * ct, grid.z_width_mm * st)
    return cap, wall


def paint_body(canvas: Float, grid: Grid, patient: Anatomy, body: Vertebra) -> None:
    """One vertebral body: compact shell and endplates around textured trabecular bone."""
    box = body_box(grid, body, 1.5 + 0.5 * grid.z_width_mm)
    if box is None:
        return
    u, v, w = frame(grid, box, body)
    upper, lower = endplates(body, u, v)
    wall = wall_distance(body, u, v, w)
    cap_width, wall_width = _widths(grid, body)
    cap = np.minimum(upper - w, w - lower)
    shell = patient.cortex_mm
    plate = shell * body.endplate_gain
    view = canvas[box]
    x, z, y = grid.places(box)
    texture = bone_texture(x.ravel(), z.ravel(), y.ravel(), patient.texture_scale, patient.texture_shift)
    compact = (1 + np.float32(0.12) * texture) * np.float32(patient.cortex_hu * body.cortex_gain)
    corner = soft(cap + wall - np.float32(patient.corner_mm), wall_width)
    blend(view, soft(cap, cap_width) * soft(wall, wall_width) * corner, compact)
    core = texture * np.float32(patient.texture_hu) + np.float32(body.trabecular_hu)
    depth = np.maximum(cap, 0) * np.float32(1 / 3.0)
    core += np.float32(patient.plate_band_hu) / (1 + depth * depth)
    if body.band_hu:
        core += np.exp(-(((upper - w) * np.float32(1 / 6.0)) ** 2)) * np.float32(body.band_hu)
    inside = soft(cap - np.float32(plate) * (1 + np.float32(0.2) * texture), cap_width) * soft(
        wall - np.float32(patient.wall_share * shell), wall_width
    )
    blend(view, inside, core)


def _paint_bar(
    canvas: Float,
    grid: Grid,
    patient: Anatomy,
    body: Vertebra,
    *,
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    slope_deg: float,
) -> None:
    """A rounded bar of bone in the body's frame; its long axis v is turned downwards by `slope_deg`."""
    s, c = math.sin(math.radians(slope_deg)), math.cos(math.radians(slope_deg))
    ev, ew = abs(half[1] * c) + abs(half[2] * s) + 1, abs(half[1] * s) + abs(half[2] * c) + 1
    low = (centre[0] - half[0] - 1, centre[1] - ev, centre[2] - ew)
    box = box_around(grid, body, low, (centre[0] + half[0] + 1, centre[1] + ev, centre[2] + ew))
    if box is None:
        return
    u, v, w = frame(grid, box, body)
    dv, dw = v - np.float32(centre[1]), w - np.float32(centre[2])
    along = (dv * np.float32(c) - dw * np.float32(s)) * np.float32(1 / half[1])
    across = (dv * np.float32(s) + dw * np.float32(c)) * np.float32(1 / half[2])
    q = (u - np.float32(centre[0])) * np.float32(1 / half[0])
    q4 = along**2
    q4 *= q4
    a4 = across**2
    inside = (1 - (q4 + a4 * a4 + q * q)) * np.float32(0.4 * min(half))
    width = max(grid.y_width_mm, 0.6 * grid.z_width_mm)
    view = canvas[box]
    blend(view, soft(inside, width), patient.cortex_hu * 0.95)
    if min(half) > 2.0:
        blend(view, soft(inside - np.float32(1.0), width), 0.8 * body.trabecular_hu + 90)


def paint_canal(canvas: Float, grid: Grid, patient: Anatomy, body: Vertebra) -> None:
    """The canal behind one body, its dural sac, and the fat behind it."""
    back, half = body.half_depth_mm, 0.5 * max(body.intact_mm) + 0.7 * body.disc_mm + 1
    box = box_around(grid, body, (-13, back - 1, -half), (13, back + CANAL_DEPTH_MM + 4, half))
    if box is None:
        return
    u, v, w = frame(grid, box, body)
    middle = np.float32(back + 0.5 * CANAL_DEPTH_MM + 1)
    qv, qu = (v - middle) * np.float32(2 / CANAL_DEPTH_MM), u * np.float32(1 / CANAL_HALF_WIDTH_MM)
    inside = (1 - (qu * qu + qv * qv)) * np.float32(0.25 * CANAL_DEPTH_MM)
    view = canvas[box]
    rows = np.minimum(np.float32(half) - np.abs(w), 2.0)
    blend(view, soft(np.minimum(inside + 1, rows), grid.y_width_mm), patient.tissues.fat * 0.7)
    blend(view, soft(np.minimum(inside - np.float32(0.7), rows), grid.y_width_mm), patient.tissues.canal)


def paint_arch(canvas: Float, grid: Grid, patient: Anatomy, body: Vertebra) -> None:
    """Pedicles, articular pillars, laminae, spinous and transverse processes."""
    order = ALL_LEVELS.index(body.level)
    lumbar = float(np.clip((order - ALL_LEVELS.index("T10")) / 4, 0, 1))
    h, b, a = max(body.intact_mm), body.half_depth_mm, body.half_width_mm
    behind = b + CANAL_DEPTH_MM
    slope = 52 * (1 - lumbar) + 4 * lumbar
    length = 18 - 2 * lumbar
    tall = 5.2 + 0.24 * h * lumbar
    drop = math.sin(math.radians(slope)) * length
    reach = math.cos(math.radians(slope)) * length
    bars = [
        (
            (0.0, behind + 3 + reach, -0.12 * h - drop - 0.18 * h * lumbar),
            (3.6 + 0.8 * lumbar, length, tall),
            slope,
        )
    ]
    for side in (-1.0, 1.0):
        u = side * min(0.62 * a, 15.0)
        bars += [
            ((u, b + 5, 0.2 * h), (3.6 + lumbar, 9, 0.24 * h), 0),
            ((side * 15, behind + 1, -0.1 * h), (5, 5.5, 0.78 * h), -6),
            ((side * 6, behind + 2.5, -0.12 * h), (8, 3.2, 0.42 * h), -14),
            ((side * (a + 10), b + 12, 0.1 * h), (13, 4, 4), 0),
        ]
    for centre, half, turn in bars:
        _paint_bar(canvas, grid, patient, body, centre=centre, half=half, slope_deg=turn)


def paint_sacrum(canvas: Float, grid: Grid, patient: Anatomy) -> None:
    """Sacral and coccygeal bodies and the dorsal plate behind them."""
    for order, body in enumerate(patient.sacrum):
        if order < 3:
            paint_canal(canvas, grid, patient, body)
        paint_disc(canvas, grid, body, patient.tissues.disc_gain)
    for order, body in enumerate(patient.sacrum):
        paint_body(canvas, grid, patient, body)
        if order < 4:
            v = body.half_depth_mm + 15 - 2.5 * order
            half = (14.0 - 2 * order, 3.0, 0.55 * max(body.intact_mm))
            _paint_bar(canvas, grid, patient, body, centre=(0, v, 0), half=half, slope_deg=0)
            for side in (-1.0, 1.0):  # the wings
                wing = (side * (body.half_width_mm + 14 - 2 * order), 2.0, 0.0)
                _paint_bar(
                    canvas,
                    grid,
                    patient,
                    body,
                    centre=wing,
                    half=(17, 12 - 2 * order, 0.5 * max(body.intact_mm)),
                    slope_deg=0,
                )


def paint_ribs(canvas: Float, grid: Grid, patient: Anatomy) -> None:
    """Ribs 1-12 of both sides as chains of shells along the inside of the wall."""
    points = rib_points(patient)
    for x, y, z in points[grid.reaches(points - 7, points + 7)].tolist():
        paint_blob(canvas, grid, Blob((x, y, z), (4.8, 4.8, 5.4), 430.0, 150.0, 1.2))


def rib_points(patient: Anatomy) -> Float:
    """Points (n, 3) of all ribs: from beside the body around the chest wall to the front, sinking."""
    shape = patient.body
    chains = []
    for number, body in enumerate(patient.thoracolumbar[:12], start=1):
        share = np.arange(56 if number < 11 else 26) / 55
        z = body.centre_xyz_mm[2] + 0.3 * body.intact_mm[2] - (30 + 6 * number) * share**1.1
        names = ("half_width_mm", "front_y_mm", "back_y_mm")
        width, front, back = (np.interp(z, shape.z_mm, getattr(shape, n)) for n in names)
        inset = 0.5 * (shape.front_fat_mm + shape.back_fat_mm) + 13
        a = (width - inset) * (0.55 + 0.45 * min(1.0, number / 5))
        y_back, y_front = back - shape.back_fat_mm - 26, front + shape.front_fat_mm + 10
        angle = math.pi * share * 0.94
        x = a * np.sin(angle) ** 0.8
        y = 0.5 * (y_back + y_front) + 0.5 * (y_back - y_front) * np.cos(angle)
        near = np.minimum(1.0, share / 0.11)
        x = (body.half_width_mm + 5) * (1 - near) + (x + 12 * (1 - near)) * near
        y0 = body.centre_xyz_mm[1] + 0.8 * body.half_depth_mm
        y = y0 * (1 - near) + y * near
        x0 = body.centre_xyz_mm[0] * (1 - near)
        chains += [np.stack([x0 + side * x, y, z], axis=1) for side in (-1, 1)]
    return np.concatenate(chains)


def paint_spine(canvas: Float, grid: Grid, patient: Anatomy) -> None:
    """The whole column; discs and canal first, then bodies, then what stands behind them."""
    bodies = [b for b in patient.vertebrae if _may_show(grid, b)]
    for body in bodies:
        paint_canal(canvas, grid, patient, body)
        paint_disc(canvas, grid, body, patient.tissues.disc_gain)
    paint_sacrum(canvas, grid, patient)
    for body in bodies:
        paint_body(canvas, grid, patient, body)
        paint_arch(canvas, grid, patient, body)
    paint_ribs(canvas, grid, patient)


def _may_show(grid: Grid, body: Vertebra) -> bool:
    z = body.centre_xyz_mm[2]
    return float(grid.z_mm[-1]) - 70 < z < float(grid.z_mm[0]) + 70
