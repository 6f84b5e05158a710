"""Who is scanned when, and on what: the plan of a simulated hospital, by seed. Paints and writes nothing.

What makes files look different (scanner, syntax, packaging, flaws) is dealt out in turn by the number of the study, in
cycles of lengths without common factor; nothing of it knows what a scan will show.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy, draw_patient
from phantom.families import BASE, Family
from phantom.files.habits import FileHabits, deal_habits
from phantom.files.names import Person, draw_person
from phantom.files.series_words import BONE, THICK
from phantom.scanner.acquisition import Acquisition, draw_acquisition
from phantom.scanner.positions import POSITIONS
from phantom.scanner.scan_ranges import COVERAGES
from phantom.vertebrae.progression import later
from phantom.vertebrae.vertebra import OSTEOPOROTIC, Vertebra

FRACTURE_SHARE = 0.35  # of patients; more than a hospital's, so that a small demo shows some
INCIDENT_SHARE = 0.2  # of the later visits; whether there was a fracture before plays no part
OTHER_COVERAGE_SHARE = 0.3  # of the later visits
FIRST_DAY = dt.date(2017, 1, 9)
DAYS = 1900
YEAR_DAYS = 365.25
# Slice distances of the demo: mostly 2-3 mm, so that an archive stays small; thick ones have a share too.
_SPACINGS_MM = ((1.0, 1.25, 2.0, 2.5, 3.0, 5.0), (0.02, 0.04, 0.10, 0.32, 0.40, 0.12))
_OVERLAP = (1.0, 1.0, 1.0, 0.8)  # distance of slices as a share of their thickness
TWICE_FROM_MM = 2.5
READABLE_MM = 5.0
OVERLAP_FROM_MM = 2.0  # thinner slices would make an archive large
THIN_MM = 3.0  # thicker axial slices stand behind a native sagittal reformat
_BULKY = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless)
# Visits by the patient's number: a quarter of the patients come again, or have one exam under two accessions.
_CYCLE = 32
_VISITS = {3: 2, 10: 3, 14: 2, 19: 2, 26: 4, 30: 2}
_TWO_ACCESSIONS = {7: "split", 23: "copied"}
SPLIT_PARTS = ("chest", "abdomen-pelvis")


@dataclass(frozen=True)
class StudyPlan:
    """Everything decided about one study before a pixel is painted.

    `earlier` is the patient as of the study before, None at the first. `exam` names the exam, `exam_role` is
    "" for an exam with one accession, else "silent" or "saying": what its own report does. `scan_seed` makes the
    noise; two accessions of one exam share it.
    """

    number: int
    seed: str
    person: Person
    patient: Anatomy
    earlier: Anatomy | None
    visit: int
    scan: Acquisition
    scan_seed: int
    coverage: str
    patient_id: str
    birth_date: dt.date
    accession_number: str
    exam: str
    exam_role: str
    study_date: dt.date
    study_time: str
    language: str
    files: FileHabits

    @property
    def age_years(self) -> int:
        """Whole years at the day of the study."""
        day, birth = self.study_date, self.birth_date
        return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))

    @property
    def planned_grade(self) -> int:
        """Worst osteoporotic grade among the levels of its coverage; what the pixels show may be a body less."""
        return max((body.grade for body in _fractured(self.patient, self.coverage)), default=0)


def _fractured(patient: Anatomy, coverage: str) -> list[Vertebra]:
    levels = LEVELS_OF_COVERAGE[coverage]
    return [b for b in patient.thoracolumbar if b.cause == OSTEOPOROTIC and b.grade and b.level in levels]


@dataclass(frozen=True)
class _Draw:
    """What the plans of one patient are drawn from; `number` is that of the first study."""

    rng: np.random.Generator
    index: int
    number: int
    seed: int
    family: Family


def draw_plans(patients: int, seed: int, family: Family = BASE) -> list[StudyPlan]:
    """One to four studies for each of `patients` patients, in the order of their numbers."""
    plans: list[StudyPlan] = []
    for index in range(patients):
        rng = np.random.default_rng([seed, index, 0x905])
        before = plans[-1].person if plans else None
        plans += _patient_plans(_Draw(rng, index, len(plans), seed, family), before)
    return plans


def _patient_plans(draw: _Draw, before: Person | None) -> list[StudyPlan]:
    first = _first_study(draw, before)
    how = _TWO_ACCESSIONS.get(draw.index % _CYCLE)
    if how:
        return _two_accessions(first, how, draw.seed)
    plans = [first]
    for visit in range(2, _VISITS.get(draw.index % _CYCLE, 1) + 1):
        plans.append(_next_study(draw, plans[-1], visit))
    return plans


def _first_study(draw: _Draw, before: Person | None) -> StudyPlan:
    rng, number, seed = draw.rng, draw.number, draw.seed
    patient = draw_patient(
        int(rng.integers(2**31)),
        has_fracture=_is_fractured(draw),
        coverage="chest-abdomen-pelvis" if draw.index % _CYCLE in _TWO_ACCESSIONS else None,
        family=draw.family,
        other_causes=True,  # a hospital has trauma and collapsed metastases too
    )
    person = draw_person(rng, draw.index, seed, patient.sex, before)
    day = FIRST_DAY + dt.timedelta(days=int(rng.integers(DAYS)))
    birth = day - dt.timedelta(days=int(YEAR_DAYS * patient.age_years) + int(rng.integers(0, 30)))
    accession = _accession(day, seed, number)
    files = deal_habits(rng, number, seed, person)
    scan = _demo_scan(rng, draw.family, files.position)
    return StudyPlan(
        number=number,
        seed=f"{seed}/{draw.index}/{number}",
        person=person,
        patient=patient,
        earlier=None,
        visit=1,
        scan=scan,
        scan_seed=number,
        coverage=patient.coverage,
        patient_id=person.patient_id,
        birth_date=birth,
        accession_number=accession,
        exam=accession,
        exam_role="",
        study_date=day,
        study_time=_time(rng),
        language=person.language,
        files=_fitting(files, scan),
    )


def _is_fractured(draw: _Draw) -> bool:
    """By lot; of the patients with two accessions every other one, so that a small hospital holds one of each."""
    how = _TWO_ACCESSIONS.get(draw.index % _CYCLE)
    is_drawn = bool(draw.rng.random() < FRACTURE_SHARE)
    return is_drawn if how is None else (draw.index // _CYCLE + (how == "copied")) % 2 == 0


def _next_study(draw: _Draw, last: StudyPlan, visit: int) -> StudyPlan:
    """The same patient months or years later; the third visit of some is registered under a second number."""
    rng, seed, number = draw.rng, draw.seed, last.number + 1
    days = int(rng.integers(60, 1100))
    day = last.study_date + dt.timedelta(days=days)
    coverage = str(rng.choice(COVERAGES)) if rng.random() < OTHER_COVERAGE_SHARE else last.coverage
    patient = later(
        last.patient,
        days / YEAR_DAYS,
        has_new_fracture=bool(rng.random() < INCIDENT_SHARE),
        coverage=coverage,
        has_contrast=bool(rng.random() < draw.family.body.contrast_share),
    )
    accession = _accession(day, seed, number)
    files = deal_habits(rng, number, seed, last.person)
    scan = _demo_scan(rng, patient.family, files.position)
    return replace(
        last,
        number=number,
        seed=f"{seed}/{draw.index}/{number}",
        patient=patient,
        earlier=last.patient,
        visit=visit,
        scan=scan,
        scan_seed=number,
        coverage=coverage,
        patient_id=last.person.second_id if visit > 2 and last.person.second_id else last.person.patient_id,
        accession_number=accession,
        exam=accession,
        study_date=day,
        study_time=_time(rng),
        files=_fitting(files, scan),
    )


def _two_accessions(first: StudyPlan, how: str, seed: int) -> list[StudyPlan]:
    """One acquisition of chest and abdomen under two accessions: split between them, or copied into both.

    Both studies come from the same scanner; one report says what the other is silent about.
    """
    other = _accession(first.study_date, seed, first.number + 1)
    parts = SPLIT_PARTS if how == "split" else (first.coverage, first.coverage)
    files = replace(first.files, kind="axial", position="HFS", series=("scout", "thin", "dose"))
    scan = replace(first.scan, lying="supine")
    if scan.spacing_mm < TWICE_FROM_MM:  # the same slices are kept twice: not the thinnest
        scan = replace(scan, thickness_mm=TWICE_FROM_MM, spacing_mm=TWICE_FROM_MM)
    one = replace(first, coverage=parts[0], exam_role="silent", files=files, scan=scan)
    two = replace(
        one,
        number=first.number + 1,
        seed=f"{first.seed}+b",
        coverage=parts[1],
        accession_number=other,
        exam_role="saying",
        files=replace(files, flaws=()),
    )
    if one.planned_grade > two.planned_grade:  # who sees the fracture says so
        one, two = replace(one, exam_role="saying"), replace(two, exam_role="silent")
    return [one, two]


def _accession(day: dt.date, seed: int, number: int) -> str:
    return f"{day:%y%m}{seed % 100:02d}{number:05d}"


def _time(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(7, 21)):02d}{int(rng.integers(60)):02d}{int(rng.integers(60)):02d}"


def _demo_scan(rng: np.random.Generator, family: Family, position: str) -> Acquisition:
    """A scan of the family with the demo's slices; a family with thicknesses of its own keeps them.

    Slices never lie farther apart than what can still be read.
    """
    scan = replace(draw_acquisition(rng, family.scanner), lying=POSITIONS[position])
    thickness = float(rng.choice(_SPACINGS_MM[0], p=_SPACINGS_MM[1]))
    overlap = float(rng.choice(_OVERLAP)) if thickness >= OVERLAP_FROM_MM else 1.0
    if family.scanner.thickness_mm != BASE.scanner.thickness_mm:
        return replace(scan, spacing_mm=min(scan.spacing_mm, READABLE_MM))
    return replace(scan, thickness_mm=thickness, spacing_mm=thickness * overlap)


def _fitting(files: FileHabits, scan: Acquisition) -> FileHabits:
    """Without the series that this scan would not get: thick ones of thick slices, bone ones of sharp slices.

    Thin slices are compressed where they would lie as they are, for they are many.
    """
    left_out = set()
    if scan.thickness_mm > THIN_MM:
        left_out.add(THICK)
    if scan.kernel in ("sharp", "bone"):
        left_out.add(BONE)
    syntax = files.transfer_syntax
    if scan.spacing_mm < OVERLAP_FROM_MM and syntax in _BULKY and files.kind == "axial":
        syntax = str(JPEGLSLossless)
    series = tuple(name for name in files.series if name not in left_out)
    return replace(files, series=series, transfer_syntax=syntax)
