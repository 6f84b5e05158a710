"""A patient as an axial CT volume: the scene of `slabs.py` on an axial grid, as a scanner would store it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phantom.acquisition import (
    Acquisition,
    add_axial_noise,
    blur_or_sharpen,
    draw_acquisition,
    shift_hu,
)
from phantom.anatomy import Anatomy
from phantom.painting import Float, Grid
from phantom.slabs import (
    HU_MAX,
    HU_MIN,
    coverage_limits_mm,
    field_limits_mm,
    paint,
)
from phantom.truth import VertebraTruth, vertebra_truth, worst_osteoporotic_grade


@dataclass(frozen=True)
class PhantomVolume:
    """Axial slices head to foot, rows front to back, columns right to left; HU int16.

    `spacing_mm` is (z, y, x); `origin_xyz_mm` is the middle of the first voxel of the first slice.
    """

    volume_zyx_hu: npt.NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float]
    coverage: str
    acquisition: Acquisition
    vertebrae: tuple[VertebraTruth, ...]

    @property
    def worst_grade(self) -> int:
        """Worst grade of an osteoporotic fracture among the bodies that the slices show whole."""
        return worst_osteoporotic_grade(self.vertebrae)


def field_mm(patient: Anatomy, scan: Acquisition) -> float:
    """Side of a square field of view that holds the skin on both sides, and the table behind."""
    front, back = field_limits_mm(patient, scan)
    return max(patient.body.lateral_extent_mm + 30, back - front, scan.field_of_view_mm)


def render_volume(
    patient: Anatomy,
    *,
    columns: int = 256,
    coverage: str | None = None,
    acquisition: Acquisition | None = None,
    seed: int = 0,
) -> PhantomVolume:
    """Render axial slices of `columns` squared; deterministic by its arguments."""
    rng = np.random.default_rng([patient.seed, seed, 0x70])
    scan = acquisition or draw_acquisition(rng, patient.family.scanner)
    covered = coverage or patient.coverage
    top, bottom = coverage_limits_mm(patient, covered, scan)
    side = field_mm(patient, scan)
    pixel = side / columns
    middle_y = 0.5 * sum(field_limits_mm(patient, scan))
    place = (np.arange(columns) - 0.5 * (columns - 1)) * pixel
    count = int((top - bottom) / scan.spacing_mm) + 1
    z = (top - np.arange(count) * scan.spacing_mm).astype(np.float32)
    grid = Grid(
        place.astype(np.float32), z, (middle_y + place).astype(np.float32), pixel, scan.thickness_mm, pixel
    )
    return PhantomVolume(
        volume_zyx_hu=_scan(paint(grid, patient), scan, rng),
        spacing_mm=(scan.spacing_mm, pixel, pixel),
        origin_xyz_mm=(float(place[0]), float(middle_y + place[0]), float(top)),
        coverage=covered,
        acquisition=scan,
        vertebrae=tuple(vertebra_truth(grid, body) for body in patient.thoracolumbar),
    )


def _scan(canvas: Float, scan: Acquisition, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """The scanner's effects, slice by slice; axes (x, z, y) become (z, y, x)."""
    columns, count, rows = canvas.shape
    volume = np.empty((count, rows, columns), np.int16)
    for k in range(count):
        plane = np.ascontiguousarray(canvas[:, k].T)
        blur_or_sharpen(plane, scan)
        blur_or_sharpen(plane.T, scan)
        shift_hu(plane, scan)
        add_axial_noise(plane, scan, rng)
        volume[k] = np.clip(np.rint(plane, out=plane), HU_MIN, HU_MAX, out=plane)
    return volume


def average_slices(volume: PhantomVolume, factor: int) -> PhantomVolume:
    """Thick slices as means of `factor` thin ones."""
    z, y, x = volume.spacing_mm
    count = len(volume.volume_zyx_hu) // factor
    stacked = volume.volume_zyx_hu[: count * factor].reshape(count, factor, *volume.volume_zyx_hu.shape[1:])
    mean = np.rint(stacked.mean(axis=1, dtype=np.float32)).astype(np.int16)
    ox, oy, oz = volume.origin_xyz_mm
    return replace(
        volume,
        volume_zyx_hu=mean,
        spacing_mm=(z * factor, y, x),
        origin_xyz_mm=(ox, oy, oz - 0.5 * (factor - 1) * z),
    )
