"""The truth of a simulated hospital as two tables: one row per study, one per vertebra (docs/phantom-truth.md)."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phantom.files.schedule import StudyPlan
from phantom.files.studies import WrittenStudy
from phantom.files.study_tags import expected_outcome, kernel_class, kvp_of, main_kind, series_uid, study_uid
from phantom.truth import VertebraTruth, other_causes, worst_osteoporotic_grade
from phantom.vertebrae.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC

Shown = tuple[VertebraTruth, ...]


def study_row(plan: StudyPlan, study: WrittenStudy, report: dict[str, Any]) -> dict[str, Any]:
    """One study; `report` holds the columns on what its reports say."""
    shown = study.vertebrae
    return {
        "patient_id": plan.patient_id,
        "accession_number": plan.accession_number,
        "study_instance_uid": study_uid(plan),
        "series_instance_uid": series_uid(plan, main_kind(plan)),
        "study_date": plan.study_date.isoformat(),
        "age_years": plan.age_years,
        "sex": plan.patient.sex,
        "coverage": plan.coverage,
        **_label_columns(shown),
        **_change_columns(plan, shown),
        **_level_columns(shown),
        "has_imitator": int(any(v.imitators for v in shown if v.is_visible)),
        **_disturbance_columns(shown),
        "has_contrast": int(plan.patient.has_contrast),
        **report,
        "expected": expected_outcome(plan),
        **_person_columns(plan),
        **_scan_columns(plan, study),
        **_file_columns(plan),
        "family": plan.patient.family.name,
    }


def fractured(shown: Iterable[VertebraTruth]) -> list[VertebraTruth]:
    """Bodies shown whole with an osteoporotic fracture, top to bottom."""
    return [v for v in shown if v.is_visible and v.grade and v.cause == OSTEOPOROTIC]


def _label_columns(shown: Shown) -> dict[str, Any]:
    broken = fractured(shown)
    return {
        "has_fracture": int(bool(broken)),
        "worst_grade": worst_osteoporotic_grade(shown),
        "n_fractures": len(broken),
        "fractured_levels": " ".join(v.level for v in broken),
        "recent_levels": " ".join(v.level for v in broken if v.is_recent),
    }


def _change_columns(plan: StudyPlan, shown: Shown) -> dict[str, Any]:
    """What is new since the patient's study before; empty at a first study."""
    if plan.earlier is None:
        return {"visit": plan.visit, "has_new_fracture_since_last": "", "new_levels": ""}
    before = {v.level for v in plan.earlier.thoracolumbar if v.grade and v.cause == OSTEOPOROTIC}
    new = [v.level for v in fractured(shown) if v.level not in before]
    return {"visit": plan.visit, "has_new_fracture_since_last": int(bool(new)), "new_levels": " ".join(new)}


def _level_columns(shown: Shown) -> dict[str, Any]:
    visible = [v for v in shown if v.is_visible]
    return {
        "first_level": visible[0].level if visible else "",
        "last_level": visible[-1].level if visible else "",
        "n_levels_visible": len(visible),
    }


def _disturbance_columns(shown: Shown) -> dict[str, Any]:
    causes = other_causes(shown)
    found = {name for v in shown if v.is_visible for name in v.disturbances}
    return {
        "imitators": " ".join(sorted({name for v in shown if v.is_visible for name in v.imitators})),
        "has_traumatic": int(TRAUMATIC in causes),
        "has_pathological": int(PATHOLOGICAL in causes),
        "has_cement": int(any(v.is_treated for v in shown if v.is_visible)),
        "has_metal": int(bool(found & {"screws", "screw", "rod", "rods", "metal"})),
        "disturbances": " ".join(sorted(found)),
    }


def _person_columns(plan: StudyPlan) -> dict[str, Any]:
    """Who it truly is, and which exam, where registrations or accessions are double."""
    is_missing = "no_accession" in plan.files.flaws
    return {
        "person_id": plan.person.person_id,
        "has_two_patient_ids": int(bool(plan.person.second_id)),
        "exam": plan.exam,
        "exam_role": plan.exam_role,
        "accession_in_header": "" if is_missing else plan.accession_number,
        "language": plan.language,
    }


def _scan_columns(plan: StudyPlan, study: WrittenStudy) -> dict[str, Any]:
    scan, device = plan.scan, plan.files.device
    return {
        "manufacturer": device.line.maker,
        "model_name": device.line.model,
        "station": device.station,
        "kvp": kvp_of(plan),
        "kernel_class": kernel_class(plan),
        "kernel": "\\".join(_values(device.kernel(kernel_class(plan)))),
        "slice_spacing_mm": f"{scan.spacing_mm:g}",
        "slice_thickness_mm": f"{scan.thickness_mm:g}",
        "pixel_mm": f"{study.pixel_mm:.4f}" if study.pixel_mm else "",
        "noise_hu": f"{scan.noise_hu:.1f}",
        "patient_position": plan.files.position,
        "tilt_deg": f"{study.tilt_deg:.1f}",
        "rotation_deg": f"{scan.yaw_deg:.1f}",
        "arms": scan.arms,
        "is_skin_cut": int(scan.is_small_field),
        "motion_mm": f"{max(scan.motion_mm, scan.breath_mm):.1f}",
    }


def _values(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _file_columns(plan: StudyPlan) -> dict[str, Any]:
    files = plan.files
    return {
        "kind": files.kind,
        "transfer_syntax": str(files.transfer_syntax),
        "is_lossy": int(files.is_lossy),
        "bits_stored": files.storage.bits_stored,
        "is_signed": int(files.storage.is_signed),
        "rescale_slope": f"{files.storage.slope:g}",
        "rescale_intercept": f"{files.storage.intercept:g}",
        "padding": "" if files.storage.padding is None else files.storage.padding,
        "charset": files.text.label,
        "packaging": files.packaging,
        "series": " ".join(files.series),
        "flaws": " ".join(files.flaws),
    }


def vertebra_rows(plan: StudyPlan, shown: Shown) -> list[dict[str, Any]]:
    """The seventeen bodies T1-L5 of one study."""
    return [
        {
            "accession_number": plan.accession_number,
            "study_instance_uid": study_uid(plan),
            "level": v.level,
            "grade": v.grade,
            "shape": v.shape,
            "cause": v.cause,
            "is_recent": int(v.is_recent),
            "is_treated": int(v.is_treated),
            "imitators": " ".join(v.imitators),
            "disturbances": " ".join(v.disturbances),
            "anterior_mm": f"{v.anterior_mm:.2f}",
            "middle_mm": f"{v.middle_mm:.2f}",
            "posterior_mm": f"{v.posterior_mm:.2f}",
            "intact_anterior_mm": f"{v.intact_mm[0]:.2f}",
            "intact_middle_mm": f"{v.intact_mm[1]:.2f}",
            "intact_posterior_mm": f"{v.intact_mm[2]:.2f}",
            "loss": f"{v.loss:.4f}",
            "trabecular_hu": f"{v.trabecular_hu:.1f}",
            "is_visible": int(v.is_visible),
        }
        for v in shown
    ]


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows with equal keys as CSV (UTF-8)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
