"""The body around the spine: ribs without gaps, arms where the scan has them, lungs, table, organs in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import label

from phantom.anatomy import Anatomy, draw_patient
from phantom.picture.painting import Grid
from phantom.picture.rods import Rod, bundle, paint_bundle
from phantom.picture.scene import paint_scene, scene_of
from phantom.protocol import draw_training_patient
from phantom.scanner.acquisition import CLEAN, Acquisition
from phantom.slabs import render_slab
from phantom.torso.body import VISCERAL_FAT_HU
from phantom.torso.limbs import limb_rods
from phantom.torso.thorax import chest_rods
from phantom.volume import render_volume

THICK = Acquisition(thickness_mm=5.0, spacing_mm=5.0, field_of_view_mm=500.0)


def _grid(low: tuple[float, float, float], high: tuple[float, float, float], step: float) -> Grid:
    x, y, z = (np.arange(a, b, step, dtype=np.float32) for a, b in zip(low, high, strict=True))
    return Grid(x, z[::-1].copy(), y, step, step, step)


def test_ribs_are_continuous() -> None:
    patient = draw_patient(12)
    ribs = [r for r in chest_rods(patient) if r.core_hu is not None]
    grid = _grid((-190.0, -260.0, 80.0), (190.0, 120.0, 520.0), 2.0)
    for one in (ribs[8], ribs[13]):
        canvas = np.full(grid.shape, -100.0, np.float32)
        paint_bundle(canvas, grid, bundle([one]))
        _, pieces = label(canvas > 0)
        assert pieces == 1


def test_a_chain_of_rods_has_no_walls_inside() -> None:
    line = np.stack([np.linspace(-30, 30, 13), np.zeros(13), np.zeros(13)], axis=1)
    grid = _grid((-40.0, -10.0, -10.0), (40.0, 10.0, 10.0), 1.0)
    canvas = np.zeros(grid.shape, np.float32)
    paint_bundle(canvas, grid, bundle([Rod(line, 6.0, 500.0, 100.0, shell_mm=1.5)]))
    middle = canvas[14:66, 9:11, 9:11]
    assert np.abs(middle - 100.0).max() < 5


@pytest.mark.parametrize(("arms", "sides"), [("up", 0), ("one down", 1), ("down", 2)])
def test_arms_lie_where_the_scan_has_them(arms: str, sides: int) -> None:
    patient = draw_patient(12, coverage="chest")
    volume = render_volume(patient, columns=160, acquisition=replace(THICK, arms=arms), coverage="chest")
    level = patient.vertebra("T9").centre_xyz_mm[2]
    plane = volume.volume_zyx_hu[round((volume.origin_xyz_mm[2] - level) / 5.0)]
    x = volume.origin_xyz_mm[0] + np.arange(160) * volume.spacing_mm[2]
    width = float(np.interp(level, patient.body.z_mm, patient.body.half_width_mm))
    beside = [(plane[:, x > width + 8] > 300).any(), (plane[:, x < -width - 8] > 300).any()]
    assert sum(beside) == sides


def test_leaving_limbs_out_of_a_narrow_slab_changes_nothing() -> None:
    patient = draw_patient(12)
    for scan in (CLEAN, Acquisition(arms="down", yaw_deg=12.0, lean_deg=-3.0, nod_deg=3.0)):
        grid = _grid((-12.0, -200.0, -160.0), (13.0, 150.0, 480.0), 4.0)
        whole, part = (paint_scene(grid, scene_of(patient, scan, reach)) for reach in (np.inf, 15.0))
        assert np.array_equal(whole, part)
    assert len(limb_rods(patient, "up", 15.0)) < len(limb_rods(patient, "up"))


def _lungs(patient: Anatomy) -> npt.NDArray[np.int16]:
    volume = render_volume(patient, columns=128, coverage="chest", acquisition=THICK)
    return volume.volume_zyx_hu


def test_fluid_lies_behind_the_lung() -> None:
    dry = draw_patient(12, coverage="chest")
    dry = replace(dry, body=replace(dry.body, fluid_mm=(0.0, 0.0), collapse_mm=(0.0, 0.0)))
    wet = replace(dry, body=replace(dry.body, fluid_mm=(30.0, 0.0), collapse_mm=(10.0, 0.0)))
    change = _lungs(wet).astype(float) - _lungs(dry)
    filled = np.argwhere(change > 500)
    assert len(filled) > 300
    assert (filled[:, 2] >= 64).all()  # the left side, in the right half of the picture
    airy = np.argwhere(_lungs(dry)[filled[:, 0].min() : filled[:, 0].max()] < -700)
    inside = airy[(np.abs(airy[:, 2] - 80) < 10) & (np.abs(airy[:, 1] - 64) < 40)]
    assert filled[:, 1].mean() > inside[:, 1].mean() + 5


def test_women_have_breasts_and_the_field_holds_them() -> None:
    heights: dict[str, list[float]] = {"F": [], "M": []}
    for seed in range(40):
        patient = draw_patient(seed)
        heights[patient.sex].append(patient.body.breast_mm)
        assert patient.body.front_limit_mm <= min(patient.body.front_y_mm)
    assert np.median(heights["F"]) > 5 * np.median(heights["M"])


def test_the_mediastinum_is_narrower_behind_the_sternum_than_in_its_middle() -> None:
    patient = draw_patient(12)
    z = np.float32(patient.vertebra("T5").centre_xyz_mm[2])
    x, y = np.arange(-60, 61, dtype=np.float32), np.arange(-250, 100, 2, dtype=np.float32)
    bare = replace(patient, blobs=(), tubes=())
    plane = paint_scene(Grid(x, np.array([z, z - 5]), y, 1.0, 5.0, 2.0), scene_of(bare))[:, 0]
    widths = (np.abs(plane - patient.tissues.mediastinum) < 1).sum(axis=0)
    used = np.flatnonzero(widths)
    assert widths[used[2:5]].mean() < 0.7 * widths.max()
    assert len(np.unique(widths[used])) > 8


def test_organs_stay_inside_the_wall() -> None:
    patient = draw_patient(10)
    assert abs(patient.tissues.fat - VISCERAL_FAT_HU) > 0.2
    liver = [b for b in patient.blobs if b.over is not None and b.radii_xyz_mm[0] > 90]
    assert liver
    low, high = liver[0].over or (0.0, 0.0)
    assert low < VISCERAL_FAT_HU < high
    assert not low < patient.tissues.fat < high


def test_tables_differ_and_lie_under_the_patient() -> None:
    places = set()
    for seed in range(12):
        patient = draw_patient(seed, coverage="chest")
        table = scene_of(patient).table
        assert table is not None
        assert table.top_y_mm > max(patient.body.back_y_mm) - 1
        places.add((table.curve_per_mm > 0, table.mattress_mm > 0))
    assert len(places) >= 3


def test_contrast_brightens_more_than_bone_at_a_low_voltage() -> None:
    seed = next(s for s in range(50) if draw_patient(s).has_contrast)
    patient = draw_patient(seed, coverage="chest-abdomen-pelvis")
    high, low = (
        render_slab(patient, acquisition=replace(THICK, kvp=kvp), half_width_mm=24, pixel_mm=1.5)
        for kvp in (120, 80)
    )
    aorta = next(t for t in reversed(patient.tubes) if t.has_iodine)
    z = patient.vertebra("T10").centre_xyz_mm[2]
    x, y = (float(np.interp(z, aorta.z_mm, v)) for v in (aorta.x_mm, aorta.y_mm))
    at = (
        int(np.argmin(np.abs(high.x_mm - x))),
        int(np.argmin(np.abs(high.z_mm - z))),
        int(np.argmin(np.abs(high.y_mm - y))),
    )
    assert low.slab_xzy_hu[at] > high.slab_xzy_hu[at] * 1.25


def test_a_chest_bent_double_has_lungs_of_no_height_and_not_less() -> None:
    """One patient in some thousand, of a long training, whom nobody could draw."""
    patient = draw_training_patient(91_003_447, has_fracture=True, family="thick-slices")
    assert patient.body.dome_z_mm == patient.body.apex_z_mm
