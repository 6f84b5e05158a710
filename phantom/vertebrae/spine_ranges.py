"""Ranges that the spine of a simulated patient is drawn from: its shape, its bone, its fractures.

Where no source stands beside a range it was chosen by eye, wider than the ten real sagittal images in the data.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class SpineSettings:
    """Shape of the column. Angles in degrees, sizes relative to the table of levels in `spine.py`."""

    kyphosis_scale: Range = (0.55, 1.6)
    lordosis_scale: Range = (0.25, 1.6)
    tilt_deg: Range = (-6.0, 6.0)
    scoliosis_mm: Range = (0.0, 13.0)
    # Some 8 % of adults have a curve over 10 degrees (Carter & Haynes 1987); a part of them leaves the midline.
    strong_scoliosis_share: float = 0.07
    strong_scoliosis_mm: Range = (18.0, 42.0)
    double_curve_share: float = 0.35
    lateral_offset_mm: Range = (-6.0, 6.0)
    size_scale: Range = (0.88, 1.14)
    # Men's bodies are some 9 % deeper and wider and 4 % taller (Gilsanz 1994; rounded, shared between sexes).
    size_of_sex: Range = (0.955, 1.045)
    tall_sd: float = 0.05
    depth_sd: float = 0.05
    disc_scale: Range = (0.5, 1.15)
    height_jitter: float = 0.018
    concavity: Range = (0.02, 0.12)
    waist: Range = (0.02, 0.16)
    notch: Range = (0.0, 0.09)
    relief_mm: Range = (0.05, 0.42)
    dish_power: Range = (1.7, 5.0)
    dish_skew: Range = (-0.15, 0.32)
    vein_mm: Range = (1.0, 7.0)
    lip_of_wear_mm: float = 2.8  # lips and thin discs come with the years, in both classes alike
    disc_of_wear: float = 0.4
    # Lumbosacral transitional vertebrae: 4-30 % of people (Konin & Walz 2010); ribs at L1 or none at T12: 1-3 %.
    sacralised_share: float = 0.05
    lumbarised_share: float = 0.04
    eleven_ribs_share: float = 0.03
    thirteen_ribs_share: float = 0.03


@dataclass(frozen=True)
class BoneSettings:
    """Density and texture: HU at 120 kVp without contrast; the fall with age is of L1 screening studies."""

    trabecular_hu_at_20: float = 245.0
    trabecular_hu_per_year: float = -2.15
    trabecular_hu_sd: float = 34.0
    cortex_hu: Range = (280.0, 800.0)
    cortex_mm: Range = (0.45, 1.5)
    corner_mm: Range = (0.1, 1.3)
    plate_band_hu: Range = (0.0, 80.0)
    texture_hu: Range = (8.0, 48.0)
    texture_scale: Range = (0.5, 1.4)
    striation_from_years: float = 40.0  # cross struts go first: upright ones are left (Mosekilde 1988)
    striation_per_year: float = 0.022
    striation_sd: float = 0.25


@dataclass(frozen=True)
class FractureSettings:
    """What fractures look like. Worst grades after VerSe19 as the project's brief asks (49 : 33 : 18)."""

    worst_grade_weights: tuple[float, float, float] = (0.49, 0.33, 0.18)
    shape_weights: tuple[float, float, float] = (0.52, 0.32, 0.16)
    # Further fractures of a patient: fewer than in VerSe19 (1.0 in the median, up to 11), which is enriched.
    extra_fractures: tuple[float, ...] = (0.55, 0.22, 0.11, 0.06, 0.04, 0.02)
    imitator_share: float = 0.5
    dense_band_share: float = (
        0.55  # of patients with a dense or pale band in a sound body, as fractures have it
    )
    recent_share: float = 0.3
    # Kinds of damage, as shares of fractures; by eye after textbook pictures.
    broken_rim_share: float = 0.28
    bulge_share: float = 0.25
    cleft_share: float = (
        0.1  # intravertebral cleft: 7-13 % of osteoporotic fractures (Theodorou 2002, rounded)
    )
    sclerosed_share: float = 0.2
    # What disturbs, as shares of patients; small on purpose.
    cement_share: float = 0.02
    hardware_share: float = 0.02
    metastasis_share: float = 0.03
    collapse_share: float = 0.4  # of patients with lytic metastases
    trauma_share: float = 0.02
    # New fractures a year: 1-2 % of older adults, several times more after a first one (Lindsay 2001, rounded).
    risk_per_year: float = 0.015
    risk_per_year_after_one: float = 0.07
