"""Ranges that the body and the scanner of a simulated scan are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from phantom.spine_ranges import Range

COVERAGES = ("chest", "abdomen-pelvis", "chest-abdomen-pelvis", "spine")


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
    # Tube voltages and how often: body CT of adults; 120 is the usual one, 100 and 80 of contrast and slender bodies.
    kvp: tuple[int, ...] = (80, 100, 120, 140)
    kvp_weights: tuple[float, ...] = (0.07, 0.23, 0.6, 0.1)
    # Kernels soft, standard, sharp, bone: axial body series are mostly soft ones.
    kernel_weights: tuple[float, ...] = (0.35, 0.35, 0.18, 0.12)
    bone_gain: Range = (0.96, 1.04)
    field_of_view_mm: Range = (290.0, 400.0)
