"""The gallery of a simulated hospital: its patients rendered again as slabs, without reading its files."""

from __future__ import annotations

import csv
from pathlib import Path

from phantom.anatomy import LEVELS_OF_COVERAGE
from phantom.families import BASE, Family
from phantom.files.schedule import StudyPlan, draw_plans
from phantom.gallery import MOST_PICTURES, Picture, Selection, facts_of, kinds_of, picture_of, write_gallery
from phantom.slabs import render_slab


def write_hospital_gallery(
    directory: Path, *, patients: int, seed: int, family: Family = BASE, pictures: int = MOST_PICTURES
) -> None:
    """Write index.html beside the archive that `make_hospital` has made with the same arguments.

    What the reports say is read from truth.csv.
    """
    with (directory / "truth.csv").open(encoding="utf-8", newline="") as file:
        statements = {row["accession_number"]: row["report_statement"] for row in csv.DictReader(file)}
    plans = draw_plans(patients, seed, family)
    chosen = Selection(pictures)
    for plan in plans:
        if chosen.wants(_expected_kind(plan)):
            chosen.add(_picture(plan, statements.get(plan.accession_number)))
    write_gallery(directory / "index.html", chosen.pictures, title="A simulated hospital", n_total=len(plans))


def _expected_kind(plan: StudyPlan) -> str:
    """What a study shows, before a pixel is painted."""
    levels = LEVELS_OF_COVERAGE[plan.coverage]
    return kinds_of([body for body in plan.patient.thoracolumbar if body.level in levels])[0]


def _picture(plan: StudyPlan, statement: str | None) -> Picture:
    slab = render_slab(plan.patient, coverage=plan.coverage, acquisition=plan.scan, seed=plan.number)
    facts = facts_of(slab, age_years=plan.age_years, sex=plan.patient.sex)
    said = [f"report: {statement.replace('_', ' ')}"] if statement else []
    title = f"Study {plan.accession_number}"
    return picture_of(slab, title=title, family=plan.patient.family.name, facts=[*facts, *said])
