"""A simulated hospital on disk: an archive of DICOM files, reports, and the truth behind both."""

from __future__ import annotations

import csv
import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phantom.families import BASE, Family
from phantom.reports import Report, draw_report, write_reports
from phantom.schedule import StudyPlan, draw_plans
from phantom.slabs import VertebraTruth
from phantom.studies import series_uid, study_uid, write_study

_ZIP_DATE = (2020, 1, 1, 0, 0, 0)


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
) -> HospitalSummary:
    """Write archive/, reports.csv, truth.csv and truth_vertebrae.csv into `directory`, by seed alone.

    Calls `progress(done, total)` after every study. Raises FileExistsError when the archive is there already.
    """
    archive, work = directory / "archive", directory / "work-in-progress"
    archive.mkdir(parents=True)
    plans = draw_plans(patients, seed, family)
    truths: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    reports: list[dict[str, str]] = []
    for done, plan in enumerate(plans, start=1):
        shown = write_study(work, plan)
        _file_away(work, archive, plan)
        report = _report(plan, shown)
        truths.append(_truth_row(plan, shown, report))
        bodies += _body_rows(plan, shown)
        reports += _report_rows(plan, report)
        if progress is not None:
            progress(done, len(plans))
    _litter(archive)
    write_reports(directory / "reports.csv", reports)
    _write_csv(directory / "truth.csv", truths)
    _write_csv(directory / "truth_vertebrae.csv", bodies)
    files = [p for p in archive.rglob("*") if p.is_file()]
    return HospitalSummary(
        directory=directory,
        n_patients=patients,
        n_studies=len(plans),
        n_studies_with_fracture=sum(int(t["worst_grade"]) > 0 for t in truths),
        n_files=len(files),
        n_bytes=sum(p.stat().st_size for p in files),
    )


def _file_away(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Move a study from the work folder to where this hospital keeps it."""
    day, name = plan.study_date, plan.accession_number
    if plan.packaging == "zip":
        _zip(work, archive / "transfer" / f"{name}.zip")
        shutil.rmtree(work)
    elif plan.packaging == "hashed":
        for path in sorted(p for p in work.rglob("*") if p.is_file()):
            key = hashlib.sha256(f"{plan.seed}/{path.relative_to(work).as_posix()}".encode()).hexdigest()
            target = archive / "objects" / key[:2] / key[2:34]
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        shutil.rmtree(work)
    elif plan.packaging == "flat":
        target = archive / "export" / f"CASE{plan.number:04d}"
        target.mkdir(parents=True)
        for path in sorted(p for p in work.rglob("*") if p.is_file()):
            path.rename(target / f"{path.parent.name}_{path.name}.dcm")
        shutil.rmtree(work)
    else:
        target = archive / f"{day:%Y}" / f"{day:%m}" / f"CT_{name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)


def _zip(work: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for path in sorted(p for p in work.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(path.relative_to(work).as_posix(), _ZIP_DATE)
            bundle.writestr(info, path.read_bytes())


def _litter(archive: Path) -> None:
    """What else lies in such folders."""
    (archive / "README.txt").write_text("Export of the CT archive. Ask radiology IT before moving.\n")
    (archive / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    (archive / "export.log").write_text("".join(f"{k:04d} copied\n" for k in range(40)))


def _report(plan: StudyPlan, shown: tuple[VertebraTruth, ...]) -> Report | None:
    rng = np.random.default_rng([plan.patient.seed, plan.number, 0x4E9])
    fractured = sorted((v for v in shown if v.is_visible and v.grade), key=lambda v: -v.grade)
    return draw_report(
        rng,
        worst_grade=fractured[0].grade if fractured else 0,
        levels=tuple(v.level for v in fractured),
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


def _truth_row(plan: StudyPlan, shown: tuple[VertebraTruth, ...], report: Report | None) -> dict[str, Any]:
    visible = [v for v in shown if v.is_visible]
    fractured = [v for v in visible if v.grade]
    return {
        "patient_id": plan.patient_id,
        "accession_number": plan.accession_number,
        "study_instance_uid": study_uid(plan),
        "series_instance_uid": series_uid(plan, "sagittal" if plan.kind == "sagittal" else "thin"),
        "study_date": plan.study_date.isoformat(),
        "age_years": plan.age_years,
        "sex": plan.patient.sex,
        "coverage": plan.coverage,
        "has_fracture": int(bool(fractured)),
        "worst_grade": max((v.grade for v in fractured), default=0),
        "n_fractures": len(fractured),
        "fractured_levels": " ".join(v.level for v in fractured),
        "first_level": visible[0].level if visible else "",
        "last_level": visible[-1].level if visible else "",
        "has_imitator": int(plan.patient.has_imitator),
        "report_statement": report.statement if report else "no_report",
        "kind": plan.kind,
        "patient_position": plan.position,
        "transfer_syntax": str(plan.transfer_syntax),
        "packaging": plan.packaging,
        "slice_spacing_mm": plan.scan.spacing_mm,
        "family": plan.patient.family.name,
    }


def _body_rows(plan: StudyPlan, shown: tuple[VertebraTruth, ...]) -> list[dict[str, Any]]:
    return [
        {
            "accession_number": plan.accession_number,
            "study_instance_uid": study_uid(plan),
            "level": v.level,
            "grade": v.grade,
            "shape": v.shape,
            "anterior_mm": f"{v.anterior_mm:.2f}",
            "middle_mm": f"{v.middle_mm:.2f}",
            "posterior_mm": f"{v.posterior_mm:.2f}",
            "loss": f"{v.loss:.4f}",
            "trabecular_hu": f"{v.trabecular_hu:.1f}",
            "is_visible": int(v.is_visible),
        }
        for v in shown
    ]


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
