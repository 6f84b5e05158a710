"""Endplates read by eye moved to where the voxels show the disc: a dark line between two bright ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from phantom.real.ct_series import RealSeries
from phantom.real.twins import shifted, site_of
from phantom.real.vertebra_marks import Line, VertebraMark, line_z

MOST_SLICES = (
    1.0  # how far an endplate may be moved: the error of reading by eye (vertebra_boxes.csv says ± 1 slice)
)
MOST_MM = 3.0
STEPS = 9
PLATE_MM = 1.5  # beyond the marked edge of a disc lies the middle of the bright endplate
DEPTHS = np.linspace(-0.7, 0.7, 8)  # of the body's half depth, where it is looked at
HALF_WIDTH_MM = 8.0
LEAST_CONTRAST_HU = 15.0  # gained by moving; less is noise

Floats = npt.NDArray[np.floating]


def fit_marks(series: RealSeries, marks: tuple[VertebraMark, ...]) -> tuple[VertebraMark, ...]:
    """Marks (head to foot) with the two endplates of each disc moved together, by at most a slice or 3 mm.

    Endplates without a marked neighbour stay: how thick their disc is would be a guess.
    """
    fitted = list(marks)
    for k in range(1, len(marks)):
        upper, lower = marks[k - 1], marks[k]
        if site_of(marks, k).above == upper.lower_yz_mm:
            shift = _best_shift(series, lower, lower.upper_yz_mm, upper.lower_yz_mm)
            fitted[k] = replace(fitted[k], upper_yz_mm=shifted(lower.upper_yz_mm, shift))
            fitted[k - 1] = replace(fitted[k - 1], lower_yz_mm=shifted(upper.lower_yz_mm, shift))
    return tuple(fitted)


def _best_shift(series: RealSeries, mark: VertebraMark, lower: Line, upper: Line) -> float:
    """By how much the disc between two lines lies higher than marked (mm)."""
    reach = min(MOST_MM, MOST_SLICES * series.spacing_mm[0])
    shifts = np.linspace(-reach, reach, STEPS)
    contrast = np.array([_contrast(series, mark, lower, upper, float(shift)) for shift in shifts])
    best, middle = int(contrast.argmax()), STEPS // 2
    return float(shifts[best]) if contrast[best] > contrast[middle] + LEAST_CONTRAST_HU else 0.0


def _contrast(series: RealSeries, mark: VertebraMark, lower: Line, upper: Line, shift_mm: float) -> float:
    """How much brighter both endplates are than the disc between them."""
    y = mark.y_mm + DEPTHS * mark.half_depth_mm
    low, high = line_z(lower, y) + shift_mm, line_z(upper, y) + shift_mm
    plates = [_mean_hu(series, mark, y, z) for z in (low - PLATE_MM, high + PLATE_MM)]
    return float(np.mean(plates) - _mean_hu(series, mark, y, 0.5 * (low + high)))


def _mean_hu(series: RealSeries, mark: VertebraMark, y_mm: Floats, z_mm: Floats) -> float:
    """Mean HU along a line (y, z), over some width; linear between slices."""
    columns = np.abs(series.x_mm - mark.x_mm) <= max(HALF_WIDTH_MM, 0.5 * series.spacing_mm[2])
    rows = np.clip(np.rint((y_mm - series.y_mm[0]) / series.spacing_mm[1]), 0, len(series.y_mm) - 1).astype(
        int
    )
    at = np.clip((series.z_mm[0] - z_mm) / series.spacing_mm[0], 0, len(series.z_mm) - 1.001)
    low, share = np.floor(at).astype(int), at - np.floor(at)
    above, below = (
        series.volume_zyx_hu[low, rows][:, columns],
        series.volume_zyx_hu[low + 1, rows][:, columns],
    )
    return float(((1 - share) * above.mean(axis=1) + share * below.mean(axis=1)).mean())
