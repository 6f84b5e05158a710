"""Weights that resample: boxes, uneven lines, edges."""

from __future__ import annotations

import numpy as np
import pytest
from slab_cases import SUPINE, scan

from tasks import volume


def test_box_weights_are_shares_of_overlap() -> None:
    weights = volume.box_weights(np.array([0.0, 1.0, 2.0, 3.0]), 1.0, np.array([1.5]), 2.0)
    assert np.allclose(weights, [[0, 0.5, 0.5, 0]])
    assert volume.box_weights(np.arange(10.0), 1.0, np.array([4.2]), 3.0).sum() == pytest.approx(1)
    assert volume.box_weights(np.arange(10.0), 1.0, np.array([0.0]), 3.0).sum() == pytest.approx(2 / 3)


def test_lines_are_interpolated_along_true_positions() -> None:
    source = np.array([0.0, 1.0, 1.5, 4.0, 6.0])
    target = np.array([0.0, 0.5, 1.25, 3.0, 5.9])
    weights = volume.line_weights(source, target, 0.8)
    assert np.allclose(weights @ (3 * source + 2), 3 * target + 2)


def test_the_order_of_the_samples_does_not_matter() -> None:
    source, target = np.array([0.0, 1.0, 2.5, 4.0]), np.linspace(0, 4, 9)
    values = np.array([1.0, 5.0, -2.0, 3.0])
    order = np.array([2, 0, 3, 1])
    straight = volume.line_weights(source, target, 0.8) @ values
    assert np.allclose(volume.line_weights(source[order], target, 0.8) @ values[order], straight)


def test_fine_samples_are_averaged_not_picked() -> None:
    source = np.arange(0, 20, 0.2)
    alternating = np.where(np.arange(len(source)) % 2, 100.0, -100.0)
    weights = volume.line_weights(source, np.arange(2, 18, 0.8), 0.8)
    assert np.abs(weights @ alternating).max() < 5
    assert np.allclose(weights @ source, np.arange(2, 18, 0.8), atol=0.02)


def test_what_is_not_covered_is_air() -> None:
    weights = volume.line_weights(np.array([0.0, 2.0, 4.0]), np.array([-3.0, -1.0, 4.9, 5.1]), 0.8)
    values = volume.resample(weights, np.full((3, 2), 50.0, np.float32))
    assert np.allclose(values[:, 0], [-1024, 50, 50, -1024])
    single = volume.resample(
        volume.line_weights(np.array([3.0]), np.array([2.8, 5.0]), 0.8), np.ones((1, 1), np.float32)
    )
    assert np.allclose(single[:, 0], [1, -1024])


def test_grids_of_two_scans_share_their_points() -> None:
    a, b = volume.grid_mm(-10.03, 50.4, 0.8), volume.grid_mm(-7.3, 61.0, 0.8)
    assert np.allclose((a[0] - b[0]) / 0.8, round((a[0] - b[0]) / 0.8))
    assert a[0] >= -10.03 - 1e-3
    assert a[-1] <= 50.4 + 1e-3


def test_pixel_axes_are_sorted_by_the_patient() -> None:
    plan, _ = scan(n_slices=2, shape=(8, 10))
    axes = volume.plane_axes(plan, across=0)
    assert not axes.is_transposed
    assert (axes.n_u, axes.n_v) == (10, 8)
    turned, _ = scan(n_slices=2, shape=(8, 10), orientation=(0.0, -1.0, 0.0, 1.0, 0.0, 0.0))
    axes = volume.plane_axes(turned, across=0)
    assert axes.is_transposed
    assert (axes.n_u, axes.n_v) == (8, 10)
    assert volume.is_separable(axes)
    assert plan.orientation == SUPINE
