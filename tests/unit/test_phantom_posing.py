"""A patient who lies turned, nodding, leaning or off the centre is the same patient, in slab and volume alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from phantom.anatomy import draw_patient
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import render_slab
from phantom.torso.posing import posed, turn_of
from phantom.volume import PhantomVolume, field_mm, render_volume

STRAIGHT = Acquisition(thickness_mm=2.0, spacing_mm=2.0, in_plane_mm=1.2)
TURNED = replace(STRAIGHT, yaw_deg=11.0, nod_deg=-2.5, lean_deg=2.0, x_shift_mm=20.0, y_shift_mm=-15.0)


def _at(volume: PhantomVolume, points: np.ndarray) -> np.ndarray:
    dz, dy, dx = volume.spacing_mm
    x, y, z = volume.origin_xyz_mm
    index = [(z - points[:, 2]) / dz, (points[:, 1] - y) / dy, (points[:, 0] - x) / dx]
    return np.asarray(map_coordinates(volume.volume_zyx_hu.astype(np.float32), index, order=1))


def test_a_turned_body_keeps_its_own_form() -> None:
    patient = draw_patient(5)
    turn, laid = turn_of(patient, TURNED), posed(patient, TURNED)
    for before, after in zip(patient.vertebrae, laid.vertebrae, strict=True):
        assert after.heights_mm == before.heights_mm
        own = np.array([(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (0.0, -8.0, 3.0), (5.0, 12.0, -9.0)])
        expected = turn.points([before.to_patient(*point) for point in own])
        assert np.allclose([after.to_patient(*point) for point in own], expected, atol=1e-9)


@pytest.mark.parametrize("scan", [replace(STRAIGHT, yaw_deg=-12.0), TURNED], ids=["yaw", "all"])
def test_the_same_place_of_the_patient_has_the_same_hu_however_he_lies(scan: Acquisition) -> None:
    patient = replace(draw_patient(8, coverage="chest"), texture_hu=0.0, metal=())
    straight, turned = (
        render_volume(patient, columns=256, acquisition=a, coverage="chest") for a in (STRAIGHT, scan)
    )
    turn = turn_of(patient, scan)
    rng = np.random.default_rng(0)
    for level in ("T4", "T8", "T11"):
        body = patient.vertebra(level)
        inside = rng.uniform(-0.6, 0.6, (150, 3)) * (body.half_width_mm, body.half_depth_mm, 6.0)
        points = np.array([body.to_patient(*point) for point in inside.tolist()])
        before, after = _at(straight, points), _at(turned, turn.points(points))
        assert abs(np.median(before) - np.median(after)) < 2
        around = rng.uniform((-90, -60, -10), (90, 40, 10), (400, 3)) + body.centre_xyz_mm
        before, after = _at(straight, around), _at(turned, turn.points(around))
        assert np.mean(np.abs(before - after) < 60) > 0.7


@pytest.mark.parametrize("seed", [3, 14])
def test_slab_and_volume_of_a_turned_patient_agree(seed: int) -> None:
    patient = draw_patient(seed, coverage="chest")
    volume = render_volume(patient, columns=384, acquisition=TURNED)
    slab = render_slab(patient, acquisition=TURNED, pixel_mm=1.2, half_width_mm=12)
    for k in (1, 4, 7):
        rows, columns = np.meshgrid(slab.z_mm[:-3], slab.y_mm, indexing="ij")
        total = np.zeros(rows.size)
        for aside in (-1.0, 0.0, 1.0):
            x = np.full(rows.size, slab.x_mm[k] + aside)
            total += _at(volume, np.stack([x, columns.ravel(), rows.ravel()], axis=1)) / 3
        direct = slab.slab_xzy_hu[k, : len(rows)].astype(float)
        inside = (direct > -200) & (slab.y_mm < max(patient.body.back_y_mm))[None, :]
        difference = (direct - total.reshape(rows.shape))[inside]
        assert abs(np.median(difference)) < 1.5
        assert np.mean(np.abs(difference) < 40) > 0.85


def test_truth_follows_the_turned_body() -> None:
    patient = draw_patient(8, coverage="chest")
    slab = render_slab(patient, acquisition=TURNED, half_width_mm=30)
    laid = posed(patient, TURNED)
    for truth, body in zip(slab.vertebrae, laid.thoracolumbar, strict=True):
        if truth.is_visible:
            k = int(np.argmin(np.abs(slab.x_mm - body.centre_xyz_mm[0])))
            row = int(np.argmin(np.abs(slab.z_mm - body.centre_xyz_mm[2])))
            column = int(np.argmin(np.abs(slab.y_mm - body.centre_xyz_mm[1])))
            assert slab.vertebra_label_xzy[k, row, column] == truth.label


def test_a_patient_off_the_centre_stays_inside_the_field_of_view() -> None:
    patient = draw_patient(8, coverage="chest")
    middle, aside = (
        render_volume(patient, columns=128, acquisition=a, coverage="chest")
        for a in (
            replace(STRAIGHT, field_of_view_mm=480.0),
            replace(TURNED, field_of_view_mm=480.0, yaw_deg=0.0),
        )
    )
    assert aside.origin_xyz_mm[0] - middle.origin_xyz_mm[0] == pytest.approx(20.0)
    body = aside.volume_zyx_hu[40:60, :60] > -300
    assert not body[:, :, :2].any()
    assert not body[:, :, -2:].any()


def test_a_small_field_cuts_the_skin_and_holds_the_spine() -> None:
    patient = draw_patient(9, coverage="abdomen-pelvis")
    scan = replace(STRAIGHT, is_small_field=True, field_of_view_mm=250.0)
    assert field_mm(patient, scan) == 250.0
    volume = render_volume(patient, columns=128, acquisition=scan)
    x0, y0, _ = volume.origin_xyz_mm
    for body in patient.thoracolumbar[10:]:
        x, y, _ = body.centre_xyz_mm
        assert x0 + 40 < x < x0 + 210
        assert y0 + 30 < y < y0 + 250 - 45
    assert (volume.volume_zyx_hu[:, 64, 0] > -300).mean() > 0.5


def test_a_prone_patient_has_the_table_in_front_and_a_lateral_one_none() -> None:
    patient = draw_patient(9, coverage="chest")
    behind, before, neither = (
        render_volume(patient, columns=96, acquisition=replace(STRAIGHT, lying=lying)).volume_zyx_hu[40]
        for lying in ("supine", "prone", "left")
    )
    middle = slice(44, 52)
    assert (behind[-30:, middle] > -1000).any()
    changed = np.flatnonzero((before != neither).any(axis=1))
    assert len(changed)
    assert changed.max() < np.flatnonzero((neither > -200).any(axis=1)).min() + 8
