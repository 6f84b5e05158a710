"""Twins of the real scans: marks in the right place, and nothing but heights that tells a twin from its sham."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flows.errors import SettingsError
from flows.verbs.twins import twins
from phantom.from_real import Twin, make_twins
from phantom.real.ct_series import RealSeries, read_ct_series, read_sagittal_image
from phantom.real.mark_files import read_marks
from phantom.real.mask_marks import marks_of_labels
from phantom.real.nifti import read_nifti
from phantom.real.twin_slabs import heights_of
from phantom.real.twin_tissue import box_of

VOLUMES = ("ct/acrin_flt_ap_4p25mm", "ct/cmb_crc_chest_2p5mm")
N_PAIRS = 12
MOST_AUC = 0.65
# Endplates of one sagittal image, read by eye: (level, front, back, top front, top back, bottom front, bottom back).
SAGITTAL = "A058062/sagittal/19010108-077.dcm"
SAGITTAL_MARKS = """series,level,x_centre_px,y_anterior_px,y_posterior_px,top_anterior_slice,top_posterior_slice,\
bottom_anterior_slice,bottom_posterior_slice
image,T12,,296,325,129,129.5,151.5,153.5
image,L1,,290,321,156,158,180.5,183
image,L2,,285,315,185.5,187.5,211,212.5
image,L3,,278,309,218.5,219.5,243,244
"""


@pytest.fixture(scope="module", params=[VOLUMES[0], pytest.param(VOLUMES[1], marks=pytest.mark.long)])
def pairs(request: pytest.FixtureRequest, real_data: Path) -> tuple[RealSeries, list[Twin]]:
    series = read_ct_series(real_data / request.param)
    marks = read_marks(real_data / "labels" / "vertebra_boxes.csv", series)
    return series, list(make_twins(series, marks, N_PAIRS, 7, is_for_slabs=True))


def area(twins: list[float], shams: list[float]) -> float:
    """AUC of a number as a sign of a twin; its opposite counts as well."""
    t, s = np.array(twins)[:, None], np.array(shams)
    value = float((t > s).mean() + 0.5 * (t == s).mean())
    return max(value, 1 - value)


def roughness(twin: Twin) -> float:
    """Local gradient power along z, where the body moves: half of all steps between slices are smaller than this."""
    box = box_of(twin.series, twin.field, 0)
    part = twin.series.volume_zyx_hu[box.part].astype(np.float32)
    inside = twin.field.own_weight(*np.broadcast_arrays(box.x_mm, box.y_mm)) > 0.9
    return float(np.median(np.abs(np.diff(part, axis=0)[:, inside])))


def density(twin: Twin) -> float:
    return next(body.trabecular_hu for body in twin.vertebrae if body.level == twin.level)


@pytest.mark.parametrize("sign", [roughness, density])
def test_neither_smoothness_nor_density_tells(pairs: tuple[RealSeries, list[Twin]], sign) -> None:
    values = [sign(twin) for twin in pairs[1]]
    assert area(values[::2], values[1::2]) <= MOST_AUC


def test_heights_of_real_bodies(pairs: tuple[RealSeries, list[Twin]]) -> None:
    for twin in pairs[1]:
        before, after = np.array(twin.heights_before_mm), np.array(twin.heights_after_mm)
        assert np.abs(1 - after / before - twin.field.lowering.shares).max() < 0.03
        assert twin.loss == (twin.planned_loss if twin.kind == "twin" else 0.0)


def test_what_lies_far_away_is_the_same_patient(pairs: tuple[RealSeries, list[Twin]]) -> None:
    """Slices under the next body are untouched, and a sham differs from its scan by interpolation only."""
    series, made = pairs
    for twin in made:
        first = int(np.abs(series.x_mm - twin.series.x_mm[0]).argmin())
        columns = slice(first, first + len(twin.series.x_mm))
        original = series.volume_zyx_hu[-len(twin.series.z_mm) :, :, columns].astype(np.int32)
        below = twin.series.z_mm < float(twin.field.site.levels_mm(twin.field.site.mark.y_mm)[0]) - 26
        assert np.array_equal(twin.series.volume_zyx_hu[below], original[below])
        if twin.kind == "sham":
            voxels = twin.series.volume_zyx_hu
            assert abs(float(voxels.mean() - original.mean())) < 6
            assert np.corrcoef(voxels.ravel()[::7], original.ravel()[::7])[0, 1] > 0.97


def test_sagittal_images_have_twins(real_data: Path, tmp_path: Path) -> None:
    table = tmp_path / "marks.csv"
    table.write_text(SAGITTAL_MARKS)
    image = read_sagittal_image(real_data / "sagittal_nysbu" / SAGITTAL)
    marks = read_marks(table, image)
    assert [mark.level for mark in marks] == ["T12", "L1", "L2", "L3"]
    made = list(make_twins(image, marks, 10, 1))
    for twin in made:
        slab = twin.slab()
        assert len(slab.slab_xzy_hu) == 1
        assert set(np.unique(slab.vertebra_label_xzy)) == {0, 12, 13, 14, 15}
        body = next(body for body in slab.vertebrae if body.level == twin.level)
        inside = slab.slab_xzy_hu[slab.vertebra_label_xzy == body.label]
        assert np.median(inside) > 120
    values = [roughness(twin) for twin in made]
    assert area(values[::2], values[1::2]) <= 0.75  # one image, ten pairs: the error of an AUC is 0.13


def test_a_sagittal_image_makes_slabs_and_no_axial_series(real_data: Path, tmp_path: Path) -> None:
    table, image = tmp_path / "marks.csv", real_data / "sagittal_nysbu" / SAGITTAL
    table.write_text(SAGITTAL_MARKS)
    with pytest.raises(SettingsError, match="--slabs-only"):
        twins(image, table, tmp_path / "archive", number=1, seed=2, slabs_only=False, labels=None)
    assert not (tmp_path / "archive").exists()
    twins(image, table, tmp_path / "slabs", number=1, seed=2, slabs_only=True, labels=None)
    assert len(list((tmp_path / "slabs" / "slabs").glob("*.npz"))) == 2


def test_a_label_map_lies_where_the_organs_are(real_data: Path) -> None:
    """Liver to the right, spleen to the left, aorta in front, levels in order: RAS was turned into LPS."""
    placed = read_nifti(real_data / "ct" / "totalseg_example" / "example_seg_fast_force_split.nii.gz")
    marks = marks_of_labels(placed)
    assert [mark.level for mark in marks] == ["L1", "L2", "L3", "L4", "L5"]  # T12 is cut by the edge
    middle = np.array([np.mean([mark.x_mm for mark in marks]), np.mean([mark.y_mm for mark in marks])])

    def centre(label: int) -> np.ndarray:
        index = np.argwhere(placed.values_ijk == label).mean(axis=0)
        return np.asarray((placed.to_lps_mm @ [*index, 1.0])[:3])

    assert centre(5)[0] < middle[0] - 30  # liver
    assert centre(1)[0] > middle[0] + 30  # spleen
    assert centre(52)[1] < middle[1]  # aorta
    steps = -np.diff([mark.z_mm for mark in marks])
    assert (steps > 25).all()
    assert (steps < 45).all()
    for mark in marks:
        assert all(15 < height < 36 for height in heights_of(mark))


def test_marks_lie_at_the_centres_others_published(real_data: Path) -> None:
    folder = real_data / "labels" / "verse004_mask_ctd"
    placed = read_nifti(folder / "sub-verse004_seg-vert_msk.nii.gz")
    marks = {mark.level: mark for mark in marks_of_labels(placed)}
    listed = json.loads((folder / "sub-verse004_seg-subreg_ctd.json").read_text())[1:]
    names = {k + 7: f"T{k}" for k in range(1, 13)} | {k + 19: f"L{k}" for k in range(1, 6)}
    assert len(listed) == len(marks) == 9
    for item in listed:
        centre = placed.to_lps_mm @ [item["X"], item["Y"], item["Z"], 1.0]
        mark = marks[names[item["label"]]]
        assert np.hypot(mark.y_mm - centre[1], mark.z_mm - centre[2]) < 8, mark.level
