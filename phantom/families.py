"""Named families of settings: every range that a simulated patient or scanner is drawn from.

A family is a frozen record of ranges (low, high) or weights. A later family changes some of them with
`dataclasses.replace`; nothing else in the package holds a range of its own for these quantities.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Range = tuple[float, float]

COVERAGES = ("chest", "abdomen-pelvis", "chest-abdomen-pelvis", "spine")


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


@dataclass(frozen=True)
class BodySettings:
    """Outline and tissues; millimetres and HU."""

    habitus: Range = (0.85, 1.35)
    front_fat_mm: Range = (6.0, 42.0)
    back_fat_mm: Range = (4.0, 26.0)
    contrast_share: float = 0.5
    coverage_weights: tuple[float, float, float, float] = (0.38, 0.27, 0.25, 0.10)


@dataclass(frozen=True)
class ScannerSettings:
    """How the scan is made; thickness in millimetres, noise in HU per voxel."""

    thickness_mm: tuple[float, ...] = (0.625, 1.0, 1.25, 2.0, 2.5, 3.0, 3.75, 5.0)
    thickness_weights: tuple[float, ...] = (0.1, 0.17, 0.18, 0.13, 0.13, 0.13, 0.04, 0.12)
    pixel_mm: Range = (0.6, 1.0)
    coarse_pixel_mm: Range = (1.0, 1.9)
    coarse_share: float = 0.3
    noise_hu: Range = (6.0, 42.0)
    blur: Range = (0.0, 0.24)
    sharpen: Range = (0.0, 1.1)
    hu_offset: Range = (-12.0, 12.0)
    bone_gain: Range = (0.88, 1.18)
    field_of_view_mm: Range = (290.0, 400.0)


@dataclass(frozen=True)
class Family:
    """One named family: all settings that a patient and a scan are drawn from."""

    name: str = "base"
    spine: SpineSettings = field(default_factory=SpineSettings)
    bone: BoneSettings = field(default_factory=BoneSettings)
    fracture: FractureSettings = field(default_factory=FractureSettings)
    body: BodySettings = field(default_factory=BodySettings)
    scanner: ScannerSettings = field(default_factory=ScannerSettings)


BASE = Family()
