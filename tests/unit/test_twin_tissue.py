"""What fills a deformed scan: interpolation, noise, discs, impacted bone; and the slab cut from it."""

from __future__ import annotations

import numpy as np
import pytest
from twin_cases import BONE_HU, DISC_HU, block_series, column

from phantom.from_real import MOST_GAIN_HU, Twin, make_twins
from phantom.real.twin_slabs import find_outline, heights_of
from phantom.real.twin_tissue import (
    deform,
    disc_level_hu,
    head_slices_lost,
    keys_weights,
    measure_noise,
    noise_left,
    sample_z,
)
from phantom.real.twins import Lowering, site_of, twin_field

MARKS = column()


@pytest.fixture(scope="module")
def pairs() -> list[Twin]:
    series = block_series(MARKS, spacing_mm=1.5, noise_hu=10)
    return list(make_twins(series, MARKS, 4, 3, losses=(0.3, 0.6)))


def test_cubic_interpolation_keeps_what_is_straight() -> None:
    ramp = np.arange(20, dtype=np.int16)[:, None, None] * 10
    where = np.linspace(2, 16, 57)[:, None, None]
    assert np.allclose(sample_z(ramp, where), 10 * where, atol=1e-3)
    assert sum(keys_weights(np.float32(0.3))) == pytest.approx(1)
    assert noise_left(0.0) == 1.0
    assert noise_left(0.5) == pytest.approx(np.sqrt(2 * (9 / 16) ** 2 + 2 * (1 / 16) ** 2))


def test_without_loss_nothing_changes() -> None:
    series = block_series(MARKS, spacing_mm=2.5, noise_hu=20)
    still = twin_field(site_of(MARKS, 1), Lowering("wedge", (0.0, 0.0, 0.0)))
    assert head_slices_lost(series, still) == 0
    assert np.array_equal(deform(series, still, 0), series.volume_zyx_hu)


def test_noise_is_drawn_as_it_was_measured() -> None:
    series = block_series(MARKS, noise_hu=25, spacing_mm=2.0)
    noise = measure_noise(series, MARKS[1])
    assert noise.sigma_hu == pytest.approx(25, rel=0.15)
    assert noise.between_slices < 0.15
    field = noise.draw(np.random.default_rng(1), (12, 40, 30))
    assert field.std() == pytest.approx(noise.sigma_hu, rel=0.1)


def test_disc_tissue_is_read_from_the_scan() -> None:
    sites = tuple(site_of(MARKS, k) for k in range(4))
    assert disc_level_hu(block_series(MARKS), sites) == pytest.approx(DISC_HU, abs=3)


def test_pairs_come_together_and_again(pairs: list[Twin]) -> None:
    assert [twin.kind for twin in pairs] == ["twin", "sham"] * 4
    for twin, sham in zip(pairs[::2], pairs[1::2], strict=True):
        assert (twin.pair, twin.level, twin.shape, twin.gain_hu) == (
            sham.pair,
            sham.level,
            sham.shape,
            sham.gain_hu,
        )
        assert twin.series.volume_zyx_hu.shape == sham.series.volume_zyx_hu.shape
        assert twin.series.origin_xyz_mm == sham.series.origin_xyz_mm
        assert 0.3 <= twin.loss == twin.planned_loss <= 0.6
        assert sham.loss == 0.0
        assert sham.heights_after_mm == pytest.approx(sham.heights_before_mm)
    series = block_series(MARKS, spacing_mm=1.5, noise_hu=10)
    again = next(make_twins(series, MARKS, 1, 3, losses=(0.3, 0.6)))
    assert np.array_equal(again.series.volume_zyx_hu, pairs[0].series.volume_zyx_hu)
    with pytest.raises(ValueError, match="no vertebra of these levels"):
        next(make_twins(series, MARKS, 1, 3, levels=("T3",)))


def test_below_is_untouched(pairs: list[Twin]) -> None:
    original = block_series(MARKS, spacing_mm=1.5, noise_hu=10).volume_zyx_hu
    for twin in pairs:
        below = float(twin.field.site.levels_mm(0.0)[0]) - 30
        rows = int(np.count_nonzero(twin.series.z_mm < below))
        if rows:
            assert np.array_equal(twin.series.volume_zyx_hu[-rows:], original[-rows:])


def test_only_the_body_grows_denser_and_only_a_little(pairs: list[Twin]) -> None:
    for twin in pairs:
        for body in twin.vertebrae:
            if not body.is_visible:
                continue
            gained = body.trabecular_hu - BONE_HU
            assert (-8 if body.level == twin.level else -5) <= gained
            assert gained <= (MOST_GAIN_HU + 8 if body.level == twin.level else 5)


def test_truth_says_what_was_made(pairs: list[Twin]) -> None:
    for twin in pairs:
        own = next(body for body in twin.vertebrae if body.level == twin.level)
        mark = next(mark for mark in twin.marks if mark.level == twin.level)
        assert (own.anterior_mm, own.middle_mm, own.posterior_mm) == pytest.approx(heights_of(mark))
        assert own.loss == pytest.approx(twin.loss, abs=0.01)
        assert own.shape == (twin.shape if twin.kind == "twin" else "none")
        assert (own.grade > 0) == (own.cause == "osteoporotic") == (twin.loss >= 0.2)
        assert all(body.grade == 0 and body.loss == 0 for body in twin.vertebrae if body.level != twin.level)


def test_the_slab_and_its_labels_agree(pairs: list[Twin]) -> None:
    """Bone where the label is, heights of the label as in the truth, within a pixel at each end."""
    for twin in pairs:
        slab = twin.slab()
        middle = len(slab.x_mm) // 2
        label, image = slab.vertebra_label_xzy[middle], slab.slab_xzy_hu[middle]
        for body in slab.vertebrae:
            mark = next(mark for mark in twin.marks if mark.level == body.level)
            column_at = int(np.abs(slab.y_mm - mark.y_mm).argmin())
            rows = np.flatnonzero(label[:, column_at] == body.label)
            if not body.is_visible:
                continue
            assert len(rows) * slab.pixel_mm == pytest.approx(body.middle_mm, abs=2.1 * slab.pixel_mm)
            assert body.row_start - 1 <= rows[0]
            assert rows[-1] <= body.row_stop
            assert np.median(image[rows, column_at]) > 0.5 * (BONE_HU + DISC_HU)


def test_an_outline_that_the_field_of_view_cuts_has_no_width() -> None:
    outline = find_outline(block_series(MARKS))
    assert np.isnan(outline.lateral_extent_mm)
    assert outline.middle_x_mm == pytest.approx(0, abs=1)
