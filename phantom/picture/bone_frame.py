"""Places in the frame of a vertebra (u left, v back, w up), and bars of bone painted in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import numpy as np

from phantom.picture.painting import Box, Float, Grid, blend, soft
from phantom.vertebrae.vertebra import Triple, Vertebra

SAMPLES_TOGETHER = 16_000  # above it calls on several bars at once outgrow the cache
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
    x, z, y = _lines(at, box)
    u, (v, w) = x[0] + z[0], (x[1:] + z[1:]) + y[1:]
    return u + y[0] if at.body.axes[0][1] else u, v, w  # only a patient who lies turned has u change along y


def thin_frame(at: Placed, box: Box, u_mm: float) -> tuple[Float, Float, Float]:
    """Like `frame`, for something narrow about u: v and w are those of its middle, two-dimensional and cheap.

    Wrong by the coronal tilt times half its width: tenths of a millimetre but in strong scoliosis.
    """
    if at.body.psi_rad:
        return frame(at, box)
    x, z, y = _lines(at, box)
    v, w = (_middle(at, u_mm) + z[1:]) + y[1:]
    return x[0] + z[0], v, w


def _lines(at: Placed, box: Box) -> tuple[Float, Float, Float]:
    """What x, z and y of a box add to u, v and w: (3, nx, 1, 1), (3, 1, nz, 1) and (3, 1, 1, ny)."""
    return at.x[:, box[0], None, None], at.z[:, None, box[1], None], at.y[:, None, None, box[2]]


def _middle(at: Placed, u_mm: float) -> Float:
    """What x adds to v and w in the plane of one u: (2, 1, 1, 1)."""
    dx = at.body.to_patient(u_mm, 0.0, 0.0)[0] - at.body.centre_xyz_mm[0]
    return np.array([axis[0] * dx for axis in at.body.axes[1:]], np.float32)[:, None, None, None]


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


@dataclass(frozen=True)
class Rack:
    """The bars of one body and the HU of their shells and cores."""

    at: Placed
    bars: list[Bar]
    shell_hu: float
    core_hu: float


def rack_boxes(racks: Sequence[Rack]) -> list[list[Box | None]]:
    """Samples around each bar of each rack; like `box_around`, for all of them at once."""
    pairs = [(rack.at.body, bar) for rack in racks for bar in rack.bars]
    if not pairs:
        return [[] for _ in racks]
    middle, half = np.array([bar.centre for _, bar in pairs]), np.array([_half_size(bar) for _, bar in pairs])
    low, high = middle - half, middle + half
    half = 0.5 * (high - low)
    middle = low + half
    count = [len(rack.bars) for rack in racks]
    u, v, w = np.array([rack.at.body.axes for rack in racks]).repeat(count, axis=0).swapaxes(0, 1)
    centre = np.array([rack.at.body.centre_xyz_mm for rack in racks]).repeat(count, axis=0)
    centre = centre + middle[:, :1] * u + middle[:, 1:2] * v + middle[:, 2:] * w
    reach = half[:, :1] * np.abs(u) + half[:, 1:2] * np.abs(v) + half[:, 2:] * np.abs(w)
    boxes = iter(racks[0].at.grid.boxes(centre - reach, centre + reach))
    return [list(islice(boxes, n)) for n in count]


def paint_bars(canvas: Float, rack: Rack, boxes: Sequence[Box | None]) -> None:
    """The bars of a rack in their order, each with a shell and, when it is thick enough, a core; in place."""
    together: list[tuple[Bar, Box]] = []
    samples = 0
    for bar, box in zip(rack.bars, boxes, strict=True):
        if box is not None:
            together.append((bar, box))
            samples += math.prod(_shape(box))
        if samples > SAMPLES_TOGETHER:
            _paint_together(canvas, rack, together)
            together, samples = [], 0
    if together:
        _paint_together(canvas, rack, together)


def _shape(box: Box) -> tuple[int, ...]:
    return tuple(span.stop - span.start for span in box)


def _paint_together(canvas: Float, rack: Rack, seen: Sequence[tuple[Bar, Box]]) -> None:
    """Some bars of a rack: small ones are worked out in one go, because most of the time goes into calls."""
    shapes = [_shape(box) for _, box in seen]
    sizes = [math.prod(shape) for shape in shapes]
    cuts = [slice(last - size, last) for last, size in zip(accumulate(sizes), sizes, strict=True)]
    places = np.empty((3, sum(sizes)), np.float32)
    for (bar, box), shape, cut in zip(seen, shapes, cuts, strict=True):
        _bar_places(rack.at, bar, box, places[:, cut].reshape(3, *shape))
    of = np.array([_numbers(bar) for bar, _ in seen]).astype(np.float32).T.repeat(sizes, axis=1)
    inside, grid = _bar_depth(places, of), rack.at.grid
    width = max(grid.y_width_mm, 0.6 * grid.z_width_mm)
    share, hu = soft(inside, width), soft(inside - of[-1], width)
    hu *= np.float32(rack.core_hu - rack.shell_hu)
    hu += np.float32(rack.shell_hu)
    for (_, box), shape, cut in zip(seen, shapes, cuts, strict=True):
        blend(canvas[box], share[cut].reshape(shape), hu[cut].reshape(shape))


def _bar_places(at: Placed, bar: Bar, box: Box, out: Float) -> None:
    """u, v, w of a bar's box, into `out`; those of a narrow bar that is not turned come from its middle plane."""
    x, z, y = _lines(at, box)
    is_full = bool(bar.yaw_deg or at.body.psi_rad)
    np.add(x[0], z[0], out=out[0])
    if is_full and at.body.axes[0][1]:
        out[0] += y[0]
    np.add((x[1:] if is_full else _middle(at, bar.centre[0])) + z[1:], y[1:], out=out[1:])


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
    """About how deep (mm) each place (3, n) lies inside its bar, whose `_numbers` are `of`; negative outside."""
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
