"""The queries of the audit against naive answers in pandas, on a real DuckDB file with generated rows."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pandas as pd
import pytest
import warehouse_rows as rows
from audit_rows import LEXICON, add_report
from duckdb import DuckDBPyConnection as Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estimates.audit_cells import AiResult, ReportResult, patient_days
from warehouse import schema
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.queries import query
from warehouse.reasons import REASONS as KNOWN_REASONS
from warehouse.records import LexiconRecord
from warehouse.tables import WAREHOUSE_TABLES

# What selection says: of another question (the first two), or in the way of an answer.
OUTSIDE, IN_THE_WAY = ("not_ct", "too_short"), ("missing_slices", "dims")
REJECTIONS = ("decode", "not_evaluable", "worker_died")
STEPS = ("found", "ct", "eligible", "scored", "with_report", "audited")
AI = [ai.value for ai in AiResult]
REPORTS = [report.value for report in ReportResult]
STATEMENTS = ["present", "possible", "absent", "unmentioned"]
RULES = ["first", "last", "patient-day", "all"]
FROM_AGE = 50


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path: Path = tmp_path_factory.mktemp("audit") / "warehouse.duckdb"
    with duckdb.connect(str(path), config={"threads": 1}) as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        yield connection


def random_batch(chance: Random) -> LandingBatch:
    """Studies of few patients, one series each: scored, rejected, left out, or undecided; some with a report."""
    batch = LandingBatch(models=[rows.model()], runs=[rows.run()], lexica=[LexiconRecord(LEXICON, "en", 1)])
    if chance.random() < 0.8:
        batch.operating_points = [rows.operating_point()]
    for number in range(chance.randrange(1, 30)):
        key, series_key = f"study-{number:02d}", f"series-{number:02d}"
        date = dt.date(2019 + chance.randrange(2), 1 + chance.randrange(3), 1)
        batch.studies.append(
            replace(
                rows.study(key, patient_key=chance.choice([None, *(f"patient-{i}" for i in range(6))])),
                age_years=chance.choice([None, 17, 49, 50, 59, 60, 89, 90, 101]),
                sex=chance.choice([None, "F", "M", "O"]),
                study_date=chance.choice([None, date, date]),
                site=chance.choice(["north", "south"]),
            )
        )
        one = rows.series(series_key, key)
        batch.series.append(replace(one, coverage_mm=chance.choice([None, 100.0, 250.0, 399.9, 400.0])))
        decide(batch, key, series_key, chance)
        if chance.random() < 0.6:
            wording = chance.choice(["fracture", "ambiguous"])
            statement = chance.choice([*STATEMENTS, "unread"])
            add_report(batch, key, statement, "none" if statement in ("unmentioned", "unread") else wording)
    return batch


def decide(batch: LandingBatch, key: str, series_key: str, chance: Random) -> None:
    draw = chance.random()
    if draw < 0.1:
        return
    reason = chance.choice([*OUTSIDE, *IN_THE_WAY]) if draw < 0.3 else None
    batch.selections.append(rows.selection(series_key, key, reason=reason))
    if reason is None and draw < 0.45:
        batch.rejections.append(rows.rejection(series_key, chance.choice(REJECTIONS)))
    elif reason is None and draw < 0.9:
        batch.scores.append(rows.score(series_key, logit=round(chance.gauss(0.5, 1), 3)))


def fill(connection: Connection, batch: LandingBatch) -> None:
    for table in WAREHOUSE_TABLES:
        connection.execute(f"DELETE FROM {table.name}").fetchall()
    insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))


def ask(connection: Connection, name: str, **parameters: object) -> pd.DataFrame:
    return connection.execute(query(name), {"model_digest": None, **parameters}).df()


def naive_studies(batch: LandingBatch) -> pd.DataFrame:
    """One row per study, written out the slow way."""
    chosen = {one.study_key: one for one in batch.selections}
    scores = {"study-" + one.series_key.removeprefix("series-"): one.logit for one in batch.scores}
    stated = {
        report.study_key: (said.statement, said.wording)
        for report, said in zip(batch.reports, batch.report_statements, strict=True)
        if said.statement != "unread"
    }
    coverage = {one.study_key: one.coverage_mm for one in batch.series}
    table = []
    for study in batch.studies:
        key, selection = study.study_key, chosen.get(study.study_key)
        reason = selection.reason if selection else None
        statement, wording = stated.get(key, (None, None))
        logit = scores.get(key)
        table.append(
            {
                "study": study,
                "study_key": key,
                "person": study.patient_key or f"study {key}",
                "reason": reason,
                "is_eligible": selection is not None and reason not in OUTSIDE,
                "ai": naive_ai(logit, bool(batch.operating_points)),
                "probability": logit,
                "report": naive_report(statement, wording),
                "statement": statement,
                "coverage": coverage[key],
            }
        )
    return pd.DataFrame(table, dtype=object)  # object: a missing flag stays None


def naive_ai(logit: float | None, has_point: bool) -> str | None:
    if logit is None:
        return "not_scored"
    if not has_point:
        return None
    return "flagged" if 2 * logit - 1 >= 0 else "not_flagged"


def naive_report(statement: str | None, wording: str | None) -> str:
    if statement is None:
        return "no_report"
    if statement == "present" and wording == "fracture":
        return "fracture"
    return "ambiguous" if statement in ("present", "possible") else "not_reported"


def naive_units(studies: pd.DataFrame, rule: str) -> list[dict[str, Any]]:
    """Units of a rule: days made of studies, then the day that the rule takes of each person."""
    days: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in studies.to_dict("records"):
        if not row["is_eligible"]:
            continue
        study = row["study"]
        has_day = rule != "all" and study.patient_key is not None and study.study_date is not None
        day = str(study.study_date) if has_day else f"study {study.study_key}"
        days.setdefault((row["person"], day), []).append(row)
    reported = {
        row["person"]: min(
            r["study"].study_date
            for r in studies.to_dict("records")
            if r["person"] == row["person"] and r["report"] == "fracture" and r["study"].study_date
        )
        for row in studies.to_dict("records")
        if row["report"] == "fracture" and row["study"].study_date
    }
    units = [naive_unit(person, day, exams, reported) for (person, day), exams in days.items()]
    if rule in ("patient-day", "all"):
        return units
    taken: dict[str, dict[str, Any]] = {}
    for unit in units:
        date = unit["date"]
        is_out = not is_counted(unit)  # a day at an age that counts comes before any other
        order = (
            (is_out, date is None, date or dt.date.min, unit["day"])
            if rule == "first"
            else (
                is_out,
                date is None,
                -(date or dt.date.min).toordinal(),
                tuple(-ord(c) for c in unit["day"]),
            )
        )
        there = taken.get(unit["person"])
        if there is None or order < there["order"]:
            taken[unit["person"]] = {**unit, "order": order}
    return list(taken.values())


def naive_unit(
    person: str, day: str, exams: list[dict[str, Any]], reported: dict[str, dt.date]
) -> dict[str, Any]:
    scored = [row for row in exams if row["ai"] != "not_scored"]
    # Without an operating point there is no probability, so the first study stands for the day.
    by_score = scored and scored[0]["ai"] is not None
    main = max(
        exams,
        key=lambda r: (
            r["probability"] if by_score and r in scored else -99,
            [-ord(c) for c in r["study_key"]],
        ),
    )
    study = main["study"]
    ai = None if any(row["ai"] is None for row in exams) else min((r["ai"] for r in exams), key=AI.index)
    said = [row["statement"] for row in exams if row["statement"]]
    first = reported.get(person)
    return {
        "unit_key": f"{person}|{day}",
        "person": person,
        "day": day,
        "date": study.study_date,
        "study": study,
        "main": main,
        "study_keys": sorted(row["study_key"] for row in exams),
        "ai": ai,
        "report": min((row["report"] for row in exams), key=REPORTS.index),
        "statement": min(said, key=STATEMENTS.index) if said else None,
        "is_known_before": bool(first and study.study_date and first < study.study_date),
    }


def is_counted(unit: dict[str, Any]) -> bool:
    age = unit["study"].age_years
    return age is not None and age >= FROM_AGE


many = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(seed=st.integers(0, 1 << 32))
def test_the_waterfall_loses_nobody(warehouse: Connection, seed: int) -> None:
    batch = random_batch(Random(seed))
    fill(warehouse, batch)
    found = ask(warehouse, "audit_waterfall", audit_id=None, judged=[])
    reached = found[found.reason.isna()].set_index("step").n_studies
    lost = found[found.reason.notna()].groupby("step").n_studies.sum()
    assert reached["found"] == len(batch.studies)
    for before, step in pairwise(STEPS):
        assert reached[before] == reached[step] + lost.get(step, 0), step
    naive = naive_studies(batch)
    eligible = naive[naive.is_eligible.astype(bool)]
    assert reached["ct"] == (naive.reason != "not_ct").sum()
    assert reached["eligible"] == len(eligible)
    assert reached["scored"] == len(batch.scores)
    scored = eligible[eligible.ai != "not_scored"]
    assert reached["with_report"] == (scored.report != "no_report").sum()
    assert reached["audited"] == 0
    by_reason = found[found.step.eq("scored") & found.reason.notna()].groupby("reason").n_studies.sum()
    for reason in REJECTIONS:
        assert by_reason.get(reason, 0) == sum(one.reason == reason for one in batch.rejections)


@many
@given(seed=st.integers(0, 1 << 32), rule=st.sampled_from(RULES))
def test_units_are_those_of_pandas(warehouse: Connection, seed: int, rule: str) -> None:
    batch = random_batch(Random(seed))
    fill(warehouse, batch)
    found = ask(warehouse, "audit_units", rule=rule, from_age=FROM_AGE)
    naive = {u["unit_key"]: u for u in naive_units(naive_studies(batch), rule) if is_counted(u)}
    assert found.unit_key.tolist() == sorted(naive)
    for row in found.to_dict("records"):
        unit = naive[row["unit_key"]]
        assert list(row["study_keys"]) == unit["study_keys"]
        assert row["study_key"] == unit["main"]["study_key"]
        for name in ("ai", "report", "statement"):
            assert (None if pd.isna(row[name]) else row[name]) == unit[name], name
        assert row["is_known_before"] == unit["is_known_before"]
        assert row["age_years"] == unit["study"].age_years
        assert row["site"] == unit["study"].site


@many
@given(seed=st.integers(0, 1 << 32))
def test_patient_days_are_those_of_the_estimates(warehouse: Connection, seed: int) -> None:
    """The SQL and `estimates.audit_cells.patient_days` make the same units of the same exams."""
    batch = random_batch(Random(seed))
    batch.operating_points = [rows.operating_point()]
    batch.studies = [replace(study, age_years=60) for study in batch.studies]
    fill(warehouse, batch)
    found = ask(warehouse, "audit_units", rule="patient-day", from_age=FROM_AGE).to_dict("records")
    told = {row["unit_key"]: (row["ai"], row["report"]) for row in found if "|study" not in row["unit_key"]}
    exams = [
        row
        for row in naive_studies(batch).to_dict("records")
        if row["is_eligible"] and row["study"].patient_key and row["study"].study_date
    ]
    days = patient_days(
        [row["person"] for row in exams],
        [str(row["study"].study_date) for row in exams],
        [AiResult(row["ai"]) for row in exams],
        [ReportResult(row["report"]) for row in exams],
        [float("nan") if row["probability"] is None else row["probability"] for row in exams],
    )
    keys = [f"{patient}|{day}" for patient, day in zip(days.patient, days.day, strict=True)]
    assert told == dict(zip(keys, zip(days.ai, days.report, strict=True), strict=True))


def places(unit: dict[str, Any]) -> list[tuple[str, str]]:
    study, length = unit["study"], unit["main"]["coverage"]
    age, band = study.age_years, "unknown"
    if age is not None:
        band = "under 50" if age < 50 else "90 and over" if age >= 90 else f"{age // 10}0-{age // 10}9"
    reach = "unknown"
    if length is not None and not pd.isna(length):
        reach = "under 250 mm" if length < 250 else "250 to 399 mm" if length < 400 else "400 mm and over"
    sex = study.sex or "unknown"
    if not is_counted(unit):
        return [("age", band)]
    return [
        ("all", "all"),
        ("sex", sex),
        ("age", band),
        ("age and sex", f"{band}, {sex}"),
        ("year", str(study.study_date.year) if study.study_date else "unknown"),
        ("site", study.site),
        ("scanner", "MAKER SCANNER"),
        ("coverage", reach),
    ]


@many
@given(seed=st.integers(0, 1 << 32), rule=st.sampled_from(RULES))
def test_strata_are_those_of_pandas(warehouse: Connection, seed: int, rule: str) -> None:
    batch = random_batch(Random(seed))
    fill(warehouse, batch)
    found = ask(warehouse, "audit_strata", rule=rule, from_age=FROM_AGE)
    units = naive_units(naive_studies(batch), rule)
    counts: Counter[tuple[str, ...]] = Counter()
    for unit in units:
        for place in places(unit):
            counts[(*place, "n_units")] += 1
            counts[(*place, {None: "n_undecided"}.get(unit["ai"], f"n_{unit['ai']}"))] += 1
            columns = {"not_reported": "n_report_none", "no_report": "n_no_report"}
            counts[(*place, columns.get(unit["report"], f"n_report_{unit['report']}"))] += 1
    columns = [name for name in found.columns if name.startswith("n_")]
    told = {
        (row["dimension"], row["value"], name): row[name]
        for row in found.to_dict("records")
        for name in columns
        if row[name]
    }
    assert told == dict(counts)


@many
@given(seed=st.integers(0, 1 << 32))
def test_the_worklist_is_that_of_pandas(warehouse: Connection, seed: int) -> None:
    batch = random_batch(Random(seed))
    batch.operating_points = [rows.operating_point()]
    fill(warehouse, batch)
    found = ask(warehouse, "audit_worklist", rule="patient-day", from_age=FROM_AGE, length=3)
    units = naive_units(naive_studies(batch), "patient-day")
    for name, report in (("missed", "not_reported"), ("ambiguous", "ambiguous")):
        wanted = [
            unit
            for unit in units
            if unit["ai"] == "flagged"
            and unit["report"] == report
            and is_counted(unit)
            and not unit["is_known_before"]
        ]
        wanted.sort(key=lambda unit: (-unit["main"]["probability"], unit["unit_key"]))
        rows_of_list = found[found.list == name]
        assert rows_of_list.unit_key.tolist() == [unit["unit_key"] for unit in wanted[:3]]
        assert rows_of_list.place.tolist() == list(range(1, 1 + len(wanted[:3])))


@many
@given(seed=st.integers(0, 1 << 32))
def test_what_followed_the_first_flag_is_that_of_pandas(warehouse: Connection, seed: int) -> None:
    batch = random_batch(Random(seed))
    batch.operating_points = [rows.operating_point()]
    fill(warehouse, batch)
    found = ask(warehouse, "audit_longitudinal", from_age=FROM_AGE, confirmed=[])
    by_person: dict[str, list[dict[str, Any]]] = {}
    for unit in naive_units(naive_studies(batch), "patient-day"):
        if unit["study"].patient_key and unit["date"]:
            by_person.setdefault(unit["person"], []).append(unit)
    expected: Counter[tuple[str, int, bool]] = Counter()
    for days in by_person.values():
        flagged = [day["date"] for day in days if day["ai"] == "flagged" and is_counted(day)]
        if not flagged:
            continue
        then = next(day["report"] for day in days if day["date"] == min(flagged))
        later = [day["report"] for day in days if day["date"] > min(flagged)]
        spoke = any(report in ("fracture", "ambiguous") for report in later)
        expected[(then, min(5, later.count("not_reported")), spoke)] += 1
    told = {
        (row["report_then"], row["n_later_silent"], row["is_reported_later"]): row["n_patients"]
        for row in found.to_dict("records")
    }
    assert told == dict(expected)
    assert not found.is_confirmed.any()


def test_reasons_outside_the_question_are_known() -> None:
    text = next(view for view in schema.WAREHOUSE.views if "audit_studies" in view)
    listed = text.split("split_part(found.reason, ':', 1) NOT IN (")[1].split(")")[0]
    codes = [code.strip().strip("'") for code in listed.split(",")]
    assert len(codes) > 15
    assert set(codes) <= set(KNOWN_REASONS)
    assert all(KNOWN_REASONS[code].outcome.value == "excluded" for code in codes)
