"""Calibration from the readings of an audit: each read unit weighs as many as its cell was drawn for."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pytest
import warehouse_rows as rows

from estimates.calibration import Calibration
from estimates.prior import prior_shift_logits
from flows.audit_verdicts import Endpoint
from flows.calibrate import Numbers, Rule, chosen_threshold, read_audited, recalibrated, shifted
from flows.errors import SettingsError
from warehouse import schema
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.tables import WAREHOUSE_TABLES

TRUE = Calibration(0.8, -2.5)
OWN = Calibration(1.0, 0.0)
AS_SHIPPED = Numbers("model-1", "name", OWN, OWN, 0.5, "shipped", "a rule", None, None, None)
N_DRAWN, N_UNITS = (200, 300), (400, 6000)  # flagged, not flagged


def test_design_weights_of_the_audit_reach_the_calibration() -> None:
    rng = np.random.default_rng(4)
    batch = LandingBatch(audits=[rows.audit()])
    logits: dict[str, float] = {}
    for cell, (n_drawn, n_units, middle) in enumerate(zip(N_DRAWN, N_UNITS, (2.0, -1.0), strict=True)):
        ai = ("flagged", "not_flagged")[cell]
        batch.audit_cells.append(replace(rows.audit_cell(n_units=n_units, n_drawn=n_drawn), cell=cell, ai=ai))
        for number in range(n_drawn):
            case_id, study_key = f"A1-{cell}{number:03d}", f"study-{cell}-{number}"
            logits[study_key] = float(rng.normal(middle, 1.5))
            grade = 2 if rng.random() < float(TRUE.probability(logits[study_key])) else 0
            batch.audit_units.append(replace(rows.audit_unit(case_id, study_key=study_key), cell=cell))
            batch.audit_readings.append(rows.audit_reading(case_id, grade))
    del logits["study-0-0"]
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))
        read = read_audited(connection, "A1", Endpoint.PRIMARY, logits)
        with pytest.raises(SettingsError, match="no audit sample"):
            read_audited(connection, "A2", Endpoint.PRIMARY, logits)
    assert read.n_without_score == 1
    assert sorted(set(read.weights)) == [400 / 200, 6000 / 300]
    calibration, said = recalibrated(read)
    assert calibration.slope == pytest.approx(TRUE.slope, abs=0.25)
    assert calibration.intercept == pytest.approx(TRUE.intercept, abs=0.6)
    assert "cases and" in said[0]
    numbers = AS_SHIPPED
    studies = (list(logits.values()), 10)
    threshold, _ = chosen_threshold(Rule(target_specificity=0.9), calibration, numbers, read, studies)
    others = ~np.array(read.is_case)
    below = calibration.probability(read.logits)[others] < threshold
    weights = np.array(read.weights)[others]
    assert weights[below].sum() / weights.sum() == pytest.approx(0.9, abs=0.02)
    threshold, _ = chosen_threshold(Rule(reads_per_week=5), calibration, numbers, read, studies)
    assert int((calibration.probability(studies[0]) >= threshold).sum()) == 50
    kept, _ = chosen_threshold(Rule(), calibration, numbers, None, studies)
    same = calibration.probability(studies[0]) >= kept
    assert (same == (np.array(studies[0]) >= 0)).all()
    with pytest.raises(SettingsError, match="read scans"):
        chosen_threshold(Rule(target_specificity=0.9), calibration, numbers, None, studies)


def test_a_shift_starts_from_what_the_model_shipped_with_whatever_counted_before() -> None:
    expected = Calibration(1.0, prior_shift_logits(0.5, 0.02))
    for now in (AS_SHIPPED, replace(AS_SHIPPED, calibration=TRUE, operating_point_id="here-1")):
        assert shifted(now, 0.02, 0.5)[0] == expected


def test_a_threshold_is_a_probability() -> None:
    for wrong in (0, 1, 50):
        with pytest.raises(SettingsError, match="above 0 and below 1"):
            chosen_threshold(Rule(threshold=wrong), TRUE, AS_SHIPPED, None, ([], 1))
    _, rule = chosen_threshold(Rule(), TRUE, AS_SHIPPED, None, ([], 1))
    assert rule == "the same scans as before (a rule)"
    assert chosen_threshold(Rule(), OWN, replace(AS_SHIPPED, rule=rule), None, ([], 1))[1] == rule
    flags_none = replace(AS_SHIPPED, threshold=1.0)  # of a training where no threshold was specific enough
    assert chosen_threshold(Rule(), TRUE, flags_none, None, ([], 1))[0] == 1.0
