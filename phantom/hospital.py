"""A simulated hospital on disk: an archive of DICOM files, reports, and the truth behind both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from phantom.families import BASE, Family
from phantom.files.packaging import file_away, litter
from phantom.files.reporting import ReportingRoom, report_columns, report_rows, report_truth_rows
from phantom.files.schedule import StudyPlan, draw_plans
from phantom.files.studies import COLUMNS, WrittenStudy, write_study
from phantom.files.truth_tables import study_row, vertebra_rows, write_table
from phantom.reports import write_reports

# `map`, or that of a pool of processes: calls the function on each pair of arguments, gives the results in order.
StudyMap = Callable[
    [Callable[[Path, StudyPlan], WrittenStudy], Iterable[Path], Iterable[StudyPlan]], Iterable[WrittenStudy]
]


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
    study_map: StudyMap = map,
) -> HospitalSummary:
    """Write archive/, reports.csv and three tables of truth into `directory`, by seed alone.

    The tables (`docs/phantom-truth.md`) are truth.csv, truth_reports.csv and truth_vertebrae.csv, the last one
    written last. Axial slices have `columns` squared pixels. `study_map` may write several studies at a time, the
    files are the same. Calls `progress(done, total)` after every study.
    Raises FileExistsError when the archive is there already.
    """
    archive, work = directory / "archive", directory / "work-in-progress"
    archive.mkdir(parents=True)
    plans = draw_plans(patients, seed, family)
    truths: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    texts: list[dict[str, str]] = []
    said: list[dict[str, Any]] = []
    room = ReportingRoom()
    folders = [work / f"{plan.number:06d}" for plan in plans]
    written = study_map(partial(write_study, columns=columns), folders, plans)
    for done, (plan, folder, study) in enumerate(zip(plans, folders, written, strict=True), start=1):
        file_away(folder, archive, plan)
        reports = room.write(plan, study.vertebrae)
        truths.append(study_row(plan, study, report_columns(reports)))
        bodies += vertebra_rows(plan, study.vertebrae)
        texts += report_rows(plan, reports)
        said += report_truth_rows(plan, reports)
        if progress is not None:
            progress(done, len(plans))
    work.rmdir()
    litter(archive)
    write_reports(directory / "reports.csv", texts)
    write_table(directory / "truth.csv", truths)
    write_table(directory / "truth_reports.csv", said)
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
