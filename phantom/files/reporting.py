"""The reports of planned studies: what each radiologist sees and knows, what is said, and the truth about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phantom.files.schedule import StudyPlan
from phantom.files.truth_tables import fractured
from phantom.reports import Report, ReportCase, SpineFinding, concluding, draw_reports
from phantom.truth import VertebraTruth

Shown = tuple[VertebraTruth, ...]


@dataclass
class ReportingRoom:
    """Remembers which bodies earlier reports of a patient have named, and when that patient was here last."""

    named: dict[str, set[str]] = field(default_factory=dict)
    last_day: dict[str, dt.date] = field(default_factory=dict)

    def write(self, plan: StudyPlan, shown: Shown) -> tuple[Report, ...]:
        """All reports of one study; plans of a patient must come in order of time."""
        rng = np.random.default_rng([plan.patient.seed, plan.number, 0x4E9])
        reports = draw_reports(rng, self._case(plan, shown), statement=_fixed_statement(plan, shown))
        person = plan.person.person_id
        self.last_day[person] = plan.study_date
        for report in reports:
            self.named.setdefault(person, set()).update(report.levels)
        return reports

    def _case(self, plan: StudyPlan, shown: Shown) -> ReportCase:
        person = plan.person.person_id
        known = self.named.get(person, set())
        before = self.last_day.get(person) if plan.visit > 1 else None
        return ReportCase(
            findings=tuple(
                SpineFinding(
                    level=body.level,
                    grade=body.grade,
                    shape=body.shape or "wedge",
                    cause=body.cause,
                    is_recent=body.is_recent,
                    is_treated=body.is_treated,
                    was_known=body.level in known,
                    loss=body.loss,
                )
                for body in shown
                if body.is_visible and body.cause and body.grade
            ),
            coverage=plan.coverage,
            language=plan.language,
            age_years=plan.age_years,
            sex=plan.patient.sex,
            levels_shown=tuple(body.level for body in shown if body.is_visible),
            has_prior=before is not None,
            comparison=f"CT {before.isoformat()}" if before else "",
        )


def _fixed_statement(plan: StudyPlan, shown: Shown) -> str | None:
    """Of two accessions of one exam one report leaves the spine out, the other says what there is."""
    if plan.exam_role == "silent":
        return "unmentioned"
    if plan.exam_role == "saying":
        return "present" if fractured(shown) else "absent"
    return None


def report_rows(plan: StudyPlan, reports: tuple[Report, ...]) -> list[dict[str, str]]:
    """What the hospital's report system exports."""
    return [
        {
            "accession_number": plan.accession_number,
            "report_date": (plan.study_date + dt.timedelta(days=report.offset_days)).isoformat(),
            "text": report.text,
            "patient_id": plan.patient_id,
            "report_id": _report_id(plan, k),
            "status": report.status,
        }
        for k, report in enumerate(reports, 1)
    ]


def report_truth_rows(plan: StudyPlan, reports: tuple[Report, ...]) -> list[dict[str, Any]]:
    """What is true of each text, by construction."""
    return [
        {
            "report_id": _report_id(plan, k),
            "accession_number": plan.accession_number,
            "statement": report.statement,
            "study_statement": report.study_statement,
            "wording": report.wording,
            "levels": " ".join(report.levels),
            "acuity": report.acuity,
            "treatment": report.treatment,
            "cause": report.cause,
            "traps": " ".join(report.traps),
            "noise": " ".join(report.noise),
            "language": report.language,
            "script": report.script,
            "layout": report.layout,
            "is_sectioned": int(report.is_sectioned),
            "status": report.status,
        }
        for k, report in enumerate(reports, 1)
    ]


def report_columns(reports: tuple[Report, ...]) -> dict[str, Any]:
    """What the reports of a study say together, for its row of the truth."""
    last = concluding(reports) if reports else None
    return {
        "report_statement": reports[-1].study_statement if reports else "no_report",
        "report_levels": " ".join(last.levels) if last else "",
        "report_wording": last.wording if last else "",
        "n_reports": len(reports),
    }


def _report_id(plan: StudyPlan, k: int) -> str:
    return f"R{plan.number:06d}-{k}"
