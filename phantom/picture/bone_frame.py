"""Places in the frame of a vertebra (u left, v back, w up), and bars of bone painted in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from phantom.picture.painting import Box, Float, Grid, blend, soft
from phantom.vertebrae.vertebra import Triple, Vertebra

CORE_FROM_MM = 2.0  # half of a bar's least thickness; thinner ones are compact throughout


@dataclass(frozen=True)
class Placed:
    """A body on a grid: what every place along x (3, nx), z (3, nz) and y (3, ny) adds to its u, v and w."""

    grid: Grid
    body: Vertebra
    x: Float
    z: Float
    y: Float


def placed(grid: Grid, body: Vertebra) -> Placed:
    """A body on a grid; worked out once, because most of the time goes into calls on small arrays."""
    x, z, y = (
        np.array([[axis[k]] for axis in body.axes], np.float32) * (places - body.centre_xyz_mm[k])
        for k, places in ((0, grid.x_mm), (2, grid.z_mm), (1, grid.y_mm))
    )
    return Placed(grid, body, x, z, y)


def frame(at: Placed, box: Box) -> tuple[Float, Float, Float]:
    """u, v, w (mm) of every sample of a box; u of an unturned body is two-dimensional and broadcasts."""
    (xu, xv, xw), (zu, zv, zw) = at.x[:, box[0], None, None], at.z[:, None, box[1], None]
    yu, yv, yw = at.y[:, None, None, box[2]]
    u = xu + zu
    if at.body.axes[0][1]:  # only a patient who lies turned
        u = u + yu
    return u, (xv + zv) + yv, (xw + zw) + yw


def thin_frame(at: Placed, box: Box, u_mm: float) -> tuple[Float, Float, Float]:
    """Like `frame`, for something narrow about u: v and w are those of its middle, two-dimensional and cheap.

    Wrong by the coronal tilt times half its width: tenths of a millimetre but in strong scoliosis.
    """
    body = at.body
    if body.psi_rad:
        return frame(at, box)
    zu, zv, zw = at.z[:, None, box[1], None]
    _, yv, yw = at.y[:, None, None, box[2]]
    dx = body.to_patient(u_mm, 0.0, 0.0)[0] - body.centre_xyz_mm[0]
    _, (vx, _, _), (wx, _, _) = body.axes
    return at.x[0, box[0], None, None] + zu, (vx * dx + zv) + yv, (wx * dx + zw) + yw


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


def paint_bars(canvas: Float, at: Placed, bars: Sequence[Bar], *, shell_hu: float, core_hu: float) -> None:
    """Bars in their order, each with a shell and, when it is thick enough, a core; in place."""
    grid, boxes = at.grid, _boxes(at.grid, at.body, bars)
    seen = [(bar, box) for bar, box in zip(bars, boxes, strict=True) if box is not None]
    if not seen:
        return
    shapes = [tuple(span.stop - span.start for span in box) for _, box in seen]
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    cuts = [slice(first, last) for first, last in pairwise(ends.tolist())]
    places = np.empty((3, ends[-1]), np.float32)
    for (bar, box), shape, cut in zip(seen, shapes, cuts, strict=True):
        _bar_places(at, bar, box, places[:, cut].reshape(3, *shape))
    numbers = np.array([_numbers(bar) for bar, _ in seen]).astype(np.float32).T
    of = np.repeat(numbers, np.diff(ends), axis=1)
    inside = _bar_depth(places, of)
    width = max(grid.y_width_mm, 0.6 * grid.z_width_mm)
    share, hu = soft(inside, width), soft(inside - of[-1], width)
    hu *= np.float32(core_hu - shell_hu)
    hu += np.float32(shell_hu)
    for (_, box), shape, cut in zip(seen, shapes, cuts, strict=True):
        blend(canvas[box], share[cut].reshape(shape), hu[cut].reshape(shape))


def _bar_places(at: Placed, bar: Bar, box: Box, out: Float) -> None:
    """u, v, w of a bar's box; those of an upright narrow bar come from its middle plane."""
    found = frame(at, box) if bar.yaw_deg else thin_frame(at, box, bar.centre[0])
    for target, values in zip(out, found, strict=True):
        target[...] = values


def _boxes(grid: Grid, body: Vertebra, bars: Sequence[Bar]) -> list[Box | None]:
    """Samples around each bar; like `box_around`, for all of them at once."""
    middle, half = np.array([bar.centre for bar in bars]), np.array([_half_size(bar) for bar in bars])
    low, high = middle - half, middle + half
    half = 0.5 * (high - low)
    middle = low + half
    u, v, w = np.array(body.axes)
    centre = np.array(body.centre_xyz_mm) + middle[:, :1] * u + middle[:, 1:2] * v + middle[:, 2:] * w
    reach = half[:, :1] * np.abs(u) + half[:, 1:2] * np.abs(v) + half[:, 2:] * np.abs(w)
    return grid.boxes(centre - reach, centre + reach)


def _half_size(bar: Bar) -> Triple:
    """Half sizes of a cuboid around a bar in the body's frame."""
    wide, long, tall = bar.half
    s, c = math.sin(math.radians(bar.slope_deg)), math.cos(math.radians(bar.slope_deg))
    sy, cy = abs(math.sin(math.radians(bar.yaw_deg))), abs(math.cos(math.radians(bar.yaw_deg)))
    wide, tall = wide * (1 + abs(bar.widen)), tall * (1 + abs(bar.taper)) + abs(bar.bend_mm)
    flat, high = abs(long * c) + abs(tall * s), abs(long * s) + tall * abs(c) + 1
    return wide * cy + flat * sy + 1, flat * cy + wide * sy + 1, high


def _numbers(bar: Bar) -> tuple[float, ...]:
    """What `_bar_depth` needs of a bar, and how deep its core begins."""
    s, c = math.sin(math.radians(bar.slope_deg)), math.cos(math.radians(bar.slope_deg))
    sy, cy = math.sin(math.radians(bar.yaw_deg)), math.cos(math.radians(bar.yaw_deg))
    wide, long, tall = (1 / half for half in bar.half)
    thin = min(bar.half)
    shape = (wide, long, tall, bar.bend_mm, bar.taper, bar.widen)
    return (*bar.centre, sy, cy, s, c, *shape, thin, bar.shell_mm if thin > CORE_FROM_MM else math.inf)


def _bar_depth(places: Float, of: Float) -> Float:
    """About how deep (mm) each place (3, n) lies inside its bar, whose `_numbers` are `of`; negative outside.

    All the bars of a body at once, because most of the time goes into calls on small arrays.
    """
    places -= of[:3]
    (du, dv, dw), (sy, cy, s, c, wide, long, tall, bend, taper, widen, thin) = places, of[3:-1]
    if sy.any():
        du, dv = du * cy + dv * sy, dv * cy - du * sy
    along = (dv * c - dw * s) * long
    across = dv * s + dw * c
    end = np.minimum(np.maximum(along, -1), 1)
    along *= along
    across += bend * (1 - along)
    across /= 1 + taper * end
    du /= 1 + widen * end
    across *= tall
    across *= across
    du *= wide
    q = du * du + along * along + across * across
    return np.asarray((1 - np.sqrt(q, out=q)) * thin)
