"""Builds a warehouse of an audited hospital: studies with scores, reports with statements, and a truth behind both."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import warehouse_rows as rows

from warehouse import records
from warehouse.landing import LandingBatch
from warehouse.store import Store

LEXICON = "lexicon-1"
# The operating point of `rows.operating_point`: probability 1 / (1 + exp(1 − 2·logit)), threshold one half.
THRESHOLD_LOGIT = 0.5


@dataclass(frozen=True)
class Hospital:
    """Shares a hospital is drawn with; probabilities in [0, 1]."""

    n_patients: int = 400
    prevalence: float = 0.2
    ai_sensitivity: float = 0.85
    ai_specificity: float = 0.92
    report_sensitivity: float = 0.4
    report_specificity: float = 0.995
    not_scored: float = 0.05
    no_report: float = 0.1


def report_rows(
    study_key: str, statement: str, *, wording: str | None = None, number: int = 1, group: str | None = None
) -> tuple[records.ReportRecord, records.ReportStatementRecord]:
    """A final report of a study, linked, and what it states."""
    report_key = f"report-{study_key}-{number}"
    words = {"present": "fracture", "possible": "fracture", "absent": "fracture"}
    return (
        records.ReportRecord(
            report_key, study_key, "final", rows.START, number, 100, "linked", None, None, group
        ),
        records.ReportStatementRecord(
            report_key,
            LEXICON,
            statement,
            wording or words.get(statement, "none"),
            [],
            None,
            None,
            None,
            0 if statement == "unmentioned" else 1,
        ),
    )


def add_report(
    batch: LandingBatch, study_key: str, statement: str, wording: str | None = None, group: str | None = None
) -> None:
    """Give a study a report."""
    report, stated = report_rows(study_key, statement, wording=wording, group=group)
    batch.reports.append(report)
    batch.report_statements.append(stated)


def hospital_batch(hospital: Hospital, seed: int) -> tuple[LandingBatch, dict[str, bool]]:
    """One study a patient, and study → has a fracture. Scores of cases and others differ as the shares say."""
    chance = Random(seed)
    batch = LandingBatch(
        models=[rows.model()],
        runs=[rows.run()],
        operating_points=[rows.operating_point()],
        lexica=[records.LexiconRecord(LEXICON, "en", 1)],
    )
    truth: dict[str, bool] = {}
    for number in range(hospital.n_patients):
        name = f"{number:05d}"
        truth[f"study-{name}"] = chance.random() < hospital.prevalence
        _add_study(batch, hospital, name, truth[f"study-{name}"], chance)
    n = len(batch.studies)
    batch.archives = [rows.archive(n_files=10 * n, n_studies=n, n_series=n)]
    return batch, truth


def _add_study(batch: LandingBatch, hospital: Hospital, name: str, is_case: bool, chance: Random) -> None:
    study_key, series_key, patient_key = f"study-{name}", f"series-{name}", f"patient-{name}"
    batch.studies.append(
        replace(
            rows.study(study_key, patient_key=patient_key),
            age_years=chance.choice([52, 58, 63, 67, 71, 76, 82, 88, 93, 101]),
            sex=chance.choice("FM"),
            study_date=dt.date(chance.choice([2019, 2020, 2021]), 1 + chance.randrange(12), 1),
        )
    )
    batch.series.append(rows.series(series_key, study_key))
    batch.selections.append(rows.selection(series_key, study_key))
    batch.patient_identities.append(records.PatientIdentity(patient_key, "north", f"PID-{name}", None))
    batch.study_identities.append(
        records.StudyIdentity(study_key, patient_key, f"1.2.3.{name}", f"ACC-{name}")
    )
    if chance.random() < hospital.not_scored:
        batch.rejections.append(rows.rejection(series_key, "decode"))
    else:
        is_flagged = chance.random() < (hospital.ai_sensitivity if is_case else 1 - hospital.ai_specificity)
        logit = (
            THRESHOLD_LOGIT + (1 if is_flagged else -1) * abs(chance.gauss(0, 1.5)) - (not is_flagged) * 1e-6
        )
        batch.scores.append(rows.score(series_key, logit=logit))
    if chance.random() >= hospital.no_report:
        says = chance.random() < (hospital.report_sensitivity if is_case else 1 - hospital.report_specificity)
        words = ["present", "present", "possible"] if says else ["unmentioned", "unmentioned", "absent"]
        group = "day" if int(name) % 2 else "night"
        add_report(batch, study_key, chance.choice(words), group=group)


def filled_store(folder: Path, batch: LandingBatch) -> Store:
    """A warehouse that holds a batch, published."""
    store = Store.open(folder / "warehouse.duckdb")
    store.land(batch)
    store.publish()
    return store


def read_by_two(
    listed: Path, target: Path, truth: Mapping[str, bool], studies_of: Mapping[str, str], seed: int = 1
) -> None:
    """Fill a reading list as two readers who find what is there, with grades; every 20th case is adjudicated."""
    chance = Random(seed)
    with listed.open(encoding="utf-8", newline="") as stream:
        cases = list(csv.DictReader(stream))
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, cases[0])
        writer.writeheader()
        for number, row in enumerate(cases):
            grade = chance.choice([2, 2, 3]) if truth[studies_of[row["case_id"]]] else 0
            second = (0 if grade else 2) if number % 20 == 0 else grade
            writer.writerow(row | {"reader": "AB", "grade": grade})
            writer.writerow(row | {"reader": "CD", "grade": second})
            if second != grade:
                writer.writerow(row | {"reader": "EF", "grade": grade, "adjudication": "yes"})
