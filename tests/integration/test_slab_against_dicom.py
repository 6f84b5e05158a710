"""The slab rendered directly and the slab that comes out of the same patient's DICOM files show the same anatomy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flows.explain import slab_of_files
from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import render_slab
from phantom.truth import VertebraTruth
from phantom.volume import render_volume

Float = NDArray[np.float32]
SPACING_MM = 2.5
# Between two renderings of one scene on different grids, 256 columns (pixels of some 1.7 mm): both are partial
# volumes, of voxels that lie elsewhere. Measured 10-16 HU in the patient and 21-32 HU in the vertebrae; a shift by
# one row of 0.8 mm already adds 6 to 13 HU to the first.
MOST_RMS_HU, MOST_BONE_RMS_HU = 20.0, 40.0
MOST_MEAN_HU = 4.0
MOST_ROWS_APART = 1


@dataclass(frozen=True)
class Both:
    """One patient twice on the grid of the slab from the files; `labels` and rows are of the direct one."""

    from_files: Float
    direct: Float
    labels: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    vertebrae: tuple[VertebraTruth, ...]
    slices_apart: float


BARE = Acquisition(thickness_mm=SPACING_MM, spacing_mm=SPACING_MM)
CASES = {
    "chest": (3, BARE),
    "abdomen-pelvis": (14, BARE),
    "spine": (25, replace(BARE, blur=0.15, bone_gain=1.15, hu_offset=8.0)),
}


@pytest.fixture(scope="module", params=CASES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    seed, scan = CASES[request.param]
    patient = draw_patient(seed, has_fracture=True, coverage=request.param)
    volume = render_volume(patient, acquisition=scan, seed=seed)
    folder = tmp_path_factory.mktemp("files")
    write_ct_series(
        folder,
        volume.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=volume.origin_xyz_mm,
        step_xyz_mm=(0.0, 0.0, -SPACING_MM),
    )
    found = slab_of_files(folder)
    record = found.record
    scan = replace(scan, in_plane_mm=volume.spacing_mm[1])
    slab = render_slab(patient, pixel_mm=record.pixel_mm, acquisition=scan, seed=seed)
    n_slices, n_rows, n_columns = found.slab_xzy_hu.shape
    x = record.middle_x_mm + (np.arange(n_slices) - (n_slices - 1) / 2) * record.slice_spacing_mm
    z = record.top_z_mm - np.arange(n_rows) * record.pixel_mm
    y = record.anterior_y_mm + np.arange(n_columns) * record.pixel_mm
    places = np.meshgrid(
        (x - slab.x_mm[0]) / slab.slice_spacing_mm,
        (slab.z_mm[0] - z) / slab.pixel_mm,
        (y - slab.y_mm[0]) / slab.pixel_mm,
        indexing="ij",
    )
    direct = ndimage.map_coordinates(slab.slab_xzy_hu.astype(np.float32), places, order=1, cval=-2000.0)
    labels = ndimage.map_coordinates(slab.vertebra_label_xzy, places, order=0)
    from_files = found.slab_xzy_hu.astype(np.float32)
    body = (direct > -300) & (from_files > -300)
    return Both(
        from_files=from_files,
        direct=direct,
        labels=labels,
        inside=ndimage.binary_erosion(body, np.ones((1, 3, 3)), iterations=3),
        vertebrae=slab.vertebrae,
        slices_apart=float(x[0] - slab.x_mm[0]) / slab.slice_spacing_mm,
    )


def rms(difference: Float) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def test_hounsfield_units_agree_inside_the_body(both: Both) -> None:
    assert both.inside.sum() > 200_000
    difference = (both.direct - both.from_files)[both.inside]
    assert rms(difference) < MOST_RMS_HU
    assert abs(float(difference.mean())) < MOST_MEAN_HU


def test_hounsfield_units_agree_inside_the_vertebrae(both: Both) -> None:
    bodies = both.inside & (both.labels > 0)
    assert rms((both.direct - both.from_files)[bodies]) < MOST_BONE_RMS_HU


def test_every_vertebra_lies_in_the_same_rows(both: Both) -> None:
    """The shift at which the two pictures of a body agree best."""
    n_checked = 0
    for body in both.vertebrae:
        mask = both.labels == body.label
        if not body.is_visible or not mask.any():
            continue
        plane = int(mask.sum(axis=(1, 2)).argmax())
        shift = best_shift(both.direct[plane], both.from_files[plane], mask[plane])
        assert abs(shift) <= MOST_ROWS_APART, (body.level, shift)
        n_checked += 1
    assert n_checked >= 6


def best_shift(one: Float, other: Float, mask: NDArray[np.bool_], most: int = 5) -> int:
    """Rows by which `one` has to sink to look like `other` around a body."""
    rows, columns = np.nonzero(mask)
    top, bottom = max(most, rows.min() - 6), min(len(one) - most, rows.max() + 7)
    left, right = columns.min(), columns.max() + 1
    wanted = other[top:bottom, left:right]
    errors = [rms(one[top - shift : bottom - shift, left:right] - wanted) for shift in range(-most, most + 1)]
    return int(np.argmin(errors)) - most


def test_the_two_slabs_have_the_same_middle(both: Both) -> None:
    """The middle that is found in the files lies within a slice of the patient's own."""
    assert abs(both.slices_apart) < 1.0
