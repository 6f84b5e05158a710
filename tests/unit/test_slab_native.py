"""Native sagittal series keep their own slices, around the spine's midline."""

from __future__ import annotations

import numpy as np
import pytest
import slab_anatomies as anatomies
from slab_cases import SAGITTAL, scan, trunk_hu

from tasks.native_slab import choose_slices
from tasks.plan import Orientation
from tasks.slab import Slab, SlabRejected, build_slab


def native(n_slices: int, spacing_mm: float, x: float = 0.0, orientation: Orientation = SAGITTAL) -> Slab:
    plan, source = scan(
        trunk_hu,
        orientation=orientation,
        n_slices=n_slices,
        spacing_mm=spacing_mm,
        shape=(120, 150) if orientation[1] else (150, 120),  # depth 300 mm, height 240 mm
        centre=(x, 0.0, 0.0),
        plane="sagittal",
    )
    return build_slab(plan, source)


def test_a_single_image_is_used_as_it_is() -> None:
    slab = native(1, 3.0)
    assert slab.slab_xzy_hu.shape[0] == slab.record.n_slices == 1
    assert slab.record.midline_method == "native"
    assert slab.record.lateral_extent_mm is None
    assert slab.record.middle_x_mm == pytest.approx(0.0, abs=1e-6)
    assert slab.record.spine_mm is not None
    assert slab.record.spine_mm > 150


def test_pixels_are_never_stretched() -> None:
    record, slab = native(1, 3.0).record, native(1, 3.0).slab_xzy_hu
    z = record.top_z_mm - np.arange(record.rows) * record.pixel_mm
    y = record.anterior_y_mm + np.arange(record.columns) * record.pixel_mm
    truth = trunk_hu(np.zeros((len(z), len(y))), y[None, :], z[:, None])
    inside = truth > 0
    assert np.sqrt(np.mean((slab[0][inside] - truth[inside]) ** 2)) < 20  # 2 mm pixels against the truth


@pytest.mark.parametrize(
    "orientation",
    [
        (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        (0.0, -1.0, 0.0, 0.0, 0.0, -1.0),
        (0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        (0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    ],
)
def test_T19_slices_are_upright_and_right_to_left_however_stored(orientation: Orientation) -> None:
    slab, upright = native(9, 4.0, orientation=orientation), native(9, 4.0)
    assert slab.slab_xzy_hu.shape == upright.slab_xzy_hu.shape
    assert np.abs(slab.slab_xzy_hu.astype(int) - upright.slab_xzy_hu).max() <= 1
    assert slab.record.top_z_mm == upright.record.top_z_mm


def test_the_spine_is_found_off_the_middle_of_the_series() -> None:
    slab = native(31, 4.0, x=25.0)
    assert abs(slab.record.middle_x_mm) <= 4
    assert slab.record.slice_spacing_mm == pytest.approx(4.0)
    assert slab.record.n_slices == 15  # ±28 mm


@pytest.mark.parametrize(
    ("x_mm", "midline", "spacing", "expected"),
    [
        (np.arange(-60, 61, 3.0), 0.0, 3.0, 21),  # as wide as an axial slab
        (np.arange(-4, 5, 4.0), 0.0, 4.0, 3),  # fewer than five exist
        (np.arange(0, 60, 3.0), 1.0, 3.0, 4),  # at the edge: those within 10 mm
        (np.array([7.0]), 0.0, 3.0, 1),
    ],
)
def test_slices_kept(x_mm: np.ndarray, midline: float, spacing: float, expected: int) -> None:
    kept = choose_slices(x_mm, midline, spacing, 30.0)
    assert len(kept) == expected
    assert list(kept) == sorted(kept)
    assert np.abs(x_mm - midline).argmin() in kept


def test_T33_a_knee_in_sagittal_slices() -> None:
    plan, source = scan(anatomies.knee, orientation=SAGITTAL, n_slices=7, shape=(120, 150), plane="sagittal")
    with pytest.raises(SlabRejected, match="no_spine"):
        build_slab(plan, source)


def test_T32_air_in_sagittal_slices() -> None:
    plan, source = scan(anatomies.air, orientation=SAGITTAL, n_slices=3, shape=(120, 150), plane="sagittal")
    with pytest.raises(SlabRejected, match="qc_hu_range"):
        build_slab(plan, source)
