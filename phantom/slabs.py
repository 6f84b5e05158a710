"""The sagittal slab of a patient rendered directly, without volume or files, with dense truth.

`render_slab(draw_patient(seed), seed=seed)` is what training draws from without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom import bone, painting
from phantom.acquisition import (
    SLAB_NOISE_SHARE,
    Acquisition,
    add_noise,
    blur_or_sharpen,
    draw_acquisition,
    shift_hu,
)
from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy
from phantom.painting import Float, Grid
from phantom.truth import VertebraTruth, vertebra_truth, worst_osteoporotic_grade

HU_MIN, HU_MAX = -1024, 3071


@dataclass(frozen=True)
class PhantomSlab:
    """A slab (x from right to left, rows head to foot, columns front to back), isotropic pixels, HU int16."""

    slab_xzy_hu: npt.NDArray[np.int16]
    vertebra_label_xzy: npt.NDArray[np.uint8]
    pixel_mm: float
    slice_spacing_mm: float
    lateral_extent_mm: float
    x_mm: Float
    z_mm: Float
    y_mm: Float
    coverage: str
    acquisition: Acquisition
    vertebrae: tuple[VertebraTruth, ...]

    @property
    def worst_grade(self) -> int:
        """Worst grade of an osteoporotic fracture among the bodies that this slab shows whole."""
        return worst_osteoporotic_grade(self.vertebrae)

    @property
    def has_fracture(self) -> bool:
        """Whether a body that this slab shows has an osteoporotic fracture."""
        return self.worst_grade > 0


def coverage_limits_mm(patient: Anatomy, coverage: str, scan: Acquisition) -> tuple[float, float]:
    """Upper and lower z of a coverage; the levels of `LEVELS_OF_COVERAGE` lie inside."""
    levels = LEVELS_OF_COVERAGE[coverage]
    first, last = patient.vertebra(levels[0]), patient.vertebra(levels[-1])
    top = first.centre_xyz_mm[2] + 0.75 * max(first.intact_mm) + first.disc_mm
    bottom = last.centre_xyz_mm[2] - 0.75 * max(last.intact_mm) - last.disc_mm
    if coverage in ("abdomen-pelvis", "chest-abdomen-pelvis"):
        bottom = -150.0
    if coverage == "spine":
        bottom = -45.0
    return top + scan.head_margin_mm, bottom - scan.foot_margin_mm


def field_limits_mm(patient: Anatomy, scan: Acquisition) -> tuple[float, float]:
    """Front and back y of the field of view; it holds the skin in front and the table behind."""
    front, back = min(patient.body.front_y_mm), max(patient.body.back_y_mm)
    centre = 0.5 * (front + back) + scan.y_shift_mm
    half = 0.5 * max(scan.field_of_view_mm, back - front + 40)
    return centre - half, centre + half


def paint(grid: Grid, patient: Anatomy) -> Float:
    """The whole scene on a grid, before any scanner effect."""
    canvas = painting.paint_layers(grid, patient)
    painting.paint_blobs(canvas, grid, patient.blobs)
    for tube in patient.tubes:
        painting.paint_tube(canvas, grid, tube)
    bone.paint_spine(canvas, grid, patient)
    return canvas


def render_slab(
    patient: Anatomy,
    *,
    pixel_mm: float = 0.8,
    slice_spacing_mm: float = 3.0,
    half_width_mm: float = 30.0,
    coverage: str | None = None,
    acquisition: Acquisition | None = None,
    seed: int = 0,
) -> PhantomSlab:
    """Render a patient's slab around the middle of the body; deterministic by its arguments.

    Without `acquisition` one is drawn from the patient's family. Axial slices of its thickness, spacing and
    pixel are made first and then interpolated to `pixel_mm`, as a reformat does.
    """
    rng = np.random.default_rng([patient.seed, seed, 0x51AB])
    scan = acquisition or draw_acquisition(rng, patient.family.scanner)
    covered = coverage or patient.coverage
    top, bottom = coverage_limits_mm(patient, covered, scan)
    front, back = field_limits_mm(patient, scan)
    n = round(half_width_mm / slice_spacing_mm)
    x = (np.arange(-n, n + 1) * slice_spacing_mm).astype(np.float32)
    y = np.arange(front, back, pixel_mm, dtype=np.float32)
    source_mm = max(scan.in_plane_mm, pixel_mm)
    source_y = np.arange(front, back + source_mm, source_mm, dtype=np.float32)
    rows = np.arange(top, bottom, -pixel_mm, dtype=np.float32)
    spacing = max(scan.spacing_mm, pixel_mm)
    z = (top - np.arange(int((top - bottom) / spacing) + 2) * spacing).astype(np.float32)
    grid = Grid(x, z, source_y, slice_spacing_mm, max(scan.thickness_mm, 0.5 * pixel_mm), source_mm)
    canvas = paint(grid, patient)
    hu = np.empty((len(x), len(rows), len(y)), np.int16)
    for plane, out in zip(canvas, hu, strict=True):  # plane by plane: what is at hand stays in the cache
        blur_or_sharpen(plane, scan)
        shift_hu(plane, scan)
        add_noise(plane, scan, rng, SLAB_NOISE_SHARE)
        out[:] = _reformat(plane, z, rows, source_y, y)
    fine = Grid(x, rows, y, slice_spacing_mm, pixel_mm, pixel_mm)
    labels, truth = _label(fine, patient)
    return PhantomSlab(
        slab_xzy_hu=hu,
        vertebra_label_xzy=labels,
        pixel_mm=pixel_mm,
        slice_spacing_mm=slice_spacing_mm,
        lateral_extent_mm=patient.body.lateral_extent_mm,
        x_mm=x,
        z_mm=rows,
        y_mm=y,
        coverage=covered,
        acquisition=scan,
        vertebrae=truth,
    )


def _weights(source: Float, target: Float) -> tuple[npt.NDArray[np.int64], Float]:
    """Lower neighbour and weight of the upper one for linear interpolation on a regular axis."""
    where = (target - float(source[0])) / float(source[1] - source[0])
    low = np.clip(where.astype(np.int64), 0, len(source) - 2)
    return low, (where - low).astype(np.float32)


def _reformat(plane: Float, z_mm: Float, rows_mm: Float, source_y: Float, y_mm: Float) -> Float:
    """One plane (z, y) interpolated linearly to rows and columns of the slab; whole HU."""
    if float(source_y[1] - source_y[0]) > float(y_mm[1] - y_mm[0]) + 1e-4:
        low, weight = _weights(source_y, y_mm)
        left = np.take(plane, low, axis=1)
        right = np.take(plane, low + 1, axis=1)
        right -= left
        right *= weight
        plane = left + right
    low, weight = _weights(z_mm, rows_mm)
    out = plane[low, : len(y_mm)]
    if float(weight.max()) > 1e-3:
        out += weight[:, None] * (plane[low + 1, : len(y_mm)] - out)
    return np.clip(np.rint(out, out=out), HU_MIN, HU_MAX, out=out)


def _label(grid: Grid, patient: Anatomy) -> tuple[npt.NDArray[np.uint8], tuple[VertebraTruth, ...]]:
    labels = np.zeros(grid.shape, np.uint8)
    truth = []
    for body in patient.thoracolumbar:
        box = bone.body_box(grid, body)
        if box is not None:
            mask = bone.body_mask(grid, box, body)
            labels[box][mask] = body.label
        truth.append(vertebra_truth(grid, body))
    return labels, tuple(truth)


__all__ = ["PhantomSlab", "VertebraTruth", "render_slab", "vertebra_truth"]
