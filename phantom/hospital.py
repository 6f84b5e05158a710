"""A simulated hospital on disk: an archive of DICOM files, reports, and the truth behind both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phantom.families import BASE, Family
from phantom.packaging import file_away, litter
from phantom.reports import Report, draw_report, write_reports
from phantom.schedule import StudyPlan, draw_plans
from phantom.studies import COLUMNS, write_study
from phantom.truth import VertebraTruth
from phantom.truth_tables import fractured, study_row, vertebra_rows, write_table


@dataclass(frozen=True)
class HospitalSummary:
    """What was written."""

    directory: Path
    n_patients: int
    n_studies: int
    n_studies_with_fracture: int
    n_files: int
    n_bytes: int


def make_hospital(
    directory: Path,
    *,
    patients: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    family: Family = BASE,
    columns: int = COLUMNS,
) -> HospitalSummary:
    """Write archive/, reports.csv, truth.csv and truth_vertebrae.csv into `directory`, by seed alone.

    Axial slices have `columns` squared pixels. Calls `progress(done, total)` after every study. Raises
    FileExistsError when the archive is there already.
    """
    archive, work = directory / "archive", directory / "work-in-progress"
    archive.mkdir(parents=True)
    plans = draw_plans(patients, seed, family)
    truths: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    reports: list[dict[str, str]] = []
    for done, plan in enumerate(plans, start=1):
        shown = write_study(work, plan, columns=columns)
        file_away(work, archive, plan)
        report = _report(plan, shown)
        truths.append(study_row(plan, shown, report))
        bodies += vertebra_rows(plan, shown)
        reports += _report_rows(plan, report)
        if progress is not None:
            progress(done, len(plans))
    litter(archive)
    write_reports(directory / "reports.csv", reports)
    write_table(directory / "truth.csv", truths)
    write_table(directory / "truth_vertebrae.csv", bodies)
    files = [p for p in archive.rglob("*") if p.is_file()]
    return HospitalSummary(
        directory=directory,
        n_patients=patients,
        n_studies=len(plans),
        n_studies_with_fracture=sum(int(t["has_fracture"]) for t in truths),
        n_files=len(files),
        n_bytes=sum(p.stat().st_size for p in files),
    )


def _report(plan: StudyPlan, shown: tuple[VertebraTruth, ...]) -> Report | None:
    rng = np.random.default_rng([plan.patient.seed, plan.number, 0x4E9])
    broken = sorted(fractured(shown), key=lambda v: -v.grade)
    return draw_report(
        rng,
        worst_grade=broken[0].grade if broken else 0,
        levels=tuple(v.level for v in broken),
        coverage=plan.coverage,
        language=plan.language,
    )


def _report_rows(plan: StudyPlan, report: Report | None) -> list[dict[str, str]]:
    if report is None:
        return []
    return [
        {
            "accession_number": plan.accession_number,
            "report_date": plan.study_date.isoformat(),
            "text": report.text,
            "patient_id": plan.patient_id,
            "report_id": f"R{plan.number:06d}",
            "status": "final",
        }
    ]
