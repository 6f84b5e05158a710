"""Ranges that the spine of a simulated patient is drawn from: its shape, its bone, its fractures."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class SpineSettings:
    """Shape of the column. Angles in degrees, sizes relative to the table of levels in `spine.py`."""

    kyphosis_scale: Range = (0.55, 1.5)
    lordosis_scale: Range = (0.3, 1.5)
    tilt_deg: Range = (-5.0, 5.0)
    scoliosis_mm: Range = (0.0, 13.0)
    lateral_offset_mm: Range = (-5.0, 5.0)
    size_scale: Range = (0.9, 1.12)
    disc_scale: Range = (0.5, 1.15)
    height_jitter: float = 0.018
    concavity: Range = (0.03, 0.10)
    waist: Range = (0.02, 0.10)


@dataclass(frozen=True)
class BoneSettings:
    """Density and texture: HU at 120 kVp without contrast; the fall with age is of L1 screening studies."""

    trabecular_hu_at_20: float = 245.0
    trabecular_hu_per_year: float = -2.15
    trabecular_hu_sd: float = 34.0
    cortex_hu: Range = (230.0, 740.0)
    cortex_mm: Range = (0.45, 1.4)
    corner_mm: Range = (0.2, 1.4)
    plate_band_hu: Range = (0.0, 80.0)
    texture_hu: Range = (10.0, 55.0)
    texture_scale: Range = (0.55, 1.6)


@dataclass(frozen=True)
class FractureSettings:
    """What fractures look like. Worst grades after VerSe19 as the project's brief asks (49 : 33 : 18)."""

    worst_grade_weights: tuple[float, float, float] = (0.49, 0.33, 0.18)
    shape_weights: tuple[float, float, float] = (0.52, 0.32, 0.16)
    extra_fractures: tuple[float, ...] = (0.60, 0.23, 0.11, 0.06)
    imitator_share: float = 0.5
    recent_share: float = 0.3
