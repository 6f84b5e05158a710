"""Grouping instances into stacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from instances import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SERIES,
    broken_file,
    make_instance,
    make_stack,
    make_study,
    stacks_of,
)

from tasks.instance import FramePlane, Instance
from tasks.series import group_series
from tasks.slices import slices_of


def places(instances: Iterable[Instance]) -> list[float]:
    return [i.position_mm[2] for i in instances if i.position_mm]


def test_a_plain_series_is_one_stack_without_label() -> None:
    (stack,) = stacks_of(make_stack(20))
    assert stack.split_label is None
    assert stack.n_files == 20
    assert stack.geometry is not None
    assert stack.geometry.spacing_mm == pytest.approx(3.0)


def test_T14_grouping_is_by_uid_and_order_by_position() -> None:
    """Instance numbers run against the positions and folders are mixed: neither counts."""
    slices = [
        make_instance(i, instance_number=99 - i, position_mm=(0.0, 0.0, 3.0 * ((7 * i) % 20)))
        for i in range(20)
    ]
    other = make_stack(5, series_instance_uid="1.2.3.7")
    first, second = stacks_of(other + slices)
    assert places(first.instances) == sorted(places(slices))
    assert (len(first.slices), len(second.slices)) == (20, 5)


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("convolution_kernel", "LUNG", "kernel"),
        ("image_type", "DERIVED\\SECONDARY\\AXIAL\\MIP", "type"),
        ("sop_class_uid", "1.2.840.10008.5.1.4.1.1.7", "class"),
        ("rows", 256, "matrix"),
        ("pixel_spacing_mm", (0.7, 0.7), "spacing"),
        ("slice_thickness_mm", 5.0, "thickness"),
        ("orientation", CORONAL, "orientation"),
    ],
)
def test_T15_what_differs_splits(field: str, value: object, name: str) -> None:
    second = [dataclasses.replace(i, **{field: value}) for i in make_stack(20, start=20)]
    stacks = stacks_of([*make_stack(20), *second])
    assert len(stacks) == 2
    assert all(stack.split_label and stack.split_label.startswith(f"{name}=") for stack in stacks)


def test_T15_two_acquisitions_over_the_same_place_split() -> None:
    stacks = stacks_of([*make_stack(20), *make_stack(20, start=20, acquisition_number=2)])
    assert [stack.split_label for stack in stacks] == ["acquisition=1", "acquisition=2"]
    assert all(stack.geometry and stack.geometry.n_repeated == 0 for stack in stacks)


def test_T15_phases_split_before_acquisitions() -> None:
    phases = [
        make_instance(20 * p + i, temporal_position=str(p), position_mm=(0.0, 0.0, 3.0 * i))
        for p in range(3)
        for i in range(20)
    ]
    assert [stack.split_label for stack in stacks_of(phases)] == ["phase=0", "phase=1", "phase=2"]


def test_T15_phases_half_a_step_apart_split() -> None:
    """No place is shared, but two regular stacks alternate."""
    late = make_stack(20, start=20, acquisition_number=2)
    shifted = [
        dataclasses.replace(i, position_mm=(-200.0, -200.0, 3.0 * n + 1.2)) for n, i in enumerate(late)
    ]
    assert len(stacks_of([*make_stack(20), *shifted])) == 2


def test_T15_contrast_phases_get_numbered_labels() -> None:
    late = make_stack(20, start=20, contrast_bolus_agent="a free text")
    assert [s.split_label for s in stacks_of([*make_stack(20), *late])] == ["contrast=1", "contrast=2"]


def test_acquisition_per_slice_stays_whole() -> None:
    """Step and shoot: every slice is an acquisition of its own, no place repeats."""
    slices = [dataclasses.replace(i, acquisition_number=n) for n, i in enumerate(make_stack(20))]
    (stack,) = stacks_of(slices)
    assert len(stack.slices) == 20


def test_chest_then_abdomen_stays_whole() -> None:
    slices = [dataclasses.replace(i, acquisition_number=1 + n // 10) for n, i in enumerate(make_stack(20))]
    assert len(stacks_of(slices)) == 1


def test_chest_and_abdomen_that_overlap_split() -> None:
    low = make_stack(20)
    high = [
        make_instance(40 + i, acquisition_number=2, position_mm=(-200.0, -200.0, 45.0 + 3.0 * i))
        for i in range(20)
    ]
    assert [len(stack.slices) for stack in stacks_of(low + high)] == [20, 20]


def test_T16_repeats_that_nothing_tells_apart_stay_together() -> None:
    (stack,) = stacks_of([*make_stack(20), *make_stack(20, start=20)])
    assert stack.geometry is not None
    assert stack.geometry.n_repeated == 20


def test_T16_overlapping_slices_are_one_stack() -> None:
    (stack,) = stacks_of(make_stack(40, spacing_mm=1.5, slice_thickness_mm=3.0))
    assert stack.geometry is not None
    assert stack.geometry.n_repeated == 0


def test_T22_localizers_inside_an_axial_series_are_split_off() -> None:
    """A known failure elsewhere: the localizer silently changed the spacing of the axial stack."""
    scouts = [
        make_instance(100, image_type="ORIGINAL\\PRIMARY\\LOCALIZER", orientation=CORONAL),
        make_instance(101, image_type="ORIGINAL\\PRIMARY\\LOCALIZER", orientation=SAGITTAL),
    ]
    stacks = stacks_of([*scouts, *make_stack(30)])
    axial = max(stacks, key=lambda stack: len(stack.slices))
    assert sorted(len(stack.slices) for stack in stacks) == [1, 1, 30]
    assert axial.geometry is not None
    assert axial.geometry.spacing_mm == pytest.approx(3.0)


def test_a_slice_without_place_is_split_off() -> None:
    stacks = stacks_of([*make_stack(20), make_instance(50, position_mm=None)])
    assert sorted(len(stack.slices) for stack in stacks) == [1, 20]


def test_rounding_of_header_values_does_not_split() -> None:
    wobble = [
        dataclasses.replace(
            i,
            orientation=(1.0, 1e-6 * n, 0.0, -1e-6 * n, 1.0, 0.0),
            pixel_spacing_mm=(0.8 + 1e-7 * n, 0.8),
            slice_thickness_mm=3.0 - 1e-6 * n,
        )
        for n, i in enumerate(make_stack(20))
    ]
    assert len(stacks_of(wobble)) == 1


def test_T23_frames_become_slices() -> None:
    frames = tuple(
        FramePlane((0.0, 0.0, 3.0 * i), AXIAL, (0.8, 0.8), 1.0, -1024.0, 3.0, None) for i in (2, 0, 1)
    )
    enhanced = make_instance(
        0, sop_class_uid="1.2.840.10008.5.1.4.1.1.2.1", n_frames=3, frames=frames, position_mm=None
    )
    (stack,) = stacks_of([enhanced])
    assert [item.frame for item in stack.slices] == [1, 2, 0]
    assert (stack.n_files, len(stack.instances)) == (1, 1)


def test_T21_impossible_pixel_spacing_is_none() -> None:
    wrong = [(0.0, 0.0), (-0.8, 0.8), (float("nan"), 0.8), None]
    found = slices_of(make_instance(i, pixel_spacing_mm=value) for i, value in enumerate(wrong))
    assert all(item.pixel_spacing_mm is None for item in found)


def test_files_are_counted_once_over_the_stacks_of_a_series() -> None:
    mixed = [*make_stack(20), *make_stack(10, start=20, convolution_kernel="LUNG")]
    study = make_study(
        mixed, issues=[broken_file(1), broken_file(2)], duplicates_by_series=((SERIES, 3),), n_files=35
    )
    stacks = group_series(study)
    assert sum(stack.n_files for stack in stacks) == 35
    assert [stack.n_files for stack in stacks if len(stack.slices) == 10] == [10]


def test_a_series_of_broken_files_is_a_stack_without_slices() -> None:
    (stack,) = group_series(make_study([], issues=[broken_file(1)]))
    assert stack.slices == ()
    assert stack.n_files == 1
    assert stack.geometry is None


def test_labels_of_one_series_are_unique() -> None:
    """Values that look alike once cleaned must not share a key."""
    kinds = [
        make_stack(6, start=10 * n, convolution_kernel=name) for n, name in enumerate(("B/1", "B\\1", "B 1"))
    ]
    labels = [stack.split_label for stack in stacks_of([i for kind in kinds for i in kind])]
    assert len(set(labels)) == 3
