"""The sagittal slab of a patient rendered directly, without volume or files, with dense truth.

`render_slab(draw_patient(seed), seed=seed)` is what training draws from without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy
from phantom.picture import bone
from phantom.picture.painting import Float, Grid
from phantom.picture.scene import Scene, paint, paint_scene, scene_of
from phantom.scanner.acquisition import Acquisition, draw_acquisition
from phantom.scanner.artefacts import disturb
from phantom.scanner.noise import Noise, levels, radial, slab_share
from phantom.scanner.reconstruction import HU_MAX, HU_MIN, reconstruct
from phantom.truth import VertebraTruth, other_causes, vertebra_truth, worst_osteoporotic_grade

FEET_LIMIT_MM = -200.0  # no scan of the trunk goes further down
NECK_MARGIN_MM = 12.0  # nor further up than this over the middle of C4
SPINE_BEHIND_MM = 55.0  # a small field holds this much behind the bodies
AXIS_LIMIT_MM = 140.0  # rows within this of T12 set the usual level of noise


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
        """Whether a body that this slab shows whole has an osteoporotic fracture."""
        return self.worst_grade > 0

    @property
    def other_causes(self) -> tuple[str, ...]:
        """Causes other than osteoporosis among the low bodies that this slab shows whole."""
        return other_causes(self.vertebrae)


def coverage_limits_mm(patient: Anatomy, coverage: str, scan: Acquisition) -> tuple[float, float]:
    """Upper and lower z of a coverage; the levels of `LEVELS_OF_COVERAGE` lie inside.

    `patient` lies as in the scanner (`posing.posed`).
    """
    covered = LEVELS_OF_COVERAGE[coverage]
    first, last = patient.vertebra(covered[0]), patient.vertebra(covered[-1])
    top = first.centre_xyz_mm[2] + 0.75 * max(first.intact_mm) + first.disc_mm
    bottom = last.centre_xyz_mm[2] - 0.75 * max(last.intact_mm) - last.disc_mm
    if coverage in ("abdomen-pelvis", "chest-abdomen-pelvis"):
        bottom = -150.0
    if coverage == "spine":
        bottom = -45.0
    highest = max(patient.vertebrae[0].centre_xyz_mm[2] + NECK_MARGIN_MM, top)
    return min(top + scan.head_margin_mm, highest), max(bottom - scan.foot_margin_mm, FEET_LIMIT_MM)


def field_limits_mm(patient: Anatomy, scan: Acquisition) -> tuple[float, float]:
    """Front and back y of the field of view: it holds the skin in front and the table behind.

    A small field cuts the skin; it is laid so that the spine and what is behind it stays inside.
    """
    front, back = patient.body.front_limit_mm, max(patient.body.back_y_mm)
    centre = 0.5 * (front + back)
    if scan.is_small_field:
        half = 0.5 * scan.field_of_view_mm
        centre = max(centre, max(patient.body.spine_back_y_mm) + SPINE_BEHIND_MM - half)
        return centre - half, centre + half
    half = 0.5 * max(scan.field_of_view_mm, back - front + 40)
    room = half - 0.5 * (back - front) - 10
    centre += float(np.clip(scan.y_shift_mm, -room, room))
    return centre - half, centre + half


def usual_heights_mm(scene: Scene, top: float, bottom: float) -> tuple[float, float]:
    """The heights whose noise counts as usual: the trunk, not the shoulders or the hips."""
    middle = scene.patient.vertebra("T12").centre_xyz_mm[2]
    low, high = max(bottom, middle - AXIS_LIMIT_MM), min(top, middle + AXIS_LIMIT_MM)
    return (low, high) if high - low > 20 else (bottom, top)


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
    pixel are made first and then interpolated to `pixel_mm`, as a reformat does. The planes are sagittal planes
    of the scanner, x = 0 is the middle between the skins: a patient who lies turned is cut obliquely, and the
    spine lies beside the middle then. Lying off the scanner's centre moves the field of view, not the patient, so
    that x = 0 stays where it is.
    """
    rng = np.random.default_rng([patient.seed, seed, 0x51AB])
    scan = acquisition or draw_acquisition(rng, patient.family.scanner)
    covered = coverage or patient.coverage
    scene = scene_of(patient, scan, reach_mm=half_width_mm + slice_spacing_mm)
    top, bottom = coverage_limits_mm(scene.patient, covered, scan)
    front, back = field_limits_mm(scene.patient, scan)
    n = round(half_width_mm / slice_spacing_mm)
    x = (np.arange(-n, n + 1) * slice_spacing_mm).astype(np.float32)
    y = np.arange(front, back, pixel_mm, dtype=np.float32)
    source_mm = max(scan.in_plane_mm, pixel_mm)
    source_y = np.arange(front, back + source_mm, source_mm, dtype=np.float32)
    rows = np.arange(top, bottom, -pixel_mm, dtype=np.float32)
    spacing = max(scan.spacing_mm, pixel_mm)
    z = (top - np.arange(int((top - bottom) / spacing) + 2) * spacing).astype(np.float32)
    grid = Grid(x, z, source_y, slice_spacing_mm, max(scan.thickness_mm, 0.5 * pixel_mm), source_mm)
    hu = _scan(grid, scene, scan, rng, rows, y)
    labels, truth = _label(Grid(x, rows, y, slice_spacing_mm, pixel_mm, pixel_mm), scene.patient)
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


def _scan(  # noqa: PLR0917
    grid: Grid, scene: Scene, scan: Acquisition, rng: np.random.Generator, rows: Float, y: Float
) -> npt.NDArray[np.int16]:
    """Painted, disturbed, reconstructed and reformatted; plane by plane, so that what is at hand stays cached."""
    canvas = paint_scene(grid, scene)
    disturb(canvas, grid, scene, scan)
    usual = usual_heights_mm(scene, float(grid.z_mm[0]), float(grid.z_mm[-1]))
    noise = Noise(
        scan, rng, levels(scene, scan, grid.z_mm, usual) * np.float32(scan.noise_hu), grid.y_width_mm
    )
    middle_y = 0.5 * (scene.patient.body.front_limit_mm + max(scene.patient.body.back_y_mm))
    share = slab_share(scan.noise_kinds, scan.noise_mix, grid.x_width_mm, scan.in_plane_mm)
    hu = np.empty((len(grid.x_mm), len(rows), len(y)), np.int16)
    for k, plane in enumerate(canvas):
        reconstruct(plane, scan, (grid.y_width_mm,))
        if scan.noise_hu > 0:
            by_place = radial(scene.patient, float(grid.x_mm[k]), grid.y_mm - np.float32(middle_y))
            noise.sagittal(plane, by_place, share)
        hu[k] = _reformat(plane, grid.z_mm, rows, grid.y_mm, y)
    return hu


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
    for one in bone.shown([bone.placed(grid, body) for body in patient.thoracolumbar]):
        if one is not None:
            labels[one.box][bone.body_mask(one)] = one.at.body.label
    return labels, tuple(vertebra_truth(grid, body) for body in patient.thoracolumbar)


__all__ = ["HU_MAX", "HU_MIN", "PhantomSlab", "VertebraTruth", "paint", "render_slab", "vertebra_truth"]
