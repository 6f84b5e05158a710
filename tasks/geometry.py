"""Geometry of a stack of slices from ImagePositionPatient and ImageOrientationPatient alone. Pure functions.

Coordinates are DICOM patient coordinates in mm: x to the patient's left, y to the back, z to the head (LPS).
Source: DICOM PS3.3 C.7.6.2.1.1. The gantry tilt tag (0018,1120) is never used:
its sign differs between vendors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.plan import Orientation, Vector

Floats = NDArray[np.float64]

# A slice step over 1.5 × the median hides at least half a slice (catalogue row T13).
MISSING_RATIO = 1.5
# Two slices closer than this lie at the same place: the finest step of clinical scanners is 0.1 mm or more.
SAME_PLACE_MM = 0.02
# Direction cosines are written with 6 digits; 2 % of a unit vector is no rounding any more.
UNIT_TOLERANCE = 0.02
# A plane keeps its name up to this angle from the patient axis. Gantries tilt by 30 degrees at most; half
# a degree is for rounding and for patients who do not lie straight.
PLANE_LIMIT_DEG = 30.5
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


@dataclass(frozen=True, slots=True)
class Gap:
    """One place where slices are missing."""

    gap_mm: float
    n_missing: int
    from_mm: float  # along the normal
    to_mm: float


@dataclass(frozen=True, slots=True)
class StackGeometry:
    """How the slices of a stack lie in the patient. Distances are along the normal unless said otherwise."""

    n_slices: int
    plane: str  # axial | sagittal | coronal | oblique
    normal: Vector
    obliquity_deg: float  # normal against the nearest patient axis
    tilt_deg: float  # normal against the line through the positions; 0 for a single slice
    off_line_mm: float  # largest distance of a position from that line
    spacing_mm: float | None  # median; None for a single slice
    min_step_mm: float | None
    max_step_mm: float | None
    n_repeated: int  # slices that lie where another one lies
    coverage_mm: float  # first to last slice
    gaps: tuple[Gap, ...]
    max_deviation_mm: float  # of a step from the median, gaps left out
    craniocaudal_mm: float  # how much of the patient's length the stack shows


def unit_orientation(orientation: Sequence[float] | None) -> Orientation | None:
    """Both direction cosines at unit length; None when absent, not finite, not unit or not orthogonal."""
    if orientation is None or len(orientation) != 6 or not all(map(math.isfinite, orientation)):
        return None
    row, column = orientation[:3], orientation[3:]
    row_length, column_length = math.hypot(*row), math.hypot(*column)
    if abs(row_length - 1) > UNIT_TOLERANCE or abs(column_length - 1) > UNIT_TOLERANCE:
        return None
    if abs(sum(a * b for a, b in zip(row, column, strict=True))) > UNIT_TOLERANCE:
        return None
    rx, ry, rz = (value / row_length for value in row)
    cx, cy, cz = (value / column_length for value in column)
    return (rx, ry, rz, cx, cy, cz)


def normal_of(orientation: Orientation) -> Vector:
    """Unit normal of a slice: row direction × column direction."""
    rx, ry, rz, cx, cy, cz = orientation
    nx, ny, nz = ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return (nx / length, ny / length, nz / length)


def angle_deg(a: Sequence[float], b: Sequence[float]) -> float:
    """Angle between two unit vectors, in degrees. Exact for small angles, unlike the arc cosine."""
    difference = math.dist(a, b)
    total = math.hypot(*(x + y for x, y in zip(a, b, strict=True)))
    return math.degrees(2 * math.atan2(difference, total))


def plane_of(normal: Vector) -> tuple[str, float]:
    """Name of the plane and the angle of its normal to the nearest patient axis, in degrees (0 to 54.7)."""
    plane, axis = max(AXES.items(), key=lambda item: abs(normal[item[1]]))
    across = math.hypot(*(normal[i] for i in range(3) if i != axis))
    obliquity_deg = math.degrees(math.atan2(across, abs(normal[axis])))
    return (plane if obliquity_deg <= PLANE_LIMIT_DEG else "oblique"), obliquity_deg


def tilt_of(positions_mm: Floats, normal: Vector) -> tuple[float, float]:
    """Angle between normal and line through the positions (n, 3), and the largest distance from that line.

    The positions ascend along the normal. The line runs through the first and last one, so two slices are
    enough; one slice, or slices that all lie in one place, have no line: (0, 0). Degrees, mm.
    """
    if len(positions_mm) < 2:
        return 0.0, 0.0
    step = positions_mm[-1] - positions_mm[0]
    along_mm = float(step @ np.asarray(normal))
    if along_mm <= SAME_PLACE_MM:
        return 0.0, 0.0
    across_mm = float(np.linalg.norm(step - along_mm * np.asarray(normal)))
    share = ((positions_mm - positions_mm[0]) @ np.asarray(normal)) / along_mm
    off_line_mm = np.linalg.norm(positions_mm - positions_mm[0] - share[:, None] * step, axis=1)
    return math.degrees(math.atan2(across_mm, along_mm)), float(off_line_mm.max())


def craniocaudal_mm(
    positions_mm: Floats, orientation: Orientation, size_mm: tuple[float, float] | None
) -> float:
    """Patient length (z) between the extreme corners of the slices; size_mm is (along a row, along a column).

    For axial stacks this is the distance of the slices, for sagittal ones the height of the image.
    """
    z_mm = positions_mm[:, 2]
    extent_mm = float(z_mm.max() - z_mm.min())
    if size_mm is None:
        return extent_mm
    plane, _ = plane_of(normal_of(orientation))
    if plane == "axial":
        return extent_mm
    return extent_mm + abs(orientation[2]) * size_mm[0] + abs(orientation[5]) * size_mm[1]


def find_gaps(along_mm: Floats, spacing_mm: float) -> tuple[Gap, ...]:
    """Steps over 1.5 × the median, with the number of slices that would fill each. along_mm ascends."""
    steps_mm = np.diff(along_mm)
    wide = np.flatnonzero(steps_mm > MISSING_RATIO * spacing_mm)
    return tuple(
        Gap(
            float(steps_mm[i]),
            max(1, round(float(steps_mm[i]) / spacing_mm) - 1),
            float(along_mm[i]),
            float(along_mm[i + 1]),
        )
        for i in wide
    )


def measure(
    positions_mm: Floats, orientation: Orientation, size_mm: tuple[float, float] | None
) -> StackGeometry:
    """Everything the checks ask of a stack. positions_mm (n ≥ 1, 3) ascend along the orientation's normal."""
    normal = normal_of(orientation)
    plane, obliquity_deg = plane_of(normal)
    tilt_deg, off_line_mm = tilt_of(positions_mm, normal)
    along_mm = positions_mm @ np.asarray(normal)
    steps_mm = np.diff(along_mm)
    moved = steps_mm[steps_mm > SAME_PLACE_MM]
    spacing_mm = float(np.median(moved)) if len(moved) else None
    regular = moved[moved <= MISSING_RATIO * spacing_mm] if spacing_mm else moved
    return StackGeometry(
        n_slices=len(positions_mm),
        plane=plane,
        normal=normal,
        obliquity_deg=obliquity_deg,
        tilt_deg=tilt_deg,
        off_line_mm=off_line_mm,
        spacing_mm=spacing_mm,
        min_step_mm=float(moved.min()) if len(moved) else None,
        max_step_mm=float(moved.max()) if len(moved) else None,
        n_repeated=len(steps_mm) - len(moved),
        coverage_mm=float(along_mm[-1] - along_mm[0]),
        gaps=find_gaps(along_mm, spacing_mm) if spacing_mm else (),
        max_deviation_mm=float(np.abs(regular - spacing_mm).max()) if spacing_mm else 0.0,
        craniocaudal_mm=craniocaudal_mm(positions_mm, orientation, size_mm),
    )
