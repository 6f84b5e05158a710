"""Occlusion maps of the shipped model on a simulated scan with one fracture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are not installed

from benchmarks.explain import Facts, case_of, heard_row_mm
from flows.phantom_scans import DrawRequest, clear_case, view_of
from models.dataset import SequenceScan
from models.infer import Scorer
from models.loading import load_model
from models.occlusion import OcclusionPlan, explain_scan

MODEL, SEED = "ovf-phantom-2", 500_000_057


def test_peak_lies_on_the_fractured_vertebra_and_maps_on_their_images() -> None:
    loaded = load_model(MODEL)
    slab = clear_case(DrawRequest(SEED, True, loaded.config.view, False, "slender"))
    view, scorer = view_of(slab, loaded.config.view), Scorer(loaded)
    [score] = scorer.score([view])
    logits = score.slice_logits
    explained = explain_scan(scorer, view, logits, OcclusionPlan(n_images=1, band_step_mm=15.0))
    (body,) = [body for body in slab.vertebrae if body.grade > 0]
    case = case_of(slab, body, explained, Facts(SEED, "slender", 0.99, 1.0))
    assert case.is_at_height
    assert case.is_in_body
    assert body.row_start * slab.pixel_mm <= explained.peak.row_mm < body.row_stop * slab.pixel_mm
    other = next(each for each in slab.vertebrae if each.is_visible and each.level != body.level)
    assert not case_of(slab, other, explained, Facts(SEED, "slender", 0.99, 1.0)).is_at_height
    heard = Facts(SEED, "slender", 0.99, 1.0, heard_row_mm(score, view))
    assert heard.heard_row_mm is not None
    assert [case_of(slab, b, explained, heard).is_framed for b in (body, other)] == [True, False]
    assert case.is_framed is None
    (found,) = explained.maps
    assert found.image == int(np.argmax(logits))
    assert found.logit == logits.max()
    rows, cols = (size * view.pixel_mm / found.cell_mm for size in view.images_nhw.shape[1:])
    assert np.allclose(found.heat.shape, (rows, cols), atol=1)
    assert found.heat.max() == explained.peak.drop > 0
    assert view.left_col_mm[found.image] < explained.peak.col_mm < view.left_col_mm[found.image] + 160
    # Hiding what mattered, and nothing else, lowers the logit: the map is about this network, not about bone.
    row, col = (
        (at - edge) / view.pixel_mm
        for at, edge in ((explained.peak.row_mm, found.top_mm), (explained.peak.col_mm, found.left_mm))
    )
    image = view.images_nhw[found.image].copy()
    piece = image[int(row) - 10 : int(row) + 10, int(col) - 24 : int(col) + 24]
    piece[:] = round(float(piece.mean()))
    changed = SequenceScan("", True, image[None], view.tile_index[:1], view.top_row_mm[:1])
    assert scorer.score([changed])[0].slice_logits[0] < logits.max() - 1
