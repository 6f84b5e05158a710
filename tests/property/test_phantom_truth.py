"""The truth of a phantom agrees with its pixels: heights measured on the bare slab, grades with losses."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from phantom.anatomy import Anatomy, draw_patient
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import PhantomSlab, render_slab
from phantom.vertebrae.fractures import grade_of
from phantom.vertebrae.spine import RIM, Vertebra

MAX_LOSS_ERROR = 0.03
STEP_MM = 0.1
VALLEY_STEPS = 60
NEAR_MM = 1.0  # an endplate's peak lies inside it, half a shell from its outer side
SLAB_HALF_MM, LEANING_MM = 12.0, 4.0  # a leaning body near the slab's side has its endplates outside
NOISE_FREE = Acquisition(thickness_mm=0.5, spacing_mm=0.5, in_plane_mm=0.5)


def _profile(slab: PhantomSlab, body: Vertebra, v_mm: float, w_mm: np.ndarray) -> np.ndarray:
    """HU along the body's axis, taken through the slab's pixels."""
    points = np.array([body.to_patient(0.0, v_mm, float(w)) for w in w_mm])
    x = (points[:, 0] - slab.x_mm[0]) / slab.slice_spacing_mm
    rows = (slab.z_mm[0] - points[:, 2]) / slab.pixel_mm
    columns = (points[:, 1] - slab.y_mm[0]) / slab.pixel_mm
    return map_coordinates(slab.slab_xzy_hu.astype(np.float32), [x, rows, columns], order=1)


def _edge(profile: np.ndarray, w_mm: np.ndarray, expected_mm: float, outward: int) -> float:
    """Where an endplate's outer flank falls to half way between its peak and the valley behind it."""
    near = np.flatnonzero(np.abs(w_mm - expected_mm) < NEAR_MM)
    peak = near[np.argmax(profile[near])]
    behind = profile[peak : peak + outward * VALLEY_STEPS : outward]
    valley = _first_valley(behind)
    half = 0.5 * (profile[peak] + behind[valley])
    k = int(np.flatnonzero(behind[: valley + 1] <= half)[0])
    a, b = behind[k - 1], behind[k]
    return float(w_mm[peak + outward * (k - 1)] + outward * STEP_MM * (a - half) / (a - b))


def _first_valley(values: np.ndarray) -> int:
    """The lowest place before the values rise again by a tenth of their fall: the disc, or its thinnest gap."""
    lowest = np.minimum.accumulate(values)
    fall = values[0] - lowest
    rises = np.flatnonzero((values - lowest > 0.1 * fall) & (fall > 30))
    stop = int(rises[0]) if len(rises) else len(values)
    return int(np.argmin(values[:stop]))


def _loss_errors(patient: Anatomy, slab: PhantomSlab) -> list[float]:
    """Measured less true height over intact height at the three places of every body shown whole."""
    errors = []
    w = np.arange(-28, 28, STEP_MM)
    for truth, body in zip(slab.vertebrae, patient.thoracolumbar, strict=True):
        if not truth.is_visible or abs(body.centre_xyz_mm[0]) > SLAB_HALF_MM - LEANING_MM:
            continue
        for k, v in enumerate((-RIM * body.half_depth_mm, 0.0, RIM * body.half_depth_mm)):
            profile = _profile(slab, body, v, w)
            top = _edge(profile, w, body.upper_mm[k], 1)
            bottom = _edge(profile, w, body.lower_mm[k], -1)
            errors.append((top - bottom - body.heights_mm[k]) / body.intact_mm[k])
    return errors


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize=True,
)
@given(seed=st.integers(0, 10**6), is_fractured=st.booleans())
def test_height_loss_measured_on_the_pixels_is_the_truth(seed: int, is_fractured: bool) -> None:
    patient = draw_patient(seed, has_fracture=is_fractured)
    slab = render_slab(
        patient, acquisition=NOISE_FREE, pixel_mm=0.5, slice_spacing_mm=1.0, half_width_mm=SLAB_HALF_MM
    )
    errors = np.abs(_loss_errors(patient, slab))
    assume(len(errors) >= 9)  # a strong curve leaves the slab
    assert np.quantile(errors, 0.97) <= MAX_LOSS_ERROR, np.round(np.sort(errors)[-6:], 3)
    assert np.median(errors) <= 0.01


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_grade_follows_from_the_loss_and_imitators_stay_below_it(seed: int) -> None:
    fractured, sound = (draw_patient(seed, has_fracture=f) for f in (True, False))
    assert all(v.grade == grade_of(v.loss) for v in fractured.thoracolumbar)
    assert any(v.grade for v in fractured.thoracolumbar)
    assert all(v.grade == 0 and v.loss < 0.195 and v.shape == "none" for v in sound.thoracolumbar)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_labels_have_the_height_of_the_truth(seed: int) -> None:
    patient = draw_patient(seed, has_fracture=True)
    slab = render_slab(patient, acquisition=NOISE_FREE)
    for truth, body in zip(slab.vertebrae, patient.thoracolumbar, strict=True):
        if not truth.is_visible:
            continue
        k = int(np.argmin(np.abs(slab.x_mm - body.centre_xyz_mm[0])))
        column = int(np.argmin(np.abs(slab.y_mm - body.centre_xyz_mm[1])))
        rows = np.flatnonzero(slab.vertebra_label_xzy[k, :, column] == truth.label)
        assert rows[0] >= truth.row_start - 3
        assert rows[-1] < truth.row_stop + 3
        along = len(rows) * slab.pixel_mm * np.cos(body.theta_rad)
        assert abs(along - truth.middle_mm) < 2.5 + 0.1 * truth.middle_mm
