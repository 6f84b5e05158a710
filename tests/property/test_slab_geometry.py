"""The same anatomy gives the same slab, however it was scanned and stored (T16, T18, T19)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from slab_cases import SUPINE, difference_inside, scan, with_files

from tasks.plan import Orientation
from tasks.slab import Slab, build_slab

MOST_RMS_HU = 15.0  # asked by the issue
# A scan takes a second: few examples, and no shrinking, which would take minutes.
FEW = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)


def _reference() -> Slab:
    plan, source = scan()
    return build_slab(plan, source)


REFERENCE = _reference()

# Every way in which an axial slice can lie: rows and columns along ±x and ±y. Feet first, prone, both decubitus.
POSES: dict[str, Orientation] = {
    "supine": SUPINE,
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "feet_first": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "feet_first_prone": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "decubitus_right": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "decubitus_left": (0.0, -1.0, 0.0, 1.0, 0.0, 0.0),
    "transposed": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
    "transposed_both": (0.0, -1.0, 0.0, -1.0, 0.0, 0.0),
}


def _assert_same(slab: Slab, *, most_rms_hu: float = MOST_RMS_HU) -> None:
    assert abs(slab.record.middle_x_mm - REFERENCE.record.middle_x_mm) < 1.0
    assert difference_inside(REFERENCE, slab) < most_rms_hu


@FEW
@given(pose=st.sampled_from(sorted(POSES)), x=st.floats(-8, 8), y=st.floats(-8, 8))
def test_T19_any_pose_gives_the_same_slab(pose: str, x: float, y: float) -> None:
    plan, source = scan(orientation=POSES[pose], centre=(x, y, 0.0))
    _assert_same(build_slab(plan, source))


@FEW
@given(tilt_deg=st.floats(-25, 25), is_sheared=st.booleans())
def test_T18_tilted_gantry_gives_the_same_slab(tilt_deg: float, is_sheared: bool) -> None:
    cosine, sine = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
    orientation: Orientation = (1.0, 0.0, 0.0, 0.0, cosine, sine)
    # A tilted gantry over a moving table shears the stack; a tilted reformat does not.
    step = (0.0, 0.0, 1.0) if is_sheared else None
    plan, source = scan(orientation=orientation, step=step, n_slices=80, spacing_mm=1.6)
    _assert_same(build_slab(plan, source))


@FEW
@given(turn_deg=st.floats(-25, 25), tilt_deg=st.floats(-15, 15), roll_deg=st.floats(-10, 10))
def test_T18_turned_in_every_direction_gives_the_same_slab(
    turn_deg: float, tilt_deg: float, roll_deg: float
) -> None:
    turn, tilt, roll = (math.radians(angle) for angle in (turn_deg, tilt_deg, roll_deg))
    about_z = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    about_y = np.array([[math.cos(roll), 0, math.sin(roll)], [0, 1, 0], [-math.sin(roll), 0, math.cos(roll)]])
    axes = about_z @ about_x @ about_y
    orientation: Orientation = (*map(float, axes[:, 0]), *map(float, axes[:, 1]))  # type: ignore[assignment]
    plan, source = scan(orientation=orientation, n_slices=80, spacing_mm=1.6)
    _assert_same(build_slab(plan, source))


@FEW
@given(seed=st.integers(0, 1000))
def test_uneven_slice_distances_follow_the_true_positions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum(rng.choice([1.0, 1.5, 2.0, 2.4], size=60))
    plan, source = scan(offsets_mm=offsets - offsets.mean())
    _assert_same(build_slab(plan, source))


@FEW
@given(seed=st.integers(0, 1000), is_reversed=st.booleans())
def test_T14_shuffled_and_renamed_files_give_the_identical_slab(seed: int, is_reversed: bool) -> None:
    plan, source = scan()
    names = np.random.default_rng(seed).permutation(len(plan.slices))
    names = names[::-1] if is_reversed else names

    def rename(index, item, data):  # type: ignore[no-untyped-def]
        return replace(item, file=replace(item.file, path=f"x/{names[index]}".encode())), data

    slab = build_slab(*with_files(plan, source, rename))
    assert slab.record == REFERENCE.record
    assert np.array_equal(slab.slab_xzy_hu, REFERENCE.slab_xzy_hu)


def test_slab_shows_the_anatomy_where_it_lies() -> None:
    """Against the anatomy itself, sampled in place: no axis is mirrored, shifted or stretched."""
    from slab_cases import trunk_hu

    record, slab = REFERENCE.record, REFERENCE.slab_xzy_hu
    z = record.top_z_mm - np.arange(record.rows) * record.pixel_mm
    y = record.anterior_y_mm + np.arange(record.columns) * record.pixel_mm
    steps = np.arange(record.n_slices) - record.n_slices // 2
    for index in (2, 10, 18):
        x = record.middle_x_mm + steps[index] * record.slice_spacing_mm
        truth = np.mean(
            [trunk_hu(np.full((len(z), len(y)), x + d), y[None, :], z[:, None]) for d in (-1, 0, 1)], axis=0
        )
        inside = truth > 0
        assert np.sqrt(np.mean((slab[index][inside] - truth[inside]) ** 2)) < MOST_RMS_HU
    assert record.lateral_extent_mm is not None
    assert abs(record.lateral_extent_mm - 340) < 4  # skin is where the blurred edge crosses -400 HU
    assert record.midline_method == "skin"
    assert record.spine_mm is not None
    assert record.spine_mm > 85
