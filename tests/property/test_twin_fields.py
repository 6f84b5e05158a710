"""What holds for every deformation that makes a twin: nothing folds, heights are as asked for, shams keep theirs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twin_cases import BONE_HU, block_series, column

from phantom.from_real import draw_lowering
from phantom.real.ct_series import RealSeries
from phantom.real.twin_tissue import box_of, deform, fill_discs, head_slices_lost
from phantom.real.twins import (
    LEAST_DISC_SHARE,
    SPREAD_MM,
    Site,
    TwinField,
    fold,
    sham_field,
    site_of,
    twin_field,
)

Floats = npt.NDArray[np.floating]

SITES = st.builds(
    lambda height, disc, slope, depth, index: site_of(
        column(height_mm=height, disc_mm=disc, slope=slope, half_depth_mm=depth), index
    ),
    st.floats(14, 34),
    st.floats(2.5, 13),
    st.floats(-0.35, 0.35),
    st.floats(10, 20),
    st.integers(0, 3),
)
FIELDS = st.builds(
    lambda site, shape, loss, seed: twin_field(site, draw_lowering(np.random.default_rng(seed), shape, loss)),
    SITES,
    st.sampled_from(["wedge", "biconcave", "crush"]),
    st.floats(0, 0.6),
    st.integers(0, 2**31),
)
SPACINGS, SIGNS = st.floats(0.6, 5.0), st.sampled_from([-1.0, 1.0])


def around(site: Site) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z every 0.25 mm, and coarse x and y through and beside the body."""
    z = np.arange(site.mark.z_mm - 110, site.mark.z_mm + 110, 0.25)[::-1]
    return z, np.linspace(-60, 60, 13), np.linspace(site.mark.y_mm - 150, site.mark.y_mm + 80, 31)


@given(FIELDS)
@settings(max_examples=60, deadline=None)
def test_a_twin_never_folds(field: TwinField) -> None:
    z, x, y = around(field.site)
    source = z[:, None, None] + field.sunk_mm(z, x, y)
    assert (np.diff(source, axis=0) < 0).all()


@given(FIELDS, SPACINGS, SIGNS)
@settings(max_examples=60, deadline=None)
def test_a_sham_never_folds_and_hardly_moves(field: TwinField, spacing: float, sign: float) -> None:
    sham = sham_field(field, spacing, sign)
    z, x, y = around(field.site)
    sunk = sham.sunk_mm(z, x, y)
    assert (np.diff(z[:, None, None] + sunk, axis=0) < 0).all()
    assert np.abs(sunk).max() <= 1.0 * spacing + 1e-6


@given(FIELDS, SPACINGS, SIGNS)
@settings(max_examples=60, deadline=None)
def test_heights_are_what_was_asked_for(field: TwinField, spacing: float, sign: float) -> None:
    """Measured on the field itself: where the endplates of the real body come to lie."""
    before = np.array(field.heights_mm)
    lost = 1 - measured_heights(field) / before
    assert np.abs(lost - field.lowering.shares).max() < 0.01
    assert np.allclose(field.heights_after_mm, before * (1 - np.array(field.lowering.shares)), atol=1e-6)
    sham = sham_field(field, spacing, sign)
    assert np.abs(1 - measured_heights(sham) / before).max() < 0.01


def measured_heights(field: TwinField) -> Floats:
    y = field.site.rims_mm()
    _, lower, upper, _ = field.site.levels_mm(y)
    z = np.arange(field.site.mark.z_mm + 60, field.site.mark.z_mm - 60, -0.05)
    source = z[:, None] + field.sunk_mm(z, np.array([field.site.mark.x_mm]), y)[:, :, 0]
    tops, feet = ([np.interp(-at[k], -source[:, k], z) for k in range(3)] for at in (upper, lower))
    return np.asarray(np.array(tops) - np.array(feet))


