"""The shipped model tells fractured phantoms from whole ones. That its files are whole, a unit test shows."""

from __future__ import annotations

import pytest

from flows.phantom_evaluation import evaluate, score_phantoms
from flows.phantom_scans import draw_scans, requests
from models.loading import load_model
from models.registry import read_operating_point

SHIPPED = "ovf-phantom-2"
# Seeds that neither training (from 1,000,000) nor the evaluation on the card (from 9,000,000) draws.
FRESH_SEEDS = 77_000_000
N_SCANS = 6
# The card's AUC is measured on 300 scans. On 3 + 3 its standard error is about 0.15: this only tells a working model
# from a broken one.
WORKING_AUC = 0.75


@pytest.mark.slow
def test_shipped_model_tells_fresh_phantoms_apart() -> None:
    loaded = load_model(SHIPPED)
    scans = list(draw_scans(requests(FRESH_SEEDS, N_SCANS, loaded.config.view)))
    results = score_phantoms(loaded, scans)
    found = evaluate(results, read_operating_point(SHIPPED).threshold)
    assert found.auc_by_rule["lstm"].value >= WORKING_AUC
