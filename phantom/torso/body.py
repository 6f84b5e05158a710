"""The body around the spine: its outline at every height and the HU of its tissues, drawn by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phantom.scanner.scan_ranges import BodySettings
from phantom.vertebrae.spine import Vertebra

Floats = npt.NDArray[np.float64]
VISCERAL_FAT_HU = (
    -101.5
)  # one value, so that organs find it; the fat under the skin has another in every patient


@dataclass(frozen=True)
class Tissues:
    """HU of the tissues that fill layers."""

    fat: float
    muscle: float
    skin: float
    lung: float
    mediastinum: float
    canal: float
    disc_gain: float


@dataclass(frozen=True)
class BodyShape:
    """Outline at heights `z_mm` (rising): half width, front and back skin at the midline, the spine's front.

    The lungs reach from `apex_z_mm` down to `base_z_mm`; the diaphragm's dome tops at `dome_z_mm`. Pairs are
    (left, right). `middle_x_mm` and the yaw are 0 but for a patient who lies turned (`posing.py`).
    """

    z_mm: tuple[float, ...]
    half_width_mm: tuple[float, ...]
    front_y_mm: tuple[float, ...]
    back_y_mm: tuple[float, ...]
    spine_x_mm: tuple[float, ...]
    spine_front_y_mm: tuple[float, ...]
    spine_back_y_mm: tuple[float, ...]
    front_fat_mm: float
    back_fat_mm: float
    skin_mm: float
    apex_z_mm: float
    dome_z_mm: float
    base_z_mm: float
    floor_z_mm: float
    mediastinum_left_mm: float
    mediastinum_right_mm: float
    middle_x_mm: tuple[float, ...]
    breast_mm: float = 0.0
    breast_x_mm: float = 85.0
    breast_z_mm: float = 0.0
    breast_radius_mm: float = 60.0
    right_dome_mm: float = 12.0
    fluid_mm: tuple[float, float] = (0.0, 0.0)
    collapse_mm: tuple[float, float] = (0.0, 0.0)
    fluid_top_z_mm: float = 0.0
    yaw_rad: float = 0.0
    yaw_about_xy_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def front_limit_mm(self) -> float:
        """The foremost y of the skin, breasts included."""
        return min(self.front_y_mm) - 0.5 * self.breast_mm

    @property
    def lateral_extent_mm(self) -> float:
        """Width of the patient from skin to skin where it is largest below the shoulders."""
        z = np.asarray(self.z_mm)
        return float(2 * np.max(np.asarray(self.half_width_mm)[z < self.apex_z_mm]))


def draw_tissues(rng: np.random.Generator, has_contrast: bool) -> Tissues:
    """HU of layers; contrast lifts muscle a little."""
    return Tissues(
        fat=float(rng.normal(-102, 6)),
        muscle=float(rng.normal(52 + 8 * has_contrast, 8)),
        skin=float(rng.normal(20, 15)),
        lung=float(rng.normal(-850, 30)),
        mediastinum=float(rng.normal(-75, 22)),
        canal=float(rng.normal(25, 8)),
        disc_gain=float(rng.uniform(0.9, 1.1)),
    )


def at_level(bodies: list[Vertebra], level: str) -> Vertebra:
    """The body of that level."""
    return next(b for b in bodies if b.level == level)


def draw_body(
    rng: np.random.Generator, settings: BodySettings, bodies: list[Vertebra], is_female: bool
) -> BodyShape:
    """Outline around a placed column (C4 to the coccyx)."""
    habitus = rng.uniform(*settings.habitus)
    top = bodies[0].centre_xyz_mm[2] + 25
    z = np.arange(-260.0, top + 10, 10.0)
    order = np.argsort([b.centre_xyz_mm[2] for b in bodies])
    centres = np.array([bodies[i].centre_xyz_mm for i in order])
    depth = np.array([bodies[i].half_depth_mm * math.cos(bodies[i].theta_rad) for i in order])
    x_line, y_line, d_line = (np.interp(z, centres[:, 2], c) for c in (centres[:, 0], centres[:, 1], depth))
    front_fat = rng.uniform(*settings.front_fat_mm)
    back_fat = rng.uniform(*settings.back_fat_mm)
    front = _front(rng, z, bodies, habitus, front_fat)
    back = _back(rng, z, y_line + d_line, back_fat)
    width = _width(z, bodies, habitus, is_female)
    more = _breasts(rng, settings, bodies, is_female, front_fat) | _lungs(rng, settings, bodies)
    skin_mm = float(rng.uniform(1.2, 2.6))
    apex_z_mm = at_level(bodies, "T1").centre_xyz_mm[2] + float(rng.uniform(-8, 14))
    dome_z_mm = at_level(bodies, "T9").centre_xyz_mm[2] + float(rng.uniform(-28, 22))
    return BodyShape(
        z_mm=to_tuple(z),
        half_width_mm=to_tuple(width),
        front_y_mm=to_tuple(np.minimum(front, y_line - d_line - 45)),
        back_y_mm=to_tuple(back),
        spine_x_mm=to_tuple(x_line),
        spine_front_y_mm=to_tuple(y_line - d_line),
        spine_back_y_mm=to_tuple(y_line + d_line),
        front_fat_mm=float(front_fat),
        back_fat_mm=float(back_fat),
        skin_mm=skin_mm,
        apex_z_mm=apex_z_mm,
        dome_z_mm=min(dome_z_mm, apex_z_mm),  # a chest bent double has no room between them
        base_z_mm=at_level(bodies, "T12").centre_xyz_mm[2] + float(rng.uniform(-25, 15)),
        floor_z_mm=float(rng.uniform(-165, -140)),
        mediastinum_left_mm=float(rng.uniform(22, 42)),
        mediastinum_right_mm=float(rng.uniform(14, 36)),
        middle_x_mm=(0.0,) * len(z),
        **more,
    )


def _breasts(
    rng: np.random.Generator, settings: BodySettings, bodies: list[Vertebra], is_female: bool, fat_mm: float
) -> dict[str, Any]:
    """Breasts flattened by lying: larger with more fat; men have a trace."""
    low, high = settings.breast_mm
    share = float(np.clip(0.6 * rng.uniform() + 0.4 * fat_mm / 42, 0, 1))
    height = (low + (high - low) * share) * (1.0 if is_female else 0.1)
    return {
        "breast_mm": height,
        "breast_x_mm": float(rng.uniform(72, 95)),
        "breast_z_mm": at_level(bodies, "T7").centre_xyz_mm[2] + float(rng.uniform(-22, 18)),
        "breast_radius_mm": float(rng.uniform(48, 62)) + 0.25 * height,
    }


def _lungs(rng: np.random.Generator, settings: BodySettings, bodies: list[Vertebra]) -> dict[str, Any]:
    """Fluid behind the lungs and airless lung before it, mostly on both sides when at all."""
    sides = rng.uniform(size=2) < 0.7
    has_fluid = rng.random() < settings.effusion_share
    has_collapse = rng.random() < settings.atelectasis_share
    fluid, collapse = (rng.uniform(6, 45, 2) * sides).tolist(), (rng.uniform(5, 30, 2) * sides).tolist()
    return {
        "right_dome_mm": float(rng.uniform(4, 20)),
        "fluid_mm": (fluid[0], fluid[1]) if has_fluid else (0.0, 0.0),
        "collapse_mm": (collapse[0], collapse[1]) if has_fluid or has_collapse else (0.0, 0.0),
        "fluid_top_z_mm": at_level(bodies, "T6").centre_xyz_mm[2] + float(rng.uniform(-45, 25)),
    }


def to_tuple(values: Floats) -> tuple[float, ...]:
    """An array as plain numbers."""
    return tuple(float(v) for v in values)


def _profile(z: Floats, bodies: list[Vertebra], knots: dict[str | float, float]) -> Floats:
    where = [k if isinstance(k, float) else at_level(bodies, k).centre_xyz_mm[2] for k in knots]
    order = np.argsort(where)
    values = np.asarray(list(knots.values()))
    return np.asarray(np.interp(z, np.asarray(where)[order], values[order]))


def _smooth(values: Floats, width: int = 5) -> Floats:
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.ones(width) / width, mode="valid"))


def _front(
    rng: np.random.Generator, z: Floats, bodies: list[Vertebra], habitus: float, fat_mm: float
) -> Floats:
    """Front skin at the midline: from the neck over the chest and the belly to the pubis."""
    reach: dict[str | float, float] = {"C4": 62, "C7": 66, "T1": 66, "T3": 84, "T6": 118, "T9": 146}
    reach |= {"T12": 150, "L2": 128, "L4": 108}
    y_of = {level: at_level(bodies, str(level)).centre_xyz_mm[1] for level in reach}
    belly = rng.uniform(-12, 40) + 0.5 * fat_mm
    knots: dict[str | float, float] = {}
    for level, mm in reach.items():
        grow = habitus if str(level) not in ("C4", "C7", "T1") else 1.0
        knots[level] = y_of[level] - mm * grow - (belly if level in ("L2", "L4") else 0.35 * belly)
    low = y_of["L4"] - 100 * habitus - 0.8 * belly
    knots |= {-10.0: low, -90.0: low + 22 + 0.3 * belly, -150.0: low + 42 + 0.5 * belly, -250.0: low + 40}
    wave = 1.5 * np.sin(z / rng.uniform(14, 30) + rng.uniform(0, 6))
    return np.asarray(_smooth(_profile(z, bodies, knots), 7) + wave)


def _back(rng: np.random.Generator, z: Floats, spine_back: Floats, fat_mm: float) -> Floats:
    """Back skin at the midline; the table flattens it."""
    skin = _smooth(spine_back, 9) + rng.uniform(46, 58) + fat_mm
    flat = np.percentile(skin[(z > -80) & (z < 400)], 85)
    lying = np.where(z > -20, np.maximum(0.55 * skin + 0.45 * flat, spine_back + 44 + fat_mm), skin)
    return np.minimum(_smooth(lying, 7), flat + 14)


def _width(z: Floats, bodies: list[Vertebra], habitus: float, is_female: bool) -> Floats:
    knots: dict[str | float, float] = {"C4": 60, "C7": 80, "T1": 118, "T3": 152, "T8": 160, "T12": 154}
    knots |= {"L3": 146, -10.0: 160 + 8 * is_female, -90.0: 176 + 6 * is_female, -250.0: 172}
    return _smooth(_profile(z, bodies, knots), 5) * (0.4 + 0.6 * habitus)
