"""Places in the frame of a vertebra (u left, v back, w up), and bars of bone painted in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from phantom.painting import Box, Float, Grid, blend, soft
from phantom.vertebra import Triple, Vertebra


def frame(grid: Grid, box: Box, body: Vertebra) -> tuple[Float, Float, Float]:
    """u, v, w (mm) of every sample of a box; u of an unturned body is two-dimensional and broadcasts."""
    x, z, y = grid.places(box)
    cx, cy, cz = body.centre_xyz_mm
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = (tuple(np.float32(c) for c in axis) for axis in body.axes)
    u = ux * dx + uz * dz
    if uy:  # only a patient who lies turned
        u = u + uy * dy
    return u, (vx * dx + vz * dz) + vy * dy, (wx * dx + wz * dz) + wy * dy


def box_around(grid: Grid, body: Vertebra, low: Triple, high: Triple) -> Box | None:
    """Samples around a cuboid given in the body's frame."""
    middle = body.to_patient(*(0.5 * (a + b) for a, b in zip(low, high, strict=True)))
    half = [0.5 * (b - a) for a, b in zip(low, high, strict=True)]
    reach = [sum(abs(axis[k]) * h for axis, h in zip(body.axes, half, strict=True)) for k in range(3)]
    return grid.box(
        (middle[0] - reach[0], middle[1] - reach[1], middle[2] - reach[2]),
        (middle[0] + reach[0], middle[1] + reach[1], middle[2] + reach[2]),
    )


@dataclass(frozen=True)
class Bar:
    """A tapered, bent plate of bone in a body's frame.

    Half sizes (u, v, w) in mm; its long axis v is turned downwards by `slope_deg` and sideways by `yaw_deg`.
    `taper` makes the far end taller (or lower), `widen` wider; `bend_mm` lowers its middle against both ends.
    """

    centre: Triple
    half: Triple
    slope_deg: float = 0.0
    yaw_deg: float = 0.0
    taper: float = 0.0
    widen: float = 0.0
    bend_mm: float = 0.0
    shell_mm: float = 1.0


def paint_bar(
    canvas: Float, grid: Grid, body: Vertebra, bar: Bar, *, shell_hu: float, core_hu: float
) -> None:
    """One bar with a shell and, when it is thick enough, a core; in place."""
    hu_, hv, hw = bar.half
    s, c = math.sin(math.radians(bar.slope_deg)), math.cos(math.radians(bar.slope_deg))
    sy, cy = math.sin(math.radians(bar.yaw_deg)), math.cos(math.radians(bar.yaw_deg))
    fat, tall = hu_ * (1 + abs(bar.widen)), hw * (1 + abs(bar.taper)) + abs(bar.bend_mm)
    flat = abs(hv * c) + abs(tall * s)
    reach = (
        fat * abs(cy) + flat * abs(sy) + 1,
        flat * abs(cy) + fat * abs(sy) + 1,
        abs(hv * s) + tall * abs(c) + 1,
    )
    low, high = ([m + sign * r for m, r in zip(bar.centre, reach, strict=True)] for sign in (-1, 1))
    box = box_around(grid, body, (low[0], low[1], low[2]), (high[0], high[1], high[2]))
    if box is None:
        return
    u, v, w = frame(grid, box, body)
    du, dv, dw = (place - np.float32(m) for place, m in zip((u, v, w), bar.centre, strict=True))
    if bar.yaw_deg:
        du, dv = du * np.float32(cy) + dv * np.float32(sy), dv * np.float32(cy) - du * np.float32(sy)
    along = (dv * np.float32(c) - dw * np.float32(s)) * np.float32(1 / hv)
    across = dv * np.float32(s) + dw * np.float32(c)
    if bar.bend_mm:
        across += np.float32(bar.bend_mm) * (1 - along * along)
    if bar.taper:
        across /= 1 + np.float32(bar.taper) * np.clip(along, -1, 1)
    across *= np.float32(1 / hw)
    if bar.widen:
        du = du / (1 + np.float32(bar.widen) * np.clip(along, -1, 1))
    along *= along
    across *= across
    q = du * np.float32(1 / hu_)
    q = q * q
    inside = (1 - np.sqrt(along * along + across * across + q)) * np.float32(min(bar.half))
    width = max(grid.y_width_mm, 0.6 * grid.z_width_mm)
    view = canvas[box]
    blend(view, soft(inside, width), shell_hu)
    if min(bar.half) > 2.0:
        blend(view, soft(inside - np.float32(bar.shell_mm), width), core_hu)
