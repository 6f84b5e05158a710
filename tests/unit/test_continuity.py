"""Blank and torn slices: rows T31 and T32 of the fault catalogue."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.continuity import blank_inside, check_slices, steps_of_scale, torn_slices
from tasks.rejected import SlabRejected


def stack(n: int = 20, noise_hu: float = 20.0, seed: int = 0) -> NDArray[np.float32]:
    """A smooth body with noise, (n, 60, 20) HU, that changes slowly from slice to slice."""
    rng = np.random.default_rng(seed)
    y = np.arange(60)[None, :, None]
    body = 200 * np.sin(y / 9 + np.arange(n)[:, None, None] / 5)
    return (body + rng.normal(0, noise_hu, (n, 60, 20))).astype(np.float32)


def test_a_plain_stack_is_whole() -> None:
    assert blank_inside(stack()) == 0
    assert torn_slices(stack()).size == 0


@pytest.mark.parametrize("value_hu", [-1024.0, 0.0, 3071.0])
def test_T32_constant_slices_count_between_others_only(value_hu: float) -> None:
    found = stack()
    found[[0, 1, -1]] = value_hu
    assert blank_inside(found) == 0
    found[[7, 8, 12]] = value_hu
    assert blank_inside(found) == 3


def test_T32_air_with_noise_is_not_blank() -> None:
    found = stack()
    found[9] = np.random.default_rng(1).normal(-1000, 5, found[9].shape)
    assert blank_inside(found) == 0


@pytest.mark.parametrize("noise_hu", [2.0, 20.0, 80.0])
def test_T31_a_slice_unlike_both_neighbours_is_torn(noise_hu: float) -> None:
    found = stack(noise_hu=noise_hu)
    found[11] = np.random.default_rng(1).uniform(-1024, 3071, found[11].shape)
    assert 11 in torn_slices(found)
    assert set(torn_slices(found)) <= {10, 11, 12}


def test_a_step_in_the_anatomy_is_not_torn() -> None:
    """Shoulders or the diaphragm: everything changes once, and stays."""
    found = stack()
    found[12:] += 60
    assert torn_slices(found).size == 0
    assert steps_of_scale(found) == 0


@pytest.mark.parametrize("offset_hu", [-1024.0, 1024.0, 600.0])
@pytest.mark.parametrize(
    ("where", "n_steps"),
    [(slice(12, None), 1), (slice(None, None, 3), 13), (slice(1, None, 2), 19), (slice(5, 6), 2)],
)
def test_T32_slices_of_another_intercept_are_found_wherever_they_stand(
    offset_hu: float, where: slice, n_steps: int
) -> None:
    found = stack(noise_hu=60)
    found[where] += offset_hu
    assert steps_of_scale(found) == n_steps
    with pytest.raises(SlabRejected, match="qc_hu_range"):
        check_slices(found)


def test_where_the_body_ends_is_no_other_scale() -> None:
    """Above the head, between the legs: tissue, then air with its noise, then tissue again."""
    rng = np.random.default_rng(1)
    found = stack()
    found[:4] = rng.normal(-1000, 10, found[:4].shape)
    found[9:12] = rng.normal(-1000, 10, found[9:12].shape)
    found[15:] = -1024
    assert steps_of_scale(found) == 0


@pytest.mark.parametrize("n", [1, 2])
def test_few_slices_have_nothing_to_compare(n: int) -> None:
    check_slices(stack()[:n])
    assert torn_slices(stack()[:n]).size == 0
