"""Canal, pedicles, articular processes, laminae, spinous and transverse processes."""

from __future__ import annotations

import math

import numpy as np

from phantom.anatomy import Anatomy
from phantom.picture.bone_frame import Bar, Placed, Rack, box_around, thin_frame
from phantom.picture.painting import Float, blend, soft
from phantom.vertebrae.spine import ALL_LEVELS
from phantom.vertebrae.vertebra import Vertebra

# Sizes of canal and arches were read from the two real mid-sagittal and axial images in the data.
CANAL_DEPTH_MM = 15.0
CANAL_HALF_WIDTH_MM = 10.5


def paint_canal(canvas: Float, patient: Anatomy, at: Placed) -> None:
    """The canal behind one body, its dural sac, and the fat behind it."""
    grid, body = at.grid, at.body
    back, half = body.half_depth_mm, 0.5 * max(body.intact_mm) + 0.7 * body.disc_mm + 1
    box = box_around(grid, body, (-13, back - 1, -half), (13, back + CANAL_DEPTH_MM + 4, half))
    if box is None:
        return
    u, v, w = thin_frame(at, box, 0.0)
    middle = np.float32(back + 0.5 * CANAL_DEPTH_MM + 1)
    qv, qu = (v - middle) * np.float32(2 / CANAL_DEPTH_MM), u * np.float32(1 / CANAL_HALF_WIDTH_MM)
    inside = (1 - (qu * qu + qv * qv)) * np.float32(0.25 * CANAL_DEPTH_MM)
    view = canvas[box]
    rows = np.minimum(np.float32(half) - np.abs(w), 2.0)
    blend(view, soft(np.minimum(inside + 1, rows), grid.y_width_mm), patient.tissues.fat * 0.7)
    blend(view, soft(np.minimum(inside - np.float32(0.7), rows), grid.y_width_mm), patient.tissues.canal)


def arch(patient: Anatomy, at: Placed) -> Rack:
    """Pedicles, articular processes, laminae, spinous and transverse processes."""
    body = at.body
    order = ALL_LEVELS.index(body.level)
    lumbar = min(max((order - ALL_LEVELS.index("T10")) / 4, 0.0), 1.0)
    bars = [_spinous(body, lumbar, order)]
    for side in (-1.0, 1.0):
        bars += _side(body, lumbar, side)
    return Rack(at, bars, shell_hu=patient.cortex_hu * 0.9, core_hu=0.8 * body.trabecular_hu + 40)


def _vary(body: Vertebra, k: int, low: float, high: float) -> float:
    """A number between two limits that belongs to this body, whoever asks."""
    a, b = body.relief_at
    return low + (high - low) * ((a * 769 + b * 409 + k * 577) % 997) / 996


def _spinous(body: Vertebra, lumbar: float, order: int) -> Bar:
    """Long, thin and steep in the chest, a low hatchet in the loins."""
    h = max(body.intact_mm)
    behind = body.half_depth_mm + CANAL_DEPTH_MM
    mid = math.sin(math.pi * min(max((order - 4) / 10, 0.0), 1.0))  # steepest at T5-T8
    slope = (30 + 27 * mid) * (1 - lumbar) + 14 * lumbar + _vary(body, 1, -7, 7)
    length = ((16 + 5 * mid) * (1 - lumbar) + 13.5 * lumbar) * _vary(body, 2, 0.85, 1.12)
    tall = (4.0 * (1 - lumbar) + 0.27 * h * lumbar) * _vary(body, 3, 0.8, 1.2)
    s, c = math.sin(math.radians(slope)), math.cos(math.radians(slope))
    return Bar(
        centre=(_vary(body, 4, -1, 1), behind + c * length, -0.16 * h - s * length - 0.14 * h * lumbar),
        half=(2.9 + 0.6 * lumbar, length, tall),
        slope_deg=slope,
        taper=(-0.3 + 0.55 * lumbar) * _vary(body, 5, 0.5, 1.4),
        widen=0.3,
        bend_mm=1.8 * (1 - lumbar) + 0.8 * lumbar,
        shell_mm=_vary(body, 6, 0.9, 1.4),
    )


def _side(body: Vertebra, lumbar: float, side: float) -> list[Bar]:
    h, b, a = max(body.intact_mm), body.half_depth_mm, body.half_width_mm
    behind = b + CANAL_DEPTH_MM
    u = side * min(0.62 * a, 15.0)
    facet = side * (11.5 + 3.5 * lumbar)
    reach = 16 if body.is_squared else 12 + 2 * lumbar
    return [
        Bar((u, b + 5, 0.2 * h), (3.6 + lumbar, 9, 0.23 * h), taper=-0.08, bend_mm=-1.2),  # pedicle
        Bar((facet, b + 11.5, 0.5 * h), (4.2, 3.4, 0.33 * h), slope_deg=12 - 4 * lumbar),  # superior facet
        Bar(
            (facet * 0.9, b + 16.5, -0.34 * h), (4.2, 3.5, 0.58 * h), slope_deg=12
        ),  # down to the lower facet
        Bar(
            (side * 6.0, behind + 1.2, -0.16 * h),
            (7.5, 2.7, 0.4 * h),
            slope_deg=_vary(body, 7, 10, 22),
            yaw_deg=-side * 33,
            shell_mm=1.2,
        ),  # lamina
        Bar(
            (side * (a + 8), b + 11 - 4 * lumbar, 0.12 * h),
            (reach, 3.6, 4.2 + (4 if body.is_squared else 0)),
            yaw_deg=-side * (38 * (1 - lumbar) + 8 * lumbar),
        ),  # transverse process
    ]
