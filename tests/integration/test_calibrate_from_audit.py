"""Calibration from the readings of an audit: each read unit weighs as many as its cell was drawn for."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
import warehouse_rows as rows

from estimates.calibration import Calibration
from estimates.prior import prior_shift_logits
from flows.audit_verdicts import Endpoint
from flows.calibrate import (
    Numbers,
    Rule,
    chosen_threshold,
    logits_of,
    read_audited,
    read_simple,
    recalibrated,
    shifted,
)
from flows.errors import SettingsError
from warehouse import schema
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.tables import WAREHOUSE_TABLES

TRUE = Calibration(0.8, -2.5)
OWN = Calibration(1.0, 0.0)
AS_SHIPPED = Numbers("model-1", "name", OWN, OWN, 0.5, 0.5, "shipped", "a rule", None, None, None)
N_DRAWN, N_UNITS = (200, 300), (400, 6000)  # flagged, not flagged


def studies_named(*names: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    schema.migrate(connection, schema.WAREHOUSE)
    batch = LandingBatch(studies=[rows.study(name) for name in names])
    insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))
    return connection


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
        with pytest.raises(SettingsError, match="no readings of audit A2"):
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
        assert shifted(now, 0.02, None)[0] == expected  # the share that the model came with
    assert shifted(AS_SHIPPED, 0.02, 0.25)[0].intercept == prior_shift_logits(0.25, 0.02)
    with pytest.raises(SettingsError, match="--trained-share"):
        shifted(replace(AS_SHIPPED, shipped_share=None), 0.02, None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_simple_sample_is_read_in_the_encodings_of_spreadsheets(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "read.csv"
    path.write_text("study_key,fracture\na,yes\nb,no\nc,no\n", encoding=encoding)
    with studies_named("a", "b", "c") as connection:
        read = read_simple(connection, path, {"a": 1.5, "b": -2.0})
        assert (read.logits, read.is_case, read.n_without_score) == ([1.5, -2.0], [True, False], 1)
        path.write_text("study_key,fracture\na,yes,and more\n", encoding=encoding)
        with pytest.raises(SettingsError, match="line 2"):
            read_simple(connection, path, {"a": 1.5})


def test_studies_that_are_not_here_are_told_apart_from_those_without_a_score(tmp_path: Path) -> None:
    path = tmp_path / "read.csv"
    path.write_text("study_key,fracture\na,yes\nb,no\nACC-1,no\nACC-2,no\n")
    with studies_named("a", "b") as connection:
        read = read_simple(connection, path, {"a": 1.5})
        assert (read.n_without_score, read.n_unknown) == (1, 2)
        with pytest.raises(SettingsError, match=r"1 more .* 2 are no studies of this warehouse"):
            recalibrated(read)
        path.write_text("study_key,fracture\nACC-1,yes\nACC-2,no\n")
        with pytest.raises(SettingsError, match="none of its 2 rows names a study"):
            read_simple(connection, path, {"a": 1.5})


def test_one_wrong_date_does_not_stretch_the_weeks_of_an_archive() -> None:
    days = [dt.date(1900, 1, 1), *(dt.date(2026, 1, 5) + dt.timedelta(days=i) for i in range(21))]
    found: list[object] = [rows.model(), rows.operating_point()]
    for number, day in enumerate(days):
        one = rows.one_scored_study(f"{number:02d}", n_series=1)
        study = replace(one.studies[0], study_date=day)
        found += [study, *one.series, *one.selections, *one.slabs, *one.scores]
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        insert_all(connection, WAREHOUSE_TABLES, to_arrow(LandingBatch.of(found)))
        logits, weeks = logits_of(connection, AS_SHIPPED)
    assert (len(logits), weeks) == (22, 4)  # three weeks of January, and the one of 1900
