"""Simulated scans for training: the same request gives the same scan, and truth lies where the bone is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.phantom_scans import PhantomScan, clear_case, draw_scan, requests
from flows.scan_cache import DrawnScans, read_scan, write_scan
from flows.training_scans import training_scan
from models.config import SPINE_VIEW, TILES_VIEW
from models.dataset import FRACTURED


@pytest.fixture(scope="module")
def fractured() -> PhantomScan:
    (request,) = requests(77, 1, TILES_VIEW, positive_share=1.0, is_for_extractor=True)
    return draw_scan(request)


def test_requests_interleave_the_wanted_share() -> None:
    marks = [r.has_fracture for r in requests(5, 8, TILES_VIEW, positive_share=0.25)]
    assert marks == [False, False, False, True] * 2
    assert [r.seed for r in requests(5, 3, TILES_VIEW)] == [5, 6, 7]


def test_the_same_request_gives_the_same_scan(fractured: PhantomScan) -> None:
    again = draw_scan(requests(77, 1, TILES_VIEW, positive_share=1.0, is_for_extractor=True)[0])
    assert again.training is not None
    assert fractured.training is not None
    assert np.array_equal(again.training.images, fractured.training.images)
    assert again.sequence is None


def test_a_kept_scan_is_read_as_it_was(fractured: PhantomScan, tmp_path: Path) -> None:
    write_scan(tmp_path / "one.npz", fractured)
    read = read_scan(tmp_path / "one.npz")
    assert replace(read, training=None) == replace(fractured, training=None)
    before, after = fractured.training, read.training
    assert before is not None
    assert before.truth is not None
    assert after is not None
    assert after.truth is not None
    assert np.array_equal(after.images, before.images)
    assert np.array_equal(after.truth.labels, before.truth.labels)
    assert after.truth.fractured_spans == before.truth.fractured_spans


def test_truth_lies_on_bone_in_the_view_s_pixels(fractured: PhantomScan) -> None:
    scan = fractured.training
    assert scan is not None
    assert scan.truth is not None
    assert scan.images.shape[0] == scan.truth.labels.shape[0] == 3
    assert scan.truth.labels.shape[1:] == tuple((n + 1) // 2 for n in scan.images.shape[1:])
    inside = scan.images[:, ::2, ::2][scan.truth.labels > 0].mean()
    assert inside > scan.images.mean() + 20
    assert fractured.worst_grade >= 1


def test_along_the_spine_truth_and_images_are_moved_alike() -> None:
    """A scoliotic patient painted by the truth alone: images and labels agree, and show more than in the middle."""
    wanted = requests(89, 1, SPINE_VIEW, positive_share=1.0, is_for_extractor=True, families=("scoliotic",))
    slab = clear_case(wanted[0])
    bodies_hu = np.where(slab.vertebra_label_xzy > 0, 400, 0).astype(np.int16)
    painted = replace(slab, slab_xzy_hu=bodies_hu)
    shown = {}
    for view in (TILES_VIEW, SPINE_VIEW):
        scan = training_scan(painted, "a", view, seed=1)
        assert scan.truth is not None
        is_bone = scan.images[:, ::2, ::2] > 85  # halfway: 0 HU is 43 of 255, 400 HU is 128
        is_body = scan.truth.labels > 0
        assert (is_bone & is_body).sum() > 0.94 * (is_bone | is_body).sum()
        shown[view.name] = [len(np.unique(labels)) - 1 for labels in scan.truth.labels]
    assert min(shown["tiles-1p25-spine"]) > max(shown["tiles-1p25"])


def test_spans_and_spine_frame_the_fractured_bodies(fractured: PhantomScan) -> None:
    scan = fractured.training
    assert scan is not None
    assert scan.truth is not None
    is_fractured = scan.truth.bodies[:, 0] == FRACTURED
    assert (scan.truth.bodies[is_fractured, 1:].max(axis=1) >= 0.19).all()
    _, rows, cols = np.nonzero(is_fractured[scan.truth.labels])
    assert min(first for first, _ in scan.truth.fractured_spans) in (2 * rows.min() - 1, 2 * rows.min())
    assert np.abs(scan.centre_cols[2 * rows] - 2 * cols).max() < 40


def test_a_patient_without_fracture_has_none_in_the_truth() -> None:
    scan = draw_scan(requests(78, 1, TILES_VIEW, positive_share=0.0, is_for_extractor=True)[0])
    assert not scan.is_positive
    assert scan.training is not None
    assert scan.training.truth is not None
    assert not (scan.training.truth.bodies[:, 0] == FRACTURED).any()
    assert scan.training.truth.fractured_spans == ()


def test_a_scan_that_nobody_has_drawn_yet_is_drawn_when_it_is_asked_for(tmp_path: Path) -> None:
    """The pool steps back behind everything else on the machine: a training must not wait for it."""
    [request] = requests(79, 1, SPINE_VIEW, is_for_extractor=True)
    scans = DrawnScans([request], tmp_path, workers=1)
    scans.close()  # before the pool came to it
    expected = draw_scan(request).training
    assert expected is not None
    assert np.array_equal(scans[0].images, expected.images)
    assert scans[0] is scans[0]
