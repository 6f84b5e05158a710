"""Places in the frame of a vertebra (u left, v back, w up), and bars of bone painted in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from phantom.picture.painting import Box, Float, Grid, blend, soft
from phantom.vertebrae.vertebra import Triple, Vertebra


def frame(grid: Grid, box: Box, body: Vertebra) -> tuple[Float, Float, Float]:
    """u, v, w (mm) of every sample of a box; u of an unturned body is two-dimensional and broadcasts."""
    x, z, y = grid.places(box)
    cx, cy, cz = body.centre_xyz_mm
    dx, dy, dz = x - cx, y - cy, z - cz
    (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = body.axes
    u = ux * dx + uz * dz
    if uy:  # only a patient who lies turned
        u = u + uy * dy
    return u, (vx * dx + vz * dz) + vy * dy, (wx * dx + wz * dz) + wy * dy


def thin_frame(grid: Grid, box: Box, body: Vertebra, u_mm: float) -> tuple[Float, Float, Float]:
    """Like `frame`, for something narrow about u: v and w are those of its middle, two-dimensional and cheap.

    Wrong by the coronal tilt times half its width: tenths of a millimetre but in strong scoliosis.
    """
    if body.psi_rad:
        return frame(grid, box, body)
    x, z, y = grid.places(box)
    cx, cy, cz = body.centre_xyz_mm
    dy, dz, dx = y - cy, z - cz, body.to_patient(u_mm, 0.0, 0.0)[0] - cx
    (ux, _, uz), (vx, vy, vz), (wx, wy, wz) = body.axes
    return ux * (x - cx) + uz * dz, (vx * dx + vz * dz) + vy * dy, (wx * dx + wz * dz) + wy * dy


def box_around(grid: Grid, body: Vertebra, low: Triple, high: Triple) -> Box | None:
    """Samples around a cuboid given in the body's frame."""
    (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = body.axes
    a, b, c = 0.5 * (high[0] - low[0]), 0.5 * (high[1] - low[1]), 0.5 * (high[2] - low[2])
    x, y, z = body.to_patient(low[0] + a, low[1] + b, low[2] + c)
    rx = abs(ux) * a + abs(vx) * b + abs(wx) * c
    ry = abs(uy) * a + abs(vy) * b + abs(wy) * c
    rz = abs(uz) * a + abs(vz) * b + abs(wz) * c
    return grid.box((x - rx, y - ry, z - rz), (x + rx, y + ry, z + rz))


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
    low, high = _limits(bar)
    box = box_around(grid, body, low, high)
    if box is None:
        return
    places = frame(grid, box, body) if bar.yaw_deg else thin_frame(grid, box, body, bar.centre[0])
    inside = _bar_depth(bar, *places)
    width = max(grid.y_width_mm, 0.6 * grid.z_width_mm)
    view = canvas[box]
    if min(bar.half) > 2.0:
        core = soft(inside - np.float32(bar.shell_mm), width) * np.float32(core_hu - shell_hu)
        blend(view, soft(inside, width), core + np.float32(shell_hu))
    else:
        blend(view, soft(inside, width), shell_hu)


def _limits(bar: Bar) -> tuple[Triple, Triple]:
    """Corners of a cuboid around a bar in the body's frame."""
    wide, long, tall = bar.half
    s, c = math.sin(math.radians(bar.slope_deg)), math.cos(math.radians(bar.slope_deg))
    sy, cy = abs(math.sin(math.radians(bar.yaw_deg))), abs(math.cos(math.radians(bar.yaw_deg)))
    wide, tall = wide * (1 + abs(bar.widen)), tall * (1 + abs(bar.taper)) + abs(bar.bend_mm)
    flat, high = abs(long * c) + abs(tall * s), abs(long * s) + tall * abs(c) + 1
    a, b = wide * cy + flat * sy + 1, flat * cy + wide * sy + 1
    u, v, w = bar.centre
    return (u - a, v - b, w - high), (u + a, v + b, w + high)


def _bar_depth(bar: Bar, u: Float, v: Float, w: Float) -> Float:
    """About how deep (mm) each place lies inside a bar; negative outside."""
    s, c = (np.float32(f(math.radians(bar.slope_deg))) for f in (math.sin, math.cos))
    du, dv, dw = u - np.float32(bar.centre[0]), v - np.float32(bar.centre[1]), w - np.float32(bar.centre[2])
    if bar.yaw_deg:
        sy, cy = (np.float32(f(math.radians(bar.yaw_deg))) for f in (math.sin, math.cos))
        du, dv = du * cy + dv * sy, dv * cy - du * sy
    along = (dv * c - dw * s) * np.float32(1 / bar.half[1])
    across = dv * s + dw * c
    if bar.bend_mm:
        across += np.float32(bar.bend_mm) * (1 - along * along)
    if bar.taper or bar.widen:
        end = np.minimum(np.maximum(along, -1), 1)
        across /= 1 + np.float32(bar.taper) * end
        du = du / (1 + np.float32(bar.widen) * end)
    across *= np.float32(1 / bar.half[2])
    q = (du * np.float32(1 / bar.half[0])) ** 2
    along *= along
    across *= across
    q = q + along * along + across * across
    return np.asarray((1 - np.sqrt(q)) * np.float32(min(bar.half)))
