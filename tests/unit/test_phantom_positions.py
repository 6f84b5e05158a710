"""However a volume was acquired and stored, its files put the same HU at the same place in the patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.ndimage import map_coordinates

from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.files.company import write_enhanced
from phantom.scanner.acquisition import Acquisition
from phantom.scanner.positions import POSITIONS, store
from phantom.volume import PhantomVolume, render_volume


@pytest.fixture(scope="module")
def volume() -> PhantomVolume:
    scan = Acquisition(thickness_mm=4.0, spacing_mm=4.0)
    return render_volume(draw_patient(11), columns=96, coverage="chest", acquisition=scan)


def _from_volume(volume: PhantomVolume, points: np.ndarray) -> np.ndarray:
    dz, dy, dx = volume.spacing_mm
    x, y, z = volume.origin_xyz_mm
    index = [(z - points[:, 2]) / dz, (points[:, 1] - y) / dy, (points[:, 0] - x) / dx]
    return np.asarray(
        map_coordinates(volume.volume_zyx_hu.astype(np.float32), index, order=1, mode="nearest")
    )


def _places(ds: pydicom.Dataset, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    row, column = (np.array([float(v) for v in ds.ImageOrientationPatient[k : k + 3]]) for k in (0, 3))
    dy, dx = (float(v) for v in ds.PixelSpacing)
    origin = np.array([float(v) for v in ds.ImagePositionPatient])
    return np.asarray(origin + columns[:, None] * dx * row + rows[:, None] * dy * column)


@pytest.mark.parametrize(
    ("position", "tolerance_hu"), [(name, 40 if "tilt" in name else 0) for name in POSITIONS]
)
def test_T19_every_position_shows_the_same_anatomy(
    tmp_path: Path, volume: PhantomVolume, position: str, tolerance_hu: float
) -> None:
    stored = store(volume, position)
    paths = write_ct_series(
        tmp_path,
        stored.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        orientation=stored.orientation,
        step_xyz_mm=stored.step_xyz_mm,
        is_signed=True,
        intercept=0.0,
    )
    rng = np.random.default_rng(0)
    for path in paths[20:60:13]:
        ds = pydicom.dcmread(path)
        rows, columns = rng.integers(20, 76, 400), rng.integers(20, 76, 400)
        expected = _from_volume(volume, _places(ds, rows, columns))
        difference = np.abs(ds.pixel_array[rows, columns] - expected)
        assert np.quantile(difference, 0.9) <= tolerance_hu + 0.01


def test_T23_enhanced_object_holds_the_same_frames(tmp_path: Path, volume: PhantomVolume) -> None:
    stored = store(volume, "HFS")
    path = write_enhanced(
        tmp_path / "one",
        stored.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        step_xyz_mm=stored.step_xyz_mm,
        tags={},
        seed="e",
    )
    ds = pydicom.dcmread(path)
    assert np.array_equal(ds.pixel_array, volume.volume_zyx_hu)
    places = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in ds.PerFrameFunctionalGroupsSequence]
    assert float(places[1]) - float(places[0]) == pytest.approx(-4.0)
    assert "RescaleSlope" not in ds


@pytest.mark.parametrize("tilt_deg", [-20.0, -4.0, 13.5, 20.0])
def test_T18_any_gantry_tilt_shows_the_same_anatomy(volume: PhantomVolume, tilt_deg: float) -> None:
    tilted = replace(volume, acquisition=replace(volume.acquisition, gantry_tilt_deg=tilt_deg))
    stored = store(tilted, "HFS-tilt")
    assert stored.tilt_deg == tilt_deg
    row, column = np.array(stored.orientation[:3]), np.array(stored.orientation[3:])
    leaning = np.degrees(np.arcsin(np.cross(row, column)[1]))
    assert abs(leaning) == pytest.approx(abs(tilt_deg))
    rng = np.random.default_rng(1)
    k = len(stored.volume_zyx_hu) // 2
    rows, columns = rng.integers(30, 66, 400), rng.integers(20, 76, 400)
    _, dy, dx = volume.spacing_mm
    places = np.array(stored.origin_xyz_mm) + k * np.array(stored.step_xyz_mm)
    places = places + columns[:, None] * dx * row + rows[:, None] * dy * column
    difference = np.abs(stored.volume_zyx_hu[k][rows, columns] - _from_volume(volume, places))
    assert np.quantile(difference, 0.9) < 40


def test_an_unknown_position_is_refused(volume: PhantomVolume) -> None:
    with pytest.raises(ValueError, match="HFS"):
        store(volume, "SITTING")
