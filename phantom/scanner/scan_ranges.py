"""Ranges that the body and the scanner of a simulated scan are drawn from.

Unless a source is named, a range was chosen by eye beside the real axial, coronal and sagittal images in the data, and
then widened: it should hold what a hospital shows, not what is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

from phantom.vertebrae.spine_ranges import Range

COVERAGES = ("chest", "abdomen-pelvis", "chest-abdomen-pelvis", "spine")


@dataclass(frozen=True)
class BodySettings:
    """Outline and tissues; millimetres and HU."""

    habitus: Range = (0.85, 1.35)
    front_fat_mm: Range = (6.0, 42.0)
    back_fat_mm: Range = (4.0, 26.0)
    # Height of a breast over the chest wall of a woman lying on her back; men have a tenth of it.
    breast_mm: Range = (6.0, 58.0)
    # Share of the back's and the psoas' cross-section that has turned to fat, at 20 years and at 90.
    muscle_fat: Range = (0.02, 0.35)
    # Lungs: fluid behind them, airless lung, and both rarer than in a hospital's wards.
    effusion_share: float = 0.10
    atelectasis_share: float = 0.18
    contrast_share: float = 0.5
    coverage_weights: tuple[float, float, float, float] = (0.38, 0.27, 0.25, 0.10)


@dataclass(frozen=True)
class ScannerSettings:
    """How the scan is made; thickness in millimetres, noise in HU per voxel."""

    thickness_mm: tuple[float, ...] = (0.625, 1.0, 1.25, 2.0, 2.5, 3.0, 3.75, 5.0)
    thickness_weights: tuple[float, ...] = (0.1, 0.17, 0.18, 0.13, 0.13, 0.13, 0.04, 0.12)
    # Distance of slices over their thickness: next to each other, overlapping, or with gaps.
    spacing_ratios: tuple[float, ...] = (1.0, 0.8, 0.5, 1.25)
    spacing_weights: tuple[float, ...] = (0.6, 0.2, 0.15, 0.05)
    pixel_mm: Range = (0.6, 1.0)
    coarse_pixel_mm: Range = (1.0, 1.9)
    coarse_share: float = 0.3
    # Tube voltages: 120 is the usual one in body CT of adults, 100 and 80 that of contrast and of slender bodies.
    kvp: tuple[int, ...] = (80, 100, 120, 140)
    kvp_weights: tuple[float, ...] = (0.07, 0.23, 0.6, 0.1)
    # Kernels soft, standard, sharp, bone: most axial body series are soft ones.
    kernel_weights: tuple[float, float, float, float] = (0.35, 0.35, 0.18, 0.12)
    # SD in the middle of the body at the median level, from quiet scans to low-dose ones; by judgement.
    noise_hu: Range = (6.0, 42.0)
    # Variance of the soft kernels' Gaussian in mm2: `soft` takes the upper half, `standard` the lower one.
    blur: Range = (0.0, 0.24)
    # Rise of the sharp kernels over 1: `bone` takes the upper half, `sharp` the lower one.
    sharpen: Range = (0.0, 1.1)
    # Iterative reconstruction: how often, and how much of faint detail it takes away.
    iterative_share: float = 0.4
    iterative: Range = (0.15, 0.75)
    # Share of the loss of photons in thick parts that the scanner makes up for by more tube current.
    modulation: Range = (0.3, 0.95)
    hu_offset: Range = (-12.0, 12.0)
    bone_gain: Range = (0.96, 1.04)
    # Field of view: of the whole body, or (share) one of a spine protocol, which cuts the skin.
    field_of_view_mm: Range = (330.0, 500.0)
    small_field_mm: Range = (250.0, 320.0)
    small_field_share: float = 0.06
    off_centre_mm: Range = (-30.0, 30.0)
    # Rotation of the patient about the body's axis: SD and limit in degrees; half of all lie straight.
    rotated_share: float = 0.5
    yaw_sd_deg: float = 4.5
    max_yaw_deg: float = 12.0
    # Rotation about the other axes (nodding, leaning), degrees.
    lean_deg: Range = (-3.0, 3.0)
    # Gantry tilt when a stack is stored tilted, degrees, to either side; body CT tilts little, spine CT up to 20.
    gantry_tilt_deg: Range = (3.0, 20.0)
    # Arms up, down, one up and one down: chest and abdomen are scanned with arms up when the patient can.
    arms_weights: tuple[float, float, float] = (0.8, 0.14, 0.06)
    # Streaks: dark bands between shoulders and hips (depth), lines of arms beside the body (SD), rays of metal (1 is
    # a scan without correction for metal).
    hardening_hu: Range = (0.0, 25.0)
    arm_streaks_hu: Range = (5.0, 28.0)
    metal_streaks: Range = (0.25, 1.2)
    # Share of scans with motion: doubled slices, and a step of breathing between slices.
    motion_share: float = 0.07
    breathing_share: float = 0.08
    # How far the scan goes beyond the levels of its coverage: mostly a little, sometimes much.
    margin_mm: Range = (4.0, 45.0)
    long_margin_mm: Range = (45.0, 120.0)
    long_share: float = 0.25