@given(FIELDS)
@settings(max_examples=60, deadline=None)
def test_below_stays_and_all_above_sinks_alike(field: TwinField) -> None:
    site = field.site
    below, _, _, above = (float(v) for v in site.levels_mm(site.mark.y_mm))
    low = np.arange(below - SPREAD_MM - 60, below - SPREAD_MM, 2.0)
    high = np.arange(above + SPREAD_MM + 10, above + SPREAD_MM + 90, 2.0)
    _, x, y = around(site)
    assert np.abs(field.sunk_mm(low, x, y)).max() == 0
    sunk = field.sunk_mm(
        high, np.linspace(-20, 20, 5), np.linspace(site.mark.y_mm - 15, site.mark.y_mm + 60, 9)
    )
    assert np.allclose(sunk, field.sinking_mm)


@given(FIELDS)
@settings(max_examples=60, deadline=None)
def test_discs_are_never_closed(field: TwinField) -> None:
    site = field.site
    y = site.depths_mm()
    below, lower, upper, above = site.levels_mm(y)
    for x in (-site.mark.half_width_mm, 0.0, site.mark.half_width_mm):
        foot, top = field.endplates_after_mm(np.full(len(y), x), y)
        least = (LEAST_DISC_SHARE - 0.26) if x else LEAST_DISC_SHARE
        assert ((foot - below) >= least * (lower - below).min() - 1e-6).all()
        assert ((above - field.sinking_mm - top) >= least * (above - upper).min() - 1e-6).all()


@given(st.floats(0, 40), st.floats(0.6, 5.0))
def test_a_folded_distance_lies_as_far_from_a_slice(distance: float, period: float) -> None:
    folded = float(fold(np.array(distance), period))
    to_slice = [abs(d / period - round(d / period)) for d in (distance, folded)]
    assert abs(folded) <= 0.5 * period + 1e-9
    assert to_slice[0] == pytest.approx(to_slice[1], abs=1e-6)


@pytest.mark.parametrize("spacing_mm", [0.6, 1.0, 2.5, 5.0])
@given(st.sampled_from(["wedge", "biconcave", "crush"]), st.floats(0.05, 0.6), st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_loss_on_the_voxels(spacing_mm: float, shape: str, loss: float, seed: int) -> None:
    """A body as a block, deformed as voxels are: its height at the three places, before and after, in a reformat."""
    marks = column()
    field = twin_field(site_of(marks, 2), draw_lowering(np.random.default_rng(seed), shape, loss))
    series = block_series(marks, spacing_mm=spacing_mm, only=2)
    before = voxel_heights(series.volume_zyx_hu, field, spacing_mm)
    most = 0.03 if spacing_mm < 4 else 0.06  # 0.06 of this body is under a third of a slice of 5 mm
    sham = sham_field(field, spacing_mm)
    for each, expected in ((field, field.lowering.shares), (sham, (0.0, 0.0, 0.0))):
        after = voxel_heights(deformed(series, each), field, spacing_mm)
        assert np.abs(1 - after / before - expected).max() < most


def deformed(series: RealSeries, field: TwinField) -> np.ndarray:
    """As a twin is made, but with discs of 0 HU and without noise."""
    first = head_slices_lost(series, field)
    moved = deform(series, field, first)
    box = box_of(series, field, first)
    fill_discs(moved, box, field, 0.0, np.zeros(moved[box.part].shape, np.float32))
    return moved


def voxel_heights(volume: np.ndarray, field: TwinField, spacing_mm: float) -> Floats:
    """Heights as the amount of bone in a column, which blur leaves alone."""
    y = field.site.rims_mm()
    rows = (y + 80.0) / 2.0
    low = np.floor(rows).astype(int)
    column_at = volume[:, :, 25].astype(float).sum(axis=0) * spacing_mm / BONE_HU
    return np.asarray(column_at[low] + (rows - low) * (column_at[low + 1] - column_at[low]))
