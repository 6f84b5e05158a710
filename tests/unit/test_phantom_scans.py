"""Simulated scans for training: the same request gives the same scan, and truth lies where the bone is."""

import numpy as np
import pytest

from flows.phantom_scans import PhantomScan, draw_scan, requests
from models.config import TILES_VIEW


@pytest.fixture(scope="module")
def fractured() -> PhantomScan:
    (request,) = requests(77, 1, TILES_VIEW, positive_share=1.0, is_for_extractor=True)
    return draw_scan(request)


def test_requests_interleave_the_wanted_share() -> None:
    marks = [r.has_fracture for r in requests(5, 8, TILES_VIEW, positive_share=0.25)]
    assert marks == [False, False, False, True] * 2
    assert [r.seed for r in requests(5, 3, TILES_VIEW)] == [5, 6, 7]


def test_the_same_request_gives_the_same_scan(fractured: PhantomScan) -> None:
    again = draw_scan(requests(77, 1, TILES_VIEW, positive_share=1.0)[0])
    assert np.array_equal(again.sequence.images_nhw, fractured.sequence.images_nhw)
    assert again.training is None


def test_truth_lies_on_bone_in_the_view_s_pixels(fractured: PhantomScan) -> None:
    scan = fractured.training
    assert scan is not None
    assert scan.lesion_mask is not None
    assert scan.images.shape[1:] == scan.lesion_mask.shape
    assert len(scan.images) == 3
    inside = scan.images[:, scan.lesion_mask > 0].mean()
    assert inside > scan.images.mean() + 20
    assert fractured.worst_grade >= 1


def test_lesion_rows_and_spine_frame_the_mask(fractured: PhantomScan) -> None:
    scan = fractured.training
    assert scan is not None
    assert scan.lesion_mask is not None
    rows, cols = np.nonzero(scan.lesion_mask)
    assert min(first for first, _ in scan.lesion_rows) == rows.min()
    assert max(last for _, last in scan.lesion_rows) == rows.max() + 1
    assert np.abs(scan.centre_cols[rows] - cols).max() < 40


def test_a_patient_without_fracture_has_an_empty_mask() -> None:
    scan = draw_scan(requests(78, 1, TILES_VIEW, positive_share=0.0, is_for_extractor=True)[0])
    assert not scan.is_positive
    assert scan.training is not None
    assert scan.training.lesion_mask is not None
    assert not scan.training.lesion_mask.any()
    assert scan.training.lesion_rows == ()
