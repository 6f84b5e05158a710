"""Streaks come from metal and arms only, motion changes its own slices only, everything is a function of the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phantom.anatomy import Anatomy, draw_patient
from phantom.picture.painting import Float, Grid
from phantom.picture.scene import paint_scene, scene_of
from phantom.scanner.acquisition import Acquisition
from phantom.scanner.artefacts import disturb, moved_rows
from phantom.slabs import render_slab
from phantom.vertebrae.hardware import MetalPart
from phantom.volume import render_volume

STILL = Acquisition(thickness_mm=3.0, spacing_mm=3.0, in_plane_mm=1.5)


@pytest.fixture(scope="module")
def patient() -> Anatomy:
    return replace(draw_patient(21, coverage="chest-abdomen-pelvis"), metal=())


def _grid(patient: Anatomy) -> Grid:
    top = patient.vertebra("T1").centre_xyz_mm[2] + 20
    z = (top - 3.0 * np.arange(180)).astype(np.float32)
    x, y = (np.linspace(-200, 200, 81, dtype=np.float32) + c for c in (0, 0))
    return Grid(x, z, y, 5.0, 3.0, 5.0)


def _changed(patient: Anatomy, scan: Acquisition) -> tuple[Grid, Float]:
    """What the artefacts of a scan add to the picture."""
    grid = _grid(patient)
    scene = scene_of(patient, scan)
    before = paint_scene(grid, scene)
    after = before.copy()
    disturb(after, grid, scene, scan)
    return grid, after - before


def test_no_streaks_without_metal_and_with_arms_up(patient: Anatomy) -> None:
    _, change = _changed(patient, replace(STILL, arm_streaks_hu=25.0, metal_streaks=1.0))
    assert not change.any()


def test_arms_beside_the_body_throw_streaks_where_they_lie(patient: Anatomy) -> None:
    grid, change = _changed(patient, replace(STILL, arms="down", arm_streaks_hu=25.0))
    beside = (grid.z_mm < patient.vertebra("T6").centre_xyz_mm[2]) & (grid.z_mm > -60)
    assert change[:, beside].std() == pytest.approx(25.0 * 0.95, rel=0.4)
    assert np.allclose(change[0], change[40], atol=0.01)
    one = _changed(patient, replace(STILL, arms="one down", arm_streaks_hu=25.0))[1]
    assert 0.3 < one[:, beside].std() / change[:, beside].std() < 0.7


def test_metal_throws_streaks_in_its_own_planes(patient: Anatomy) -> None:
    x, y, z = patient.vertebra("L2").centre_xyz_mm
    screw = MetalPart("screw", "L2", (x + 14, y + 30, z), (x + 8, y - 12, z + 2), 3.0)
    grid, change = _changed(replace(patient, metal=(screw,)), replace(STILL, metal_streaks=1.0))
    rows = np.flatnonzero(np.abs(change).max(axis=(0, 2)) > 0)
    assert len(rows)
    assert np.abs(grid.z_mm[rows] - (z + 1)).max() < 3.0 + 1.5 + 2.0
    near = np.hypot(grid.x_mm[:, None] - x - 11, grid.y_mm[None] - y - 9)
    strength = np.abs(change[:, rows]).mean(axis=1)
    assert strength[near < 30].mean() > 3 * strength[near > 120].mean() > 0
    middle = change[:, rows[len(rows) // 2]]
    assert middle[near < 60].min() < -60
    assert middle[near < 60].max() > 60


def test_hardened_beams_darken_between_shoulders_and_hips_only(patient: Anatomy) -> None:
    grid, change = _changed(patient, replace(STILL, hardening_hu=20.0))
    assert change.min() == pytest.approx(-20.0, abs=4)
    assert change.max() == 0
    rows = grid.z_mm[np.abs(change).max(axis=(0, 2)) > 1]
    shoulders = patient.vertebra("T1").centre_xyz_mm[2]
    assert np.all((rows > shoulders - 20) | (rows < -90))


def test_motion_doubles_its_own_slices_only(patient: Anatomy) -> None:
    scan = replace(STILL, motion_mm=4.0, motion_span_mm=30.0, motion_at=0.4)
    grid, change = _changed(patient, scan)
    rows = moved_rows(grid, scan)
    assert rows is not None
    assert 9 <= rows.stop - rows.start <= 12
    assert np.abs(change[:, rows]).max() > 100
    still = np.ones(len(grid.z_mm), bool)
    still[rows] = False
    assert not change[:, still].any()


def test_breathing_moves_the_front_and_leaves_the_spine(patient: Anatomy) -> None:
    scan = replace(STILL, breath_mm=10.0, breath_at=0.45)
    grid, change = _changed(patient, scan)
    rows = np.flatnonzero(np.abs(change).max(axis=(0, 2)) > 0)
    assert 0 < len(rows) <= 14
    for body in patient.thoracolumbar:
        _, y, z = body.centre_xyz_mm
        near = np.abs(grid.y_mm - y) < body.half_depth_mm + 3
        assert not change[:, np.abs(grid.z_mm - z) < 12][:, :, near].any()


def test_artefacts_of_slab_and_volume_lie_at_the_same_place(patient: Anatomy) -> None:
    scan = replace(STILL, arms="down", arm_streaks_hu=40.0)
    slabs = [
        render_slab(patient, acquisition=s, pixel_mm=1.5, half_width_mm=3).slab_xzy_hu[1].astype(float)
        for s in (scan, replace(scan, arm_streaks_hu=0.0))
    ]
    volumes = [
        render_volume(patient, columns=256, acquisition=s) for s in (scan, replace(scan, arm_streaks_hu=0.0))
    ]
    column = round(-volumes[0].origin_xyz_mm[0] / volumes[0].spacing_mm[2])
    streaks = (volumes[0].volume_zyx_hu[:, :, column] - volumes[1].volume_zyx_hu[:, :, column]).astype(float)
    slab = render_slab(patient, acquisition=scan, pixel_mm=1.5, half_width_mm=3)
    k = len(streaks) // 2
    row = round(3.0 * k / 1.5)
    y = volumes[0].origin_xyz_mm[1] + np.arange(256) * volumes[0].spacing_mm[1]
    twin = np.interp(slab.y_mm, y, streaks[k])
    inside = slice(30, 150)
    direct = (slabs[0] - slabs[1])[row]
    assert np.corrcoef(direct[inside], twin[inside])[0, 1] > 0.7


def test_the_same_arguments_give_the_same_picture(patient: Anatomy) -> None:
    scan = replace(STILL, arms="down", arm_streaks_hu=20.0, noise_hu=20.0, motion_mm=3.0, motion_span_mm=20.0)
    first, again = (render_slab(patient, acquisition=scan, pixel_mm=1.5, half_width_mm=6) for _ in range(2))
    assert np.array_equal(first.slab_xzy_hu, again.slab_xzy_hu)
