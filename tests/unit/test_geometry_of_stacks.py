"""Measuring stacks: normal, plane, tilt, gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from instances import AXIAL, CORONAL, SAGITTAL

from tasks.geometry import angle_deg, find_gaps, measure, normal_of, plane_of, tilt_of, unit_orientation
from tasks.plan import Orientation


def tilted(degrees: float) -> Orientation:
    """An axial slice turned about the x axis."""
    return (1.0, 0.0, 0.0, 0.0, math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


def up(n: int, spacing_mm: float = 3.0) -> np.ndarray:
    return np.array([(0.0, 0.0, spacing_mm * i) for i in range(n)])


@pytest.mark.parametrize(
    ("orientation", "plane", "normal"),
    [(AXIAL, "axial", (0, 0, 1)), (SAGITTAL, "sagittal", (-1, 0, 0)), (CORONAL, "coronal", (0, 1, 0))],
)
def test_plane_follows_the_normal(orientation: Orientation, plane: str, normal: tuple[int, ...]) -> None:
    assert normal_of(orientation) == pytest.approx(normal)
    assert plane_of(normal_of(orientation)) == (plane, 0.0)


def test_plane_is_oblique_beyond_the_limit() -> None:
    assert plane_of(normal_of(tilted(30.0)))[0] == "axial"
    assert plane_of(normal_of(tilted(35.0)))[0] == "oblique"
    assert plane_of(normal_of(tilted(35.0)))[1] == pytest.approx(35.0)


@pytest.mark.parametrize(
    "orientation",
    [None, (0.0,) * 6, (1.0, 0, 0, 1.0, 0, 0), (math.nan, 0, 0, 0, 1.0, 0), (2.0, 0, 0, 0, 1.0, 0)],
)
def test_impossible_orientation_is_none(orientation: Orientation | None) -> None:
    assert unit_orientation(orientation) is None


def test_orientation_is_brought_to_unit_length() -> None:
    unit = unit_orientation((1.0, 0.0, 0.0, 0.0, 0.9588197, 0.2840153))
    assert unit is not None
    assert math.hypot(*unit[3:]) == pytest.approx(1.0, abs=1e-12)


def test_angle_is_exact_for_small_angles() -> None:
    assert angle_deg((1, 0, 0), (math.cos(1e-6), math.sin(1e-6), 0)) == pytest.approx(math.degrees(1e-6))
    assert angle_deg((1, 0, 0), (-1, 0, 0)) == pytest.approx(180.0)


@pytest.mark.parametrize("degrees", [-25.0, -16.5, 0.0, 5.0, 30.0])
def test_T18_tilt_is_read_from_positions(degrees: float) -> None:
    """A tilted gantry: the table moves along z, the slices lean."""
    normal = np.asarray(normal_of(tilted(degrees)))
    tilt_deg, off_line_mm = tilt_of(up(20), tuple(normal))
    assert tilt_deg == pytest.approx(abs(degrees), abs=1e-6)
    assert off_line_mm == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2])
def test_T18_tilt_of_fewer_than_three_slices(n: int) -> None:
    tilt_deg, _ = tilt_of(up(n), normal_of(tilted(10.0)))
    assert tilt_deg == pytest.approx(0.0 if n == 1 else 10.0)


def test_oblique_reformat_has_no_tilt() -> None:
    """Positions along the normal: the stack leans, but it is not sheared."""
    normal = np.asarray(normal_of(tilted(20.0)))
    geometry = measure(np.outer(np.arange(10) * 3.0, normal), tilted(20.0), None)
    assert geometry.tilt_deg == pytest.approx(0.0, abs=1e-5)
    assert geometry.obliquity_deg == pytest.approx(20.0)
    assert geometry.spacing_mm == pytest.approx(3.0)


def test_moved_field_of_view_leaves_the_line() -> None:
    positions = up(10)
    positions[4:6, 0] += 7.0
    assert tilt_of(positions, (0.0, 0.0, 1.0))[1] == pytest.approx(7.0)


def test_T13_gap_with_count_and_range() -> None:
    along = np.array([0.0, 3, 6, 15, 18, 21])
    (gap,) = find_gaps(along, 3.0)
    assert (gap.gap_mm, gap.n_missing, gap.from_mm, gap.to_mm) == (9.0, 2, 6.0, 15.0)


def test_repeats_are_counted_and_do_not_disturb_the_spacing() -> None:
    positions = np.repeat(up(5), 2, axis=0)
    geometry = measure(positions, AXIAL, None)
    assert geometry.n_repeated == 5
    assert geometry.spacing_mm == pytest.approx(3.0)


def test_craniocaudal_extent_of_axial_and_sagittal() -> None:
    assert measure(up(11), AXIAL, (400.0, 400.0)).craniocaudal_mm == pytest.approx(30.0)
    one = np.array([(0.0, -200.0, 250.0)])
    assert measure(one, SAGITTAL, (300.0, 540.0)).craniocaudal_mm == pytest.approx(540.0)
    assert measure(one, SAGITTAL, (300.0, 540.0)).spacing_mm is None
