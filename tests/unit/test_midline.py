"""The middle of the spine in a slab, and slices that follow it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flows.explain import _peak
from flows.train_midline import MidlineNet
from models.config import SPINE_VIEW, TILES_VIEW
from phantom.picture.scene import scene_of
from phantom.protocol import draw_training_patient
from phantom.slabs import PhantomSlab, render_slab
from tasks import midline
from tasks.midline import Block, across_mm, find_midline_mm, place_shares, smooth_midline_mm, straighten
from tasks.view import make_view, slices_read, spine_column_mm

BENT_SEEDS = range(77_000_000, 77_000_006)


def bent_slab(seed: int) -> tuple[PhantomSlab, np.ndarray]:
    """A scoliotic patient's slab, and where the bodies' middle lies in each row; NaN where there are no bodies."""
    patient = draw_training_patient(seed, has_fracture=False, family="scoliotic")
    slab = render_slab(patient, seed=seed, pixel_mm=1.25)
    bodies = scene_of(patient, slab.acquisition, reach_mm=33).patient.thoracolumbar
    centres = np.array(sorted(body.centre_xyz_mm[::-1] for body in bodies))
    return slab, np.interp(slab.z_mm, centres[:, 0], centres[:, 2], left=np.nan, right=np.nan)


def found_in(slab_xzy: np.ndarray) -> np.ndarray:
    return find_midline_mm(slab_xzy, 1.25, 3.0, spine_column_mm(slab_xzy, 1.25), "spine-1")


def test_bent_spines_are_followed() -> None:
    before, after = [], []
    for seed in BENT_SEEDS:
        slab, truth = bent_slab(seed)
        is_seen = np.abs(truth) < 20  # beyond, the slab of ±30 mm does not show both sides of a body
        before.append(truth[is_seen])
        after.append((found_in(slab.slab_xzy_hu) - truth)[is_seen])
    rms_before, rms_after = (float(np.sqrt((np.concatenate(each) ** 2).mean())) for each in (before, after))
    assert rms_before > 6
    assert rms_after < 3.5
    assert rms_after < rms_before / 2


def test_left_and_right_are_alike() -> None:
    slab, _ = bent_slab(BENT_SEEDS[0])
    there, back = found_in(slab.slab_xzy_hu), found_in(slab.slab_xzy_hu[::-1])
    assert np.abs(there + back).max() <= midline.ROUND_MM


def test_numpy_computes_what_was_trained() -> None:
    torch.manual_seed(1)
    net = MidlineNet().eval()
    values = np.random.default_rng(2).random((20, 30, 21), np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(values)[None]).softmax(dim=2)[0].numpy()
    weights = {name: value.float().numpy() for name, value in net.tensors().items()}
    found = place_shares(Block(values, np.arange(30, dtype=np.float32)), weights)
    assert np.abs(found - expected).max() < 2e-3  # tensors() is in half precision


def test_a_sheared_slab_is_straight_again() -> None:
    n, rows, cols = 21, 40, 8
    lean = np.linspace(-6, 6, rows)
    x = (np.arange(n) - 10) * 3.0
    slab = np.repeat((x[:, None] - lean[None])[:, :, None], cols, axis=2).astype(
        np.float32
    )  # 0 along the spine
    [middle] = straighten(slab, np.array([10]), lean, 3.0)
    assert np.abs(middle).max() < 1e-4


def test_unsure_rows_follow_their_neighbours() -> None:
    places = across_mm()
    sure = np.exp(-0.5 * ((places - 9) / 3) ** 2)
    shares = np.tile(sure / sure.sum(), (30, 1)).astype(np.float32)
    shares[14] = 1 / len(places)  # metal: anything may be
    smooth = smooth_midline_mm(shares, np.arange(30, dtype=np.float32) * 4)
    assert np.abs(smooth - 9).max() < 0.5


def test_a_narrow_slab_is_taken_as_it_is() -> None:
    slab = np.zeros((5, 100, 100), np.int16)
    assert not found_in(slab).any()


def test_a_view_reads_along_the_spine() -> None:
    slab, truth = bent_slab(BENT_SEEDS[1])
    given = {"pixel_mm": 1.25, "slice_spacing_mm": 3.0, "lateral_extent_mm": 350.0}
    fixed = make_view(slab.slab_xzy_hu, recipe=TILES_VIEW, **given)
    followed = make_view(slab.slab_xzy_hu, recipe=SPINE_VIEW, **given)
    assert fixed.midline_mm is None
    assert followed.midline_mm is not None
    assert followed.images_nhw.shape == fixed.images_nhw.shape
    assert (followed.slice_index == fixed.slice_index).all()
    middle = len(slab.slab_xzy_hu) // 2
    labels = slab.vertebra_label_xzy.astype(np.float32)
    [straight] = slices_read(labels, [middle], followed.midline_mm, 3.0)
    is_body = ~np.isnan(truth)
    assert (straight[is_body] > 0).any(axis=1).mean() >= (labels[middle][is_body] > 0).any(axis=1).mean()


@pytest.mark.parametrize("n_slices", [1, 2, 4, 20, 21])
def test_slabs_of_any_number_of_slices_can_be_followed(n_slices: int) -> None:
    slab = np.full((n_slices, 60, 80), -50, np.int16)
    slab[n_slices // 2, :, 40:60] = 400
    view = make_view(slab, pixel_mm=2.0, slice_spacing_mm=3.0, lateral_extent_mm=None, recipe=SPINE_VIEW)
    assert view.midline_mm is not None
    assert view.midline_mm.shape == (60,)
    assert view.slice_index.min() >= 0
    assert view.slice_index.max() < n_slices
    middle = (n_slices - 1) / 2
    assert abs(view.slice_index.mean() - middle) <= 0.5


def test_the_peak_of_a_map_lies_beside_the_middle_where_the_spine_does() -> None:
    record = SimpleNamespace(
        n_slices=21, slice_spacing_mm=3.0, pixel_mm=1.0, middle_x_mm=5.0, anterior_y_mm=0.0, top_z_mm=0.0
    )
    lean = np.linspace(-20, 24, 100).astype(np.float32)  # to the patient's left further down

    def x_of(slice_index: int, row_mm: float, midline_mm: np.ndarray | None) -> float:
        peak = SimpleNamespace(slice_index=slice_index, row_mm=row_mm, col_mm=50.0, drop=1.0)
        found = _peak(SimpleNamespace(peak=peak), SimpleNamespace(record=record), midline_mm)
        return float(found["patient_x_mm"])

    assert x_of(10, 50.5, None) == 5.0
    assert x_of(11, 50.5, lean) == pytest.approx(5.0 + 3.0 + lean[50], abs=1e-3)
    assert x_of(13, 99.5, lean) == 5.0 + 30.0  # the outermost slice was read
