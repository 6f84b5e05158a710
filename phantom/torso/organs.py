"""Organs as ellipsoids and near-vertical tubes, drawn by seed into a body.

Frame as in `spine.py` (x left, y back, z up, mm). Sizes are round adult means with wide random ranges; they
were compared by eye with the real mid-sagittal slices in the data, not measured.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from phantom.scanner.scan_ranges import BodySettings
from phantom.torso.body import VISCERAL_FAT_HU, BodyShape, to_tuple
from phantom.torso.bowel import draw_bowel, draw_fat_in_muscle
from phantom.torso.parts import Blob, Places, Tube, blobs_at
from phantom.vertebrae.vertebra import Vertebra

Floats = npt.NDArray[np.float64]
Part = TypeVar("Part", Blob, Tube)
FAT_ONLY = (VISCERAL_FAT_HU - 0.2, VISCERAL_FAT_HU + 0.2)  # organs lie in the fat inside the wall only
LUNG_ONLY = (-990.0, -600.0)
LUNG_VESSELS = 90
CONTRAST_FROM_HU = 75.0  # above it an organ that took up contrast is marked so


def draw_organs(
    rng: np.random.Generator,
    shape: BodyShape,
    bodies: list[Vertebra],
    *,
    has_contrast: bool,
    is_female: bool,
    age_years: float,
    settings: BodySettings | None = None,
) -> tuple[tuple[Blob, ...], tuple[Tube, ...]]:
    """Blobs are painted before tubes, each in order: later ones cover earlier ones."""
    settings = settings or BodySettings()
    places = Places(shape, bodies)
    blood = float(rng.uniform(130, 330)) if has_contrast else float(rng.uniform(32, 52))
    vein = float(rng.uniform(90, 160)) if has_contrast else blood
    blobs = _chest(rng, places, blood) + _abdomen(rng, places, vein, has_contrast) + draw_bowel(rng, places)
    blobs += _pelvis(rng, places, is_female)
    tubes = _vessels(rng, places, blood, vein)
    if has_contrast:
        blobs, tubes = [_marked(b) for b in blobs], [_marked(t) for t in tubes]
    blobs += draw_fat_in_muscle(rng, places, _fat_share(rng, settings, age_years))
    blobs += _plaques(rng, places, tubes[-1], age_years)
    return tuple(blobs), (*_airways(rng, places), *tubes, _sternum(rng, places))


def _marked(part: Part) -> Part:
    """The same part, known to hold contrast when it is bright."""
    return replace(part, has_iodine=True) if part.hu > CONTRAST_FROM_HU else part


def _fat_share(rng: np.random.Generator, settings: BodySettings, age_years: float) -> float:
    """Share of muscle turned to fat: it grows with age, and differs much at any age."""
    low, high = settings.muscle_fat
    usual = low + (high - low) * float(np.clip((age_years - 20) / 70, 0, 1))
    return float(usual * rng.uniform(0.3, 1.7))


def _chest(rng: np.random.Generator, at: Places, blood: float) -> list[Blob]:
    z = at.z("T8") + float(rng.uniform(-12, 12))
    room = at.spine_front(z) - at.wall(z)
    ry = float(np.clip(rng.uniform(0.4, 0.47) * room, 25, 72))
    y = at.spine_front(z) - float(rng.uniform(14, 24)) - ry
    x = 22.0 + float(rng.uniform(-8, 8))
    blobs = [
        Blob((x, y - 4, z - 12), (56.0, ry, 46.0), 45.0),
        Blob((x - 10, y - 0.1 * ry, z + 16), (44.0, 0.8 * ry, 40.0), 45.0),
    ]
    for dx, dy, dz, r in ((8, -0.5, -10, 20), (-12, 0.1, 0, 22), (14, 0.25, -14, 22), (2, 0.65, 14, 19)):
        hu = blood * float(rng.uniform(0.75, 1.1))
        a, b, c = (r * rng.uniform(0.8, 1.2, 3)).tolist()
        blobs.append(Blob((dx + 10.0, y + dy * ry, z + dz), (a, b, c), hu))
    zp = at.z("T6") + float(rng.uniform(-8, 8))
    blobs.append(Blob((8.0, at.spine_front(zp) - 42, zp), (24.0, 13.0, 13.0), blood))
    za = at.z("T4") + float(rng.uniform(-8, 10))
    far = 0.62 * (at.spine_front(za) - at.wall(za))
    for share in np.linspace(0, 1, 6):  # the arch, from the descending to the ascending aorta
        rise = 10 * math.sin(math.pi * share)
        where = (18.0 - 26 * float(share), at.spine_front(za) - 6 - float(share) * far, za + rise)
        blobs.append(Blob(where, (12.5, 13.0, 12.5), blood))
    return blobs + _lung_vessels(rng, at, blood)


def _lung_vessels(rng: np.random.Generator, at: Places, blood: float) -> list[Blob]:
    """Short pieces of the small vessels; the large ones are rods (`thorax.py`)."""
    z = rng.uniform(at.shape.dome_z_mm, at.shape.apex_z_mm, LUNG_VESSELS)
    wall, front, _, _ = at.lines(z)
    r, aside = rng.uniform(0.8, 2.6, LUNG_VESSELS), rng.uniform(1, 4, (2, LUNG_VESSELS))
    x = rng.choice([-1.0, 1.0], LUNG_VESSELS) * rng.uniform(14, 125, LUNG_VESSELS)
    y = wall + rng.uniform(0, 1, LUNG_VESSELS) * (front + 35 - wall)
    radii = np.stack([r * aside[0], r, r * aside[1]], axis=1)
    return blobs_at(np.stack([x, y, z], axis=1), radii, min(blood, 150.0), over=LUNG_ONLY)


def _abdomen(rng: np.random.Generator, at: Places, vein: float, has_contrast: bool) -> list[Blob]:
    lift = float(rng.uniform(35, 60)) * has_contrast
    liver = float(rng.normal(56, 9)) + lift
    zl = at.shape.dome_z_mm - 62
    y_mid = 0.5 * (at.spine_front(zl) + at.wall(zl))
    depth = 0.5 * (at.spine_front(zl) - at.wall(zl))
    left_lobe, lobe = float(rng.uniform(55, 110)), float(rng.uniform(0.55, 0.95))
    blobs = [
        Blob((-82.0, y_mid + 8, zl), (104.0, 1.35 * depth, 96.0), liver, over=FAT_ONLY),
        Blob(
            (0.0, y_mid - 0.3 * depth, zl + 22),
            (left_lobe, lobe * depth, 52.0),
            liver,
            over=FAT_ONLY,
            is_boxy=True,
        ),
        Blob((95.0, at.spine_front(zl) + 2, zl), (30.0, 42.0, 48.0), 50 + 1.2 * lift, over=FAT_ONLY),
    ]
    z1, z2 = at.z("L1"), at.z("L2")
    for side in (-1.0, 1.0):
        xk = side * float(rng.uniform(52, 66)) + at.spine_x(z2)
        blobs.append(
            Blob((xk, at.spine_front(z2) + 16, z2), (27.0, 25.0, 54.0), 32 + 2.2 * lift, over=FAT_ONLY)
        )
    ys = at.wall(z1) + 0.45 * (at.spine_front(z1) - at.wall(z1))
    blobs.append(Blob((8.0, at.spine_front(z1) - 34, z1), (52.0, 11.0, 13.0), 38 + lift, over=FAT_ONLY))
    stomach = (38.0 + float(rng.uniform(-20, 15)), ys, z1 + float(rng.uniform(10, 50)))
    blobs.append(Blob(stomach, (46.0, 28.0, 34.0), 42.0, core_hu=float(rng.uniform(0, 40)), shell_mm=4))
    gas = (stomach[0], stomach[1] - 12, stomach[2] + 4)
    blobs.append(Blob(gas, (26.0 * float(rng.uniform(0.3, 1)), 10.0, 20.0), -950.0))
    return blobs


def _pelvis(rng: np.random.Generator, at: Places, is_female: bool) -> list[Blob]:
    z = float(rng.uniform(-118, -95))
    front = at.wall(z)
    room = max(at.spine_front(z) - front - 30, 30.0)
    r = min(float(rng.uniform(22, 40)), 0.45 * room)
    bladder = Blob(
        (0.0, front + min(22.0, 0.2 * room) + r, z),
        (1.25 * r, r, 0.8 * r),
        40.0,
        float(rng.uniform(2, 16)),
        3.0,
    )
    behind = bladder.centre_xyz_mm[1] + r + 20
    womb = Blob((float(rng.uniform(-8, 8)), behind, z + 16), (28.0, 20.0, 26.0), 58.0)
    rectum_hu = float(rng.choice([-900.0, -150.0, 35.0]))
    rectum = Blob((0.0, at.spine_front(-95.0) - 20, -95.0), (18.0, 14.0, 34.0), 45.0, rectum_hu, 4.0)
    loose = [
        Blob((0.0, float(bladder.centre_xyz_mm[1]) + 40, z - 36), (48.0, 60.0, 24.0), 48.0, over=FAT_ONLY)
    ]
    return _pelvic_muscles(at) + loose + ([womb] if is_female else []) + [rectum, bladder]


def _pelvic_muscles(at: Places) -> list[Blob]:
    """Buttocks behind the iliac wings and the muscle before them."""
    y0 = at.spine_front(0.0)
    blobs = []
    for side in (-1.0, 1.0):
        blobs.append(Blob((side * 92, y0 + 42, -88.0), (58.0, 36.0, 92.0), 50.0, over=FAT_ONLY, is_boxy=True))
        blobs.append(Blob((side * 92, y0 - 14, -45.0), (17.0, 40.0, 60.0), 52.0, over=FAT_ONLY))
    return blobs


def _line(at: Places, top: str, bottom: str, steps: int) -> Floats:
    return np.linspace(at.z(bottom), at.z(top), steps)


def _airways(rng: np.random.Generator, at: Places) -> list[Tube]:
    z = _line(at, "C5", "T5", 10)
    radius = float(rng.uniform(7, 10))
    gap = np.linspace(radius + 10, radius + 7, len(z)) + float(rng.uniform(-2, 5))
    y = np.array([at.spine_front(float(v)) for v in z]) - gap
    x = np.linspace(float(rng.uniform(-6, 3)), 0, len(z))
    args = (to_tuple(z), to_tuple(x), to_tuple(y), (radius,) * len(z))
    return [Tube(*args, hu=40.0, core_hu=-1000.0, shell_mm=1.6)]


def _vessels(rng: np.random.Generator, at: Places, blood: float, vein: float) -> list[Tube]:
    z = _line(at, "T4", "L4", 24)
    radius = np.linspace(rng.uniform(7, 10), rng.uniform(11, 15), len(z))
    down = (z - z[0]) / (z[-1] - z[0])
    beside = 4 + 16 * down + rng.uniform(-3, 3)
    front = np.array([at.spine_front(float(v)) for v in z])
    x = np.array([at.spine_x(float(v)) for v in z]) + beside
    y = front - radius * (1.02 - 0.45 * down) - rng.uniform(0, 3)
    aorta = Tube(to_tuple(z), to_tuple(x), to_tuple(y), to_tuple(radius), blood)
    low = z <= at.z("T10")
    right = to_tuple(x[low] - beside[low] - 20)
    cava = Tube(
        to_tuple(z[low]),
        right,
        to_tuple(front[low] - 11),
        (float(rng.uniform(8, 11)),) * int(low.sum()),
        vein,
    )
    zo = _line(at, "C6", "T10", 14)
    yo = np.array([at.spine_front(float(v)) for v in zo]) - 8.0
    gullet = Tube(to_tuple(zo), to_tuple(np.linspace(6, -2, 14)), to_tuple(yo), (5.5,) * 14, 38.0, aspect=1.3)
    zu = np.linspace(at.z("T8"), at.z("T4"), 8)
    yu = np.array([0.4 * at.spine_front(float(v)) + 0.6 * at.wall(float(v)) for v in zu])
    rising = Tube(to_tuple(zu), (-12.0,) * 8, to_tuple(yu), (float(rng.uniform(13, 18)),) * 8, blood)
    return [*_psoas(rng, at), rising, gullet, cava, aorta]


def _psoas(rng: np.random.Generator, at: Places) -> list[Tube]:
    z = np.linspace(-90.0, at.z("T12"), 12)
    radius = np.interp(z, [-90, -20, at.z("L2"), z[-1]], [11, 17, 12, 3]) * rng.uniform(0.7, 1.1)
    apart = np.interp(z, [-90, 0, z[-1]], [58, 40, 26])
    middle = np.array([at.spine_x(float(v)) for v in z])
    y = np.array([at.spine_front(max(float(v), 0.0)) for v in z]) + np.interp(
        z, [-90, 0, z[-1]], [-12, 14, 22]
    )
    return [
        Tube(to_tuple(z), to_tuple(middle + side * apart), to_tuple(y), to_tuple(radius), 54.0)
        for side in (-1, 1)
    ]


def _plaques(rng: np.random.Generator, at: Places, aorta: Tube, age_years: float) -> list[Blob]:
    """Calcified plates in the wall of the descending aorta, more of them with age."""
    blobs = []
    for _ in range(int(rng.poisson(max(0.0, age_years - 50) / 2.5)) * int(rng.random() < 0.75)):
        z = float(rng.uniform(at.z("L4"), at.z("T6")))
        x, y, r = (float(np.interp(z, aorta.z_mm, v)) for v in (aorta.x_mm, aorta.y_mm, aorta.radius_mm))
        angle = float(rng.uniform(0, 2 * math.pi))
        where = (x + r * math.cos(angle), y + r * math.sin(angle), z)
        wide = float(rng.uniform(0.8, 4.5))
        radii = (1 + wide * abs(math.sin(angle)), 1 + wide * abs(math.cos(angle)), float(rng.uniform(1, 6)))
        blobs.append(Blob(where, radii, float(rng.uniform(350, 900))))
    return blobs


def _sternum(rng: np.random.Generator, at: Places) -> Tube:
    top, bottom = at.z("T3") + float(rng.uniform(-6, 12)), at.z("T9") + float(rng.uniform(-5, 12))
    z = np.linspace(bottom, top, 16)
    y = np.array([at.wall(float(v)) for v in z]) - 2
    thick = np.linspace(4.2, 6.0, 16) * float(rng.uniform(0.85, 1.2))
    return Tube(to_tuple(z), (0.0,) * 16, to_tuple(y), to_tuple(thick), 420.0, 110.0, 1.3, aspect=3.4)


__all__ = ["Blob", "Tube", "draw_organs"]
