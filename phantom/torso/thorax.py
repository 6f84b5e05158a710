"""The chest: heart and great vessels, airways, lobar vessels, sternum, ribs and their cartilage.

Frame as in `spine.py` (x left, y back, z up, mm). Sizes are round adult means with wide random ranges, compared by eye
with the real images in the data.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.rods import Rod, along, mirrored

Floats = npt.NDArray[np.float64]
LUNG_ONLY = (-990.0, -600.0)
RIB_HU, RIB_CORE_HU, CARTILAGE_HU = 430.0, 150.0, 95.0
RIB_RADIUS_MM, RIB_TALL = 3.3, 1.75
RIB_POINTS = 22
FIRST_FLOATING = 11
LOBES = 5
SPLITS = 3


def chest_rods(patient: Anatomy) -> list[Rod]:
    """Ribs, cartilage and lobar vessels; deterministic by the patient's seed."""
    rng = np.random.default_rng([patient.seed, 0x7408])
    return _lobar_vessels(rng, patient) + _ribs(rng, patient)


def _ribs(rng: np.random.Generator, patient: Anatomy) -> list[Rod]:
    """Both sides of every pair: from beside the body around the wall to the front, sinking; then cartilage.

    Eleven or thirteen pairs leave T12 bare or give L1 a short pair.
    """
    thick = RIB_RADIUS_MM * float(rng.uniform(0.85, 1.15))
    calcified = CARTILAGE_HU + max(0.0, patient.age_years - 45) * float(rng.uniform(0, 4))
    rods = []
    bodies = patient.thoracolumbar[: patient.rib_pairs]
    lines = _rib_lines(patient)
    for number, (body, line) in enumerate(zip(bodies, lines, strict=True), start=1):
        one = Rod(line, thick, RIB_HU, RIB_CORE_HU, tall=RIB_TALL)
        rods += [one, along(one, _other_side(line, body.centre_xyz_mm[0]))]
        if number < FIRST_FLOATING:
            left = Rod(_cartilage(number, line), thick * 1.05, calcified, tall=1.5)
            rods += [left, mirrored(left)]
    return rods


def _other_side(line: Floats, middle_x: float) -> Floats:
    """The rib of the other side: mirrored at the spine near it and at the body's middle further out."""
    share = np.minimum(np.arange(len(line)) / (0.11 * RIB_POINTS), 1)
    other = line.copy()
    other[:, 0] = 2 * middle_x * (1 - share) - line[:, 0]
    return other


def _cartilage(number: int, line: Floats) -> Floats:
    """From the end of a rib to the sternum, or along the rib above it."""
    end = line[-1]
    rise = 7.0 * max(0, number - 3)
    inner = np.array([11.0 + 4 * max(0, number - 7), end[1] - 5, end[2] + rise])
    return np.stack([end, 0.5 * (end + inner) + np.array([0, -3, 0.2 * rise - 3]), inner])


def _rib_lines(patient: Anatomy) -> list[Floats]:
    """Left ribs as lines of points (n, 3)."""
    shape = patient.body
    bodies = patient.thoracolumbar[: patient.rib_pairs]
    number = np.arange(1, len(bodies) + 1)[:, None]
    length = np.where(number < FIRST_FLOATING, 1.0, np.where(number < 13, 0.46, 0.16))
    # Points lie closer where a rib bends most, beside the spine.
    share = length * np.linspace(0, 1, RIB_POINTS)[None] ** 1.35
    centre = np.array([b.centre_xyz_mm for b in bodies])
    size = np.array([(b.intact_mm[2], b.half_width_mm, b.half_depth_mm) for b in bodies])
    z = centre[:, 2:] + 0.3 * size[:, :1] - (36 + 8 * number) * share**1.1
    width, front, back = (
        np.interp(z, shape.z_mm, v) for v in (shape.half_width_mm, shape.front_y_mm, shape.back_y_mm)
    )
    inset = 0.5 * (shape.front_fat_mm + shape.back_fat_mm) + 13
    a = (width - inset) * (0.55 + 0.45 * np.minimum(1.0, number / 5))
    y_back, y_front = back - shape.back_fat_mm - 26, front + shape.front_fat_mm + 10
    angle = math.pi * share * 0.92
    x = a * np.maximum(np.sin(angle), 0) ** 0.8
    y = 0.5 * (y_back + y_front) + 0.5 * (y_back - y_front) * np.cos(angle)
    near = np.minimum(1.0, share / 0.11)
    near = near * near * (3 - 2 * near)
    x = (size[:, 1:2] + 5) * (1 - near) + (x + 12 * (1 - near)) * near + centre[:, :1] * (1 - near)
    y = (centre[:, 1:2] + 0.8 * size[:, 2:]) * (1 - near) + y * near
    return list(np.stack([x, y, z], axis=-1))


def _lobar_vessels(rng: np.random.Generator, patient: Anatomy) -> list[Rod]:
    """Arteries and veins from both hila to the periphery, each splitting twice; only inside of lung."""
    shape = patient.body
    z0 = patient.vertebra("T6").centre_xyz_mm[2] - 4
    y0 = float(np.interp(z0, shape.z_mm, shape.spine_front_y_mm)) - 34
    start = np.array([[24.0, y0, z0]] * LOBES + [[-24.0, y0, z0]] * LOBES)
    way = np.concatenate([_spread(rng, LOBES, side) for side in (1.0, -1.0)])
    length = rng.uniform(45, 75, (2 * LOBES, 1))
    parts = []
    for share, bend, radii in ((0.55, 0.0, (3.2, 5.5)), (0.6, 0.45, (1.3, 2.3)), (0.6, 0.55, (0.8, 1.5))):
        way = way + rng.normal(0, 1, way.shape) * bend
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        end = start + way * length * share * rng.uniform(0.8, 1.2, (len(way), 1))
        parts.append((np.stack([start, end], axis=1), rng.uniform(*radii, len(way)).tolist()))
        start, way, length = (np.repeat(a, SPLITS, axis=0) for a in (end, way, length))
    hu = 140.0 if patient.has_contrast else 45.0
    return [
        Rod(line, radius, hu, over=LUNG_ONLY)
        for lines, radii_mm in parts
        for line, radius in zip(lines, radii_mm, strict=True)
    ]


def _spread(rng: np.random.Generator, count: int, side: float) -> Floats:
    """Directions (count, 3) from a hilum: up, down, forwards and backwards, all outwards."""
    up = np.linspace(0.95, -1.0, count) + rng.normal(0, 0.15, count)
    forward = rng.uniform(-0.8, 0.8, count)
    out = rng.uniform(0.45, 1.0, count) * side
    spread = np.stack([out, forward, up], axis=1)
    return np.asarray(spread / np.linalg.norm(spread, axis=1, keepdims=True))
