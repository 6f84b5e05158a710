"""Who is scanned when and how the files lie: the plan of a simulated hospital, by seed; writes nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from phantom.acquisition import Acquisition, draw_acquisition
from phantom.anatomy import Anatomy, draw_patient
from phantom.families import BASE, Family

FRACTURE_SHARE = 0.35  # of patients; more than a hospital's, so that a small demo shows some
FIRST_DAY = dt.date(2019, 1, 7)
DAYS = 1900
# Dealt out in turn, so that a small hospital already holds each; compressing J2K is slow, so it is rare.
_SYNTAXES = (
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
_POSITIONS = ("HFS", "HFS", "HFS", "FFS", "HFS", "HFS-tilt", "HFS", "HFP", "HFS", "HFS", "FFS-flipped")
_PACKAGING = ("folders", "folders", "hashed", "folders", "zip", "flat")
_KINDS = ("axial",) * 6 + ("enhanced",) + ("axial",) * 5 + ("sagittal",) + ("axial",) * 3
_LATIN = (
    "SMITH^ANNA",
    "MUELLER^KARL",
    "O'NEIL^MARY",
    "GARCIA^JOSE",
    "ROSSI^LUCIA",
    "NOVAK^JAN",
    "DUBOIS^EVE",
)
_CHINESE = ("王^秀英", "李^建国", "张^伟", "刘^芳", "陈^桂兰", "杨^志强", "赵^玉梅")
_VENDORS = (
    ("SIEMENS", "SOMATOM Force", "Br40d", "Br64d"),
    ("GE MEDICAL SYSTEMS", "Revolution CT", "STANDARD", "BONEPLUS"),
    ("Philips", "Brilliance 64", "B", "YB"),
    ("TOSHIBA", "Aquilion PRIME", "FC08", "FC30"),
)


@dataclass(frozen=True)
class StudyPlan:
    """Everything decided about one study before a pixel is painted."""

    number: int
    patient: Anatomy
    scan: Acquisition
    coverage: str
    patient_id: str
    patient_name: str
    charset: str
    birth_date: dt.date
    has_age_tag: bool
    accession_number: str
    study_date: dt.date
    language: str
    vendor: tuple[str, str, str, str]
    kvp: int
    kind: str
    transfer_syntax: str
    position: str
    packaging: str
    is_signed: bool
    has_padding: bool
    has_thick: bool
    has_bone_kernel: bool
    has_sagittal: bool
    has_dose_report: bool
    has_capture: bool
    derived: str
    seed: str

    @property
    def age_years(self) -> int:
        """Whole years at the day of the study."""
        day, birth = self.study_date, self.birth_date
        return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def draw_plans(patients: int, seed: int, family: Family = BASE) -> list[StudyPlan]:
    """One or two studies for each of `patients` patients."""
    plans: list[StudyPlan] = []
    for index in range(patients):
        rng = np.random.default_rng([seed, index, 0x905])
        first = _draw_plan(rng, index, len(plans), seed, family)
        plans.append(first)
        if index % 9 == 4:
            plans.append(_second_study(rng, first, len(plans), seed))
    return plans


def _draw_plan(rng: np.random.Generator, index: int, number: int, seed: int, family: Family) -> StudyPlan:
    patient = draw_patient(
        int(rng.integers(2**31)), has_fracture=bool(rng.random() < FRACTURE_SHARE), family=family
    )
    study_date = FIRST_DAY + dt.timedelta(days=int(rng.integers(DAYS)))
    is_chinese = bool(rng.random() < 0.5)
    names = _CHINESE if is_chinese else _LATIN
    kind = _KINDS[number % len(_KINDS)]
    position = _POSITIONS[number % len(_POSITIONS)] if kind == "axial" else "HFS"
    if position == "HFP":
        patient = replace(patient, table_hu=-1024.0)  # the table is in front of a prone patient: left out
    syntax = _SYNTAXES[number % len(_SYNTAXES)]
    return StudyPlan(
        number=number,
        patient=patient,
        scan=_demo_scan(rng, family),
        coverage=patient.coverage,
        patient_id=f"{'M' if is_chinese else 'P'}{seed % 1000:03d}{index:05d}",
        patient_name=str(rng.choice(names)),
        charset="GB18030" if is_chinese else "ISO_IR 100",
        birth_date=_birth_date(rng, study_date, patient.age_years),
        has_age_tag=bool(rng.random() < 0.9),
        accession_number=f"{study_date:%y%m}{seed % 100:02d}{number:05d}",
        study_date=study_date,
        language="zh" if is_chinese else "en",
        vendor=_VENDORS[int(rng.integers(len(_VENDORS)))],
        kvp=int(rng.choice([80, 100, 120, 140], p=[0.08, 0.22, 0.6, 0.1])),
        kind=kind,
        transfer_syntax=syntax if kind == "axial" else ExplicitVRLittleEndian,
        position=position,
        packaging=_PACKAGING[number % len(_PACKAGING)],
        is_signed=bool(rng.random() < 0.5),
        has_padding=bool(rng.random() < 0.35),
        has_thick=bool(rng.random() < 0.33) and kind == "axial",
        has_bone_kernel=bool(rng.random() < 0.15) and kind == "axial",
        has_sagittal=bool(rng.random() < 0.3) or kind == "sagittal",
        has_dose_report=bool(rng.random() < 0.6),
        has_capture=bool(rng.random() < 0.3),
        derived=str(rng.choice(["", "mip", "iodine"], p=[0.8, 0.1, 0.1])) if kind == "axial" else "",
        seed=f"{seed}/{index}/{number}",
    )


def _demo_scan(rng: np.random.Generator, family: Family) -> Acquisition:
    """A scan of the family, with 2-3 mm slices, so that a demo stays small."""
    spacing = float(rng.choice([2.0, 2.5, 3.0], p=[0.1, 0.35, 0.55]))
    return replace(draw_acquisition(rng, family.scanner), thickness_mm=spacing, spacing_mm=spacing)


def _birth_date(rng: np.random.Generator, study_date: dt.date, age_years: float) -> dt.date:
    days = int(365.25 * age_years) + int(rng.integers(0, 30))
    return study_date - dt.timedelta(days=days)


def _second_study(rng: np.random.Generator, first: StudyPlan, number: int, seed: int) -> StudyPlan:
    """The same patient again, later, in another study."""
    study_date = first.study_date + dt.timedelta(days=int(rng.integers(60, 900)))
    return replace(
        first,
        number=number,
        scan=_demo_scan(rng, first.patient.family),
        accession_number=f"{study_date:%y%m}{seed % 100:02d}{number:05d}",
        study_date=study_date,
        packaging=_PACKAGING[number % len(_PACKAGING)],
        transfer_syntax=ImplicitVRLittleEndian,
        position="HFS",
        kind="axial",
        derived="",
        seed=f"{first.seed}/again",
    )
