"""A patient as an axial CT volume: the scene of `slabs.py` on an axial grid, as a scanner would store it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phantom.anatomy import Anatomy
from phantom.picture.painting import Grid
from phantom.picture.scene import Scene, paint_scene, scene_of
from phantom.scanner.acquisition import Acquisition, draw_acquisition
from phantom.scanner.artefacts import disturb
from phantom.scanner.noise import Noise, levels, radial
from phantom.scanner.reconstruction import HU_MAX, HU_MIN, reconstruct
from phantom.slabs import coverage_limits_mm, field_limits_mm, usual_heights_mm
from phantom.truth import VertebraTruth, other_causes, vertebra_truth, worst_osteoporotic_grade


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

    @property
    def other_causes(self) -> tuple[str, ...]:
        """Causes other than osteoporosis among the low bodies that the slices show whole."""
        return other_causes(self.vertebrae)


def field_mm(patient: Anatomy, scan: Acquisition) -> float:
    """Side of a square field of view: it holds the skin on both sides, and the table behind; a small one does not."""
    if scan.is_small_field:
        return scan.field_of_view_mm
    front, back = field_limits_mm(patient, scan)
    return max(patient.body.lateral_extent_mm + 30, back - front, scan.field_of_view_mm)


def field_middle_xy_mm(patient: Anatomy, scan: Acquisition) -> tuple[float, float]:
    """Middle of the field of view in the patient's frame: off the patient's by as much as leaves the skin inside."""
    y = 0.5 * sum(field_limits_mm(patient, scan))
    if scan.is_small_field:
        return patient.vertebra("T12").centre_xyz_mm[0], y
    room = max(0.0, 0.5 * (field_mm(patient, scan) - patient.body.lateral_extent_mm) - 8)
    return float(np.clip(scan.x_shift_mm, -room, room)), y


def render_volume(
    patient: Anatomy,
    *,
    columns: int = 256,
    coverage: str | None = None,
    acquisition: Acquisition | None = None,
    seed: int = 0,
) -> PhantomVolume:
    """Render axial slices of `columns` squared; deterministic by its arguments.

    The frame is the scanner's as in `render_slab`: x = 0 is the middle between the skins.
    """
    rng = np.random.default_rng([patient.seed, seed, 0x70])
    scan = acquisition or draw_acquisition(rng, patient.family.scanner)
    covered = coverage or patient.coverage
    scene = scene_of(patient, scan)
    top, bottom = coverage_limits_mm(scene.patient, covered, scan)
    side = field_mm(scene.patient, scan)
    pixel = side / columns
    middle_x, middle_y = field_middle_xy_mm(scene.patient, scan)
    place = (np.arange(columns) - 0.5 * (columns - 1)) * pixel
    count = int((top - bottom) / scan.spacing_mm) + 1
    z = (top - np.arange(count) * scan.spacing_mm).astype(np.float32)
    x, y = (middle_x + place).astype(np.float32), (middle_y + place).astype(np.float32)
    grid = Grid(x, z, y, pixel, scan.thickness_mm, pixel)
    return PhantomVolume(
        volume_zyx_hu=_scan(grid, scene, scan, rng),
        spacing_mm=(scan.spacing_mm, pixel, pixel),
        origin_xyz_mm=(float(x[0]), float(y[0]), float(top)),
        coverage=covered,
        acquisition=scan,
        vertebrae=tuple(vertebra_truth(grid, body) for body in scene.patient.thoracolumbar),
    )


def _scan(grid: Grid, scene: Scene, scan: Acquisition, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Painted, disturbed and reconstructed, slice by slice; axes (x, z, y) become (z, y, x)."""
    canvas = paint_scene(grid, scene)
    disturb(canvas, grid, scene, scan)
    columns, count, rows = canvas.shape
    usual = usual_heights_mm(scene, float(grid.z_mm[0]), float(grid.z_mm[-1]))
    noise = Noise(
        scan, rng, levels(scene, scan, grid.z_mm, usual) * np.float32(scan.noise_hu), grid.y_width_mm
    )
    shape = scene.patient.body
    middle_y = np.float32(0.5 * (shape.front_limit_mm + max(shape.back_y_mm)))
    by_place = radial(scene.patient, grid.x_mm[None, :], grid.y_mm[:, None] - middle_y)
    volume = np.empty((count, rows, columns), np.int16)
    for k in range(count):
        plane = np.ascontiguousarray(canvas[:, k].T)
        reconstruct(plane, scan, (grid.x_width_mm, grid.y_width_mm))
        if scan.noise_hu > 0:
            noise.axial(plane, by_place, k)
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
