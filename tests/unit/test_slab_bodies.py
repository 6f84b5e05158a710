"""What lies in the scanner besides a straight supine trunk: each ends as a slab of the spine, or with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slab_anatomies as anatomies
from slab_cases import FolderSource, MemorySource, plan_of, scan, trunk_hu, with_files

from tasks.body import BodySlice, judge_body
from tasks.plan import SeriesPlan
from tasks.slab import DEFAULT_RECIPE, SlabRejected, build_slab, slab_task
from warehouse.records import SlabRecord

WIDE = (250, 250)  # 500 mm field


def record_of(anatomy: anatomies.Anatomy, *, shape: tuple[int, int] = WIDE, x: float = 0.0) -> SlabRecord:
    return build_slab(*scan(anatomy, shape=shape, centre=(x, 0.0, 0.0), n_slices=45)).record


def reason_of_scan(anatomy: anatomies.Anatomy, *, shape: tuple[int, int] = WIDE, x: float = 0.0) -> str:
    with pytest.raises(SlabRejected) as caught:
        record_of(anatomy, shape=shape, x=x)
    return caught.value.reason


@pytest.mark.parametrize(
    "anatomy",
    [
        anatomies.on_table,
        anatomies.osteoporotic,
        anatomies.curved,
        anatomies.with_screws,
        anatomies.with_contrast,
        anatomies.noisy(60.0),
    ],
)
def test_trunks_are_measured_by_their_skin(anatomy: anatomies.Anatomy) -> None:
    record = record_of(anatomy)
    assert record.midline_method == "skin"
    assert abs(record.middle_x_mm) < 2
    assert record.lateral_extent_mm is not None
    assert abs(record.lateral_extent_mm - 340) < 6
    assert record.spine_mm is not None
    assert record.spine_mm > 80
    assert 220 <= record.columns * record.pixel_mm <= 252  # the body's depth and a margin, no table
    assert "fov_cut" not in record.flags


def test_one_arm_does_not_move_the_middle() -> None:
    record = record_of(anatomies.with_arm_at_one_side)
    assert abs(record.middle_x_mm) < 8
    assert record.lateral_extent_mm is not None
    assert record.lateral_extent_mm < 360


NONE = float("nan")


@pytest.mark.parametrize(
    ("columns_mm", "method"),
    [
        ([-56.0] + [NONE] * 8, "skin"),  # a porous spine, and one slice through a hip
        ([-50.0, -56.0, -52.0] + [NONE] * 6, "skin"),
        ([-100.0, -97.0, -70.0, -83.0, -85.0] + [NONE] * 4, "skin"),  # hips and shoulder blades
        ([45.0] * 5 + [NONE] * 4, "canal"),  # an arm that was counted, or a strong curve
        ([10.0] * 9, "skin"),
    ],
)
def test_bone_beside_the_spine_does_not_move_the_middle(columns_mm: list[float], method: str) -> None:
    looked_at = [
        BodySlice(50.0 * k, -170, 170, -120, 100, True, True, False, True, 10.0, x, 30.0)
        for k, x in enumerate(columns_mm)
    ]
    body = judge_body(looked_at, [item.z_mm for item in looked_at])
    assert (body.midline_method, body.lateral_extent_mm) == (method, 340.0)
    assert body.middle_x_mm == (0.0 if method == "skin" else columns_mm[0])


@pytest.mark.parametrize(("shape", "x"), [((130, 130), 0.0), ((150, 150), -60.0), ((80, 80), 5.0)])
def test_a_cut_field_takes_the_middle_from_the_vertebrae(shape: tuple[int, int], x: float) -> None:
    plan, source = scan(trunk_hu, shape=shape, centre=(x, 40.0, 0.0), n_slices=45)
    record = build_slab(plan, source).record
    assert record.midline_method == "canal"
    assert record.lateral_extent_mm is None
    assert abs(record.middle_x_mm) < 5
    assert "fov_cut" in record.flags


def test_a_cut_field_follows_a_curved_spine() -> None:
    assert abs(record_of(anatomies.curved, shape=(130, 130)).middle_x_mm - 20) < 5


def test_a_field_without_skin_and_spine_is_not_evaluable() -> None:
    with pytest.raises(SlabRejected) as caught:
        build_slab(*scan(trunk_hu, shape=(100, 100), centre=(120.0, -50.0, 0.0), n_slices=20))
    assert caught.value.reason == "not_evaluable:fov"


@pytest.mark.parametrize("anatomy", [anatomies.knee, anatomies.two_legs, anatomies.head, anatomies.water])
def test_T33_no_spine_in_the_picture(anatomy: anatomies.Anatomy) -> None:
    assert reason_of_scan(anatomy) == "not_evaluable:no_spine"


@pytest.mark.parametrize("anatomy", [anatomies.air, anatomies.not_in_hu])
def test_T32_values_of_no_body(anatomy: anatomies.Anatomy) -> None:
    assert reason_of_scan(anatomy) == "qc_hu_range"


@pytest.mark.parametrize("value_hu", [-1024, 0, 40])
def test_T32_constant_slices(value_hu: int) -> None:
    images = [np.full((200, 200), value_hu, np.int16)] * 20
    with pytest.raises(SlabRejected, match="qc_hu_range"):
        build_slab(*plan_of(images, [np.array([-200.0, -200.0, 2.0 * k]) for k in range(20)]))


def test_T32_metal_and_noise_are_flags() -> None:
    assert "qc_metal" in record_of(anatomies.with_screws).flags
    assert "qc_metal" not in record_of(trunk_hu).flags
    assert "qc_noise" in record_of(anatomies.noisy(150.0)).flags
    assert "qc_noise" not in record_of(anatomies.noisy(60.0)).flags


def test_too_little_spine_is_not_evaluable() -> None:
    with pytest.raises(SlabRejected, match="no_spine"):
        build_slab(*scan(trunk_hu, n_slices=20, spacing_mm=2.0))


def test_T26_padding_becomes_air_before_averaging() -> None:
    """Padding of -2000 outside the circle, and unmarked values of -3024, change nothing in the body."""
    plan, source = scan(trunk_hu, n_slices=45)
    plain = build_slab(plan, source)
    rows, columns = np.ogrid[:200, :200]
    outside = np.hypot(rows - 99.5, columns - 99.5) > 100

    def pad(value: int):  # type: ignore[no-untyped-def]
        def change(_, item, data):  # type: ignore[no-untyped-def]
            image = np.frombuffer(data, "<i2").reshape(200, 200).copy()
            image[outside] = value
            return item, image.tobytes()

        return change

    marked = replace(plan.slices[0].pixels, padding_value=63536)  # -2000 as an unsigned 16 bit number

    def mark(_, item, data):  # type: ignore[no-untyped-def]
        return replace(item, pixels=marked), data

    unmarked = build_slab(*with_files(plan, source, pad(-3024)))
    padded = build_slab(*with_files(*with_files(plan, source, pad(-2000)), mark))
    body = plain.slab_xzy_hu > -300
    for slab in (unmarked, padded):
        assert slab.slab_xzy_hu.shape == plain.slab_xzy_hu.shape
        assert np.abs(slab.slab_xzy_hu[body].astype(int) - plain.slab_xzy_hu[body]).max() <= 1
        assert slab.slab_xzy_hu.min() >= -1024
    assert "padding" in padded.record.flags


def test_T24_every_slice_has_its_own_slope_and_intercept() -> None:
    plan, source = scan(trunk_hu, n_slices=45)

    def rescale(index, item, data):  # type: ignore[no-untyped-def]
        slope, intercept = (0.5, -1024.0) if index % 2 else (2.0, 8.0 * index)
        values = np.rint((np.frombuffer(data, "<i2") - intercept) / slope).astype("<i2")
        return replace(item, slope=slope, intercept=intercept), values.tobytes()

    rescaled = build_slab(*with_files(plan, source, rescale))
    plain = build_slab(plan, source)
    assert np.abs(rescaled.slab_xzy_hu.astype(int) - plain.slab_xzy_hu).max() <= 2


def test_files_of_a_folder_and_of_an_archive_give_the_same_bits(tmp_path: Path) -> None:
    plan, source = scan(trunk_hu, n_slices=45)
    for name, data in source.files.items():
        (tmp_path / name.decode()).write_bytes(data)
    in_folder = build_slab(plan, FolderSource(tmp_path))
    assert np.array_equal(in_folder.slab_xzy_hu, build_slab(plan, source).slab_xzy_hu)


def test_T37_a_file_that_vanished_is_an_os_error() -> None:
    plan, source = scan(trunk_hu, n_slices=45)
    without = MemorySource({name: data for name, data in source.files.items() if name != b"0020"})
    with pytest.raises(FileNotFoundError):
        build_slab(plan, without)


def test_T38_a_file_that_changed_since_the_crawl_is_not_read(tmp_path: Path) -> None:
    plan, source = scan(trunk_hu, n_slices=45)
    for name, data in source.files.items():
        (tmp_path / name.decode()).write_bytes(data)
    with (tmp_path / "0020").open("ab") as file:
        file.write(b"more")
    with pytest.raises(OSError, match="tale"):
        build_slab(plan, FolderSource(tmp_path))
    result = slab_task(plan, FolderSource(tmp_path), None)
    assert result.rejection is not None
    assert (result.rejection.outcome, result.rejection.reason) == ("failed", "io")


def test_the_recipe_sets_the_slab(small_plan: tuple[SeriesPlan, MemorySource]) -> None:
    recipe = replace(DEFAULT_RECIPE, name="narrow", half_width_mm=12.0, pixel_mm=1.0)
    slab = build_slab(*small_plan, recipe=recipe)
    assert slab.slab_xzy_hu.shape[0] == slab.record.n_slices == 9
    assert slab.record.storage_recipe == "narrow"
    assert slab.record.pixel_mm == 1.0


@pytest.fixture
def small_plan() -> tuple[SeriesPlan, MemorySource]:
    return scan(trunk_hu, n_slices=45)
