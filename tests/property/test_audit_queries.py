"""The waterfall and the strata of the audit against a naive answer in pandas, on a real DuckDB file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import duckdb
import pandas as pd
import pytest
import warehouse_rows as rows
from duckdb import DuckDBPyConnection as Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse import schema
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.queries import query
from warehouse.records import StudyRecord
from warehouse.tables import WAREHOUSE_TABLES

REASONS = ("not_ct", "too_short", "dims", "unstable")
REJECTIONS = ("decode", "not_evaluable", "worker_died")
STEPS = ("found", "ct", "eligible", "scored", "with_report")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path: Path = tmp_path_factory.mktemp("audit") / "warehouse.duckdb"
    with duckdb.connect(str(path), config={"threads": 1}) as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        yield connection


def random_batch(chance: Random) -> LandingBatch:
    """Studies of few patients, one series each: scored, rejected, left out, or undecided."""
    batch = LandingBatch(models=[rows.model()], runs=[rows.run()])
    if chance.random() < 0.8:
        batch.operating_points = [rows.operating_point()]
    for number in range(chance.randrange(1, 30)):
        key, series_key = f"study-{number:02d}", f"series-{number:02d}"
        date = dt.date(2019 + chance.randrange(3), 1 + chance.randrange(12), 1)
        batch.studies.append(
            replace(
                rows.study(key, patient_key=chance.choice([None, *(f"patient-{i}" for i in range(8))])),
                age_years=chance.choice([None, 17, 49, 50, 59, 60, 89, 90, 101]),
                sex=chance.choice([None, "F", "M", "O"]),
                study_date=chance.choice([None, date]),
                site=chance.choice(["north", "south"]),
            )
        )
        one = rows.series(series_key, key)
        batch.series.append(replace(one, coverage_mm=chance.choice([None, 100.0, 250.0, 399.9, 400.0])))
        decide(batch, key, series_key, chance)
    return batch


def decide(batch: LandingBatch, key: str, series_key: str, chance: Random) -> None:
    draw = chance.random()
    if draw < 0.1:
        return
    reason = chance.choice(REASONS) if draw < 0.3 else None
    batch.selections.append(rows.selection(series_key, key, reason=reason))
    if reason is None and draw < 0.45:
        batch.rejections.append(rows.rejection(series_key, chance.choice(REJECTIONS)))
    elif reason is None and draw < 0.9:
        batch.scores.append(rows.score(series_key, logit=chance.gauss(0.5, 1)))


def fill(connection: Connection, batch: LandingBatch) -> None:
    for table in WAREHOUSE_TABLES:
        connection.execute(f"DELETE FROM {table.name}").fetchall()
    insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))


def ask(connection: Connection, name: str) -> pd.DataFrame:
    return connection.execute(query(name), {"model_id": None}).df()


many = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(seed=st.integers(0, 1 << 32))
def test_the_waterfall_loses_nobody(warehouse: Connection, seed: int) -> None:
    batch = random_batch(Random(seed))
    fill(warehouse, batch)
    found = ask(warehouse, "audit_waterfall")
    reached = found[found.reason.isna()].set_index("step").n_studies
    lost = found[found.reason.notna()].groupby("step").n_studies.sum()
    assert reached["found"] == len(batch.studies)
    for before, step in pairwise(STEPS):
        assert reached[before] == reached[step] + lost.get(step, 0), step
    eligible = {one.study_key for one in batch.selections if one.outcome == "eligible"}
    assert reached["eligible"] == len(eligible)
    assert reached["scored"] == len(batch.scores)
    not_ct = sum(one.reason == "not_ct" for one in batch.selections)
    assert reached["ct"] == len(batch.studies) - not_ct
    by_reason = found[found.step.eq("scored") & found.reason.notna()].groupby("reason").n_studies.sum()
    for reason in REJECTIONS:
        assert by_reason.get(reason, 0) == sum(one.reason == reason for one in batch.rejections)


def naive_strata(batch: LandingBatch) -> pd.DataFrame:
    """One row per patient and dimension, written out the slow way."""
    scores = {one.series_key.removeprefix("series-"): one.logit for one in batch.scores}
    coverage = {one.study_key: one.coverage_mm for one in batch.series}
    chosen: dict[str, tuple[tuple[bool, dt.date, str], StudyRecord]] = {}
    for study in batch.studies:
        if study.study_key.removeprefix("study-") not in scores:
            continue
        order = (study.study_date is None, study.study_date or dt.date.min, study.study_key)
        patient = study.patient_key or study.study_key
        if patient not in chosen or order < chosen[patient][0]:
            chosen[patient] = (order, study)
    table = []
    for _, first in chosen.values():
        logit = scores[first.study_key.removeprefix("study-")]
        flag = 2 * logit - 1 >= 0 if batch.operating_points else None
        table += [(*place, flag) for place in places(first, coverage)]
    return pd.DataFrame(table, columns=["dimension", "value", "flag"])


def places(study: StudyRecord, coverage: dict[str, float | None]) -> list[tuple[str, str]]:
    age, length = study.age_years, coverage[study.study_key]
    band = "unknown"
    if age is not None:
        band = "under 50" if age < 50 else "90 and over" if age >= 90 else f"{age // 10}0-{age // 10}9"
    reach = "unknown"
    if length is not None:
        reach = "under 250 mm" if length < 250 else "250 to 399 mm" if length < 400 else "400 mm and over"
    sex = study.sex or "unknown"
    year = str(study.study_date.year) if study.study_date else "unknown"
    return [
        ("all", "all"),
        ("sex", sex),
        ("age", band),
        ("age and sex", f"{band}, {sex}"),
        ("year", year),
        ("site", study.site),
        ("scanner", "MAKER SCANNER"),
        ("coverage", reach),
    ]


@many
@given(seed=st.integers(0, 1 << 32))
def test_strata_are_those_of_pandas(warehouse: Connection, seed: int) -> None:
    batch = random_batch(Random(seed))
    fill(warehouse, batch)
    found = ask(warehouse, "audit_strata").set_index(["dimension", "value"])
    naive = naive_strata(batch)
    if naive.empty:
        assert found.empty
        return
    groups = naive.groupby(["dimension", "value"]).flag
    assert found.n_patients.to_dict() == groups.size().to_dict()
    assert found.n_decided.to_dict() == groups.count().to_dict()
    assert found.n_flagged.to_dict() == groups.apply(lambda flags: int((flags == True).sum())).to_dict()  # noqa: E712
    assert (found.n_with_report == 0).all()  # no report was imported
