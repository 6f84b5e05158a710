"""The slab rendered directly is the slab that its axial volume gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from phantom.anatomy import draw_patient
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import render_slab
from phantom.volume import PhantomVolume, average_slices, render_volume

MAX_RMS_HU = 40.0  # texture and edges at two samplings; half of all pixels differ by under 10 HU
THIN = Acquisition(thickness_mm=1.5, spacing_mm=1.5)


def _resample(volume: PhantomVolume, x: float, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    dz, dy, dx = volume.spacing_mm
    x0, y0, z0 = volume.origin_xyz_mm
    rows, columns = np.meshgrid((z0 - z) / dz, (y - y0) / dy, indexing="ij")
    total = np.zeros(rows.shape)
    for shift in (-1.0, 0.0, 1.0):  # the mean over a slice 3 mm wide
        at = np.full(rows.shape, (x + shift - x0) / dx)
        total += map_coordinates(volume.volume_zyx_hu.astype(np.float32), [rows, columns, at], order=1)
    return total / 3


@pytest.mark.parametrize(("seed", "coverage"), [(3, "chest"), (8, "abdomen-pelvis")])
def test_slab_agrees_with_the_volume(seed: int, coverage: str) -> None:
    patient = replace(draw_patient(seed), metal=())  # edges of 3000 HU at two samplings differ by more
    volume = render_volume(patient, columns=384, coverage=coverage, acquisition=THIN)
    slab = render_slab(patient, coverage=coverage, acquisition=THIN, pixel_mm=1.2)
    for k in (6, 10, 14):
        direct = slab.slab_xzy_hu[k].astype(float)
        twin = _resample(volume, float(slab.x_mm[k]), slab.z_mm[:-3], slab.y_mm)
        direct = direct[: len(twin)]
        inside = (direct > -200) & (slab.y_mm < max(patient.body.back_y_mm))[None, :]
        difference = (direct - twin)[inside]
        assert np.sqrt(np.mean(difference**2)) < MAX_RMS_HU
        assert abs(np.median(difference)) < 1.0
        assert abs(np.mean(difference)) < 4.0


def test_thick_slices_are_means_of_thin_ones() -> None:
    thin = render_volume(draw_patient(1), columns=64, acquisition=THIN)
    thick = average_slices(thin, 4)
    assert thick.spacing_mm[0] == pytest.approx(6.0)
    assert thick.origin_xyz_mm[2] == pytest.approx(thin.origin_xyz_mm[2] - 2.25)
    assert np.abs(thick.volume_zyx_hu[2] - thin.volume_zyx_hu[8:12].mean(axis=0)).max() <= 0.5


def test_the_same_seed_gives_the_same_volume() -> None:
    patient = draw_patient(2)
    first, again = (render_volume(patient, columns=48, seed=4) for _ in range(2))
    assert np.array_equal(first.volume_zyx_hu, again.volume_zyx_hu)
