"""Draws the cohort that a model learns from: cases, controls matched by age and sex, and who was left out, by reason.

Pure: rows of `cohort_scans.sql` and labels in, scans and counts out. found = cohort + left out, always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from estimates.matching import CALIPER_YEARS, Person, match_controls
from flows.label_file import Label
from models.dataset import split_by_patient
from models.split_file import CALIBRATION, TEST, TRAINING, VALIDATION, SplitRow
from warehouse.reasons import BEYOND_DOMAIN

# Mao 2025 splits 80/10/10; here a tenth is kept for calibration, which no training touches.
SHARES = {TRAINING: 0.7, VALIDATION: 0.1, CALIBRATION: 0.1, TEST: 0.1}
PUBLISHED_SHARES = {TRAINING: 0.8, VALIDATION: 0.1, TEST: 0.1}
# "Poor quality (marked hardware or motion artefact)" (Mao 2025), by the flags of selection and slab.
MARKS = {"qc_metal": "marked_metal", "qc_torn": "marked_motion", "burned_in": "marked_text"}


@dataclass(frozen=True, slots=True)
class CohortOrder:
    """How a cohort is drawn."""

    is_matched: bool = True
    caliper_years: int = CALIPER_YEARS
    controls_per_case: int = 1
    is_first_scan_only: bool = False  # of each patient; else all of them
    is_unmatched_kept: bool = False  # cases without a control stay in
    seed: int = 1


@dataclass(frozen=True, slots=True)
class CohortScan:
    """One scan of the cohort."""

    study_key: str
    patient_key: str
    series_key: str
    series_revision: str
    label: Label
    age_years: int | None
    sex: str | None
    order: str  # sorts the scans of a patient by time

    @property
    def is_case(self) -> bool:
        return bool(self.label.is_case)

    def row(self, split: str) -> SplitRow:
        """As it stands in the split of a model."""
        return SplitRow(
            split,
            self.patient_key,
            self.study_key,
            self.series_key,
            self.series_revision,
            int(self.is_case),
            self.label.grade,
            self.label.height_loss,
        )


@dataclass(frozen=True, slots=True)
class Cohort:
    """The scans drawn, and why every other study was not."""

    scans: tuple[CohortScan, ...]
    left_out: Mapping[str, int]  # reason → studies
    n_found: int

    @property
    def cases(self) -> list[CohortScan]:
        return [scan for scan in self.scans if scan.is_case]

    @property
    def controls(self) -> list[CohortScan]:
        return [scan for scan in self.scans if not scan.is_case]


def draw_cohort(
    rows: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Label],
    order: CohortOrder,
    has_file: Callable[[str, str], bool],
) -> Cohort:
    """The cohort of a warehouse. `has_file(series_key, series_revision)`: is its slab there to be read?

    A patient with any case is a case, whether or not that scan may be used: scans of theirs without a fracture are no
    controls. Controls are drawn without replacement; with several scans a patient, all scans of the drawn ones may
    count.
    """
    left_out: Counter[str] = Counter()
    candidates = []
    case_patients = set()
    n_found = 0
    for row in rows:
        n_found += 1
        label = labels.get(str(row["study_key"]))
        if label is not None and label.is_case:
            case_patients.add(row["patient_key"])
        reason = _why_not(row, label, order) or _why_no_slab(row, has_file)
        if reason is None and label is not None:
            candidates.append(_scan(row, label))
        else:
            left_out[reason or "no_label"] += 1
    candidates = _scans_of_patients(candidates, case_patients, order, left_out)
    drawn = _matched(candidates, order, left_out) if order.is_matched else candidates
    return Cohort(tuple(sorted(drawn, key=lambda scan: scan.study_key)), dict(left_out), n_found)


def _why_not(row: Mapping[str, Any], label: Label | None, order: CohortOrder) -> str | None:
    """The first reason against a study, from its label and its facts."""
    if label is None:
        return "no_label"
    if label.is_case is None:
        return label.reason or "no_label"
    # Unlike what the model of the sweep has seen: no answer of that model counts, but its slab is there to learn from.
    if row["outcome"] != "scored" and row["reason"] != BEYOND_DOMAIN:
        return f"not_scored:{row['outcome']}"
    if row["patient_key"] is None:
        return "incomplete:patient"
    if order.is_matched and row["age_years"] is None:
        return "incomplete:age"
    if order.is_matched and row["sex"] not in ("F", "M"):
        return "incomplete:sex"
    marks = [MARKS[name] for flag in row["flags"] if (name := str(flag).split(":", 1)[0]) in MARKS]
    return min(marks) if marks else None


def _why_no_slab(row: Mapping[str, Any], has_file: Callable[[str, str], bool]) -> str | None:
    if not row["has_slab"]:
        return "slab_not_kept"
    return None if has_file(row["series_key"], row["series_revision"]) else "slab_file_missing"


def _scan(row: Mapping[str, Any], label: Label) -> CohortScan:
    return CohortScan(
        study_key=row["study_key"],
        patient_key=row["patient_key"],
        series_key=row["series_key"],
        series_revision=row["series_revision"],
        label=label,
        age_years=row["age_years"],
        sex=row["sex"],
        order=f"{row['study_date'] or '9999'} {row['study_key']}",
    )


def _scans_of_patients(
    candidates: Sequence[CohortScan],
    case_patients: Set[str],
    order: CohortOrder,
    left_out: Counter[str],
) -> list[CohortScan]:
    """No patient on both sides; the first scan of each where only that counts."""
    kept = [scan for scan in candidates if scan.is_case or scan.patient_key not in case_patients]
    left_out["sound_scan_of_a_case"] += len(candidates) - len(kept)
    if order.is_first_scan_only:
        first: dict[str, CohortScan] = {}
        for scan in sorted(kept, key=lambda scan: scan.order):
            first.setdefault(scan.patient_key, scan)
        left_out["further_scan"] += len(kept) - len(first)
        kept = list(first.values())
    return sorted(kept, key=lambda scan: scan.study_key)


def _matched(
    candidates: Sequence[CohortScan], order: CohortOrder, left_out: Counter[str]
) -> list[CohortScan]:
    cases = [scan for scan in candidates if scan.is_case]
    controls = [scan for scan in candidates if not scan.is_case]
    found = match_controls(
        [_person(scan) for scan in cases],
        [_person(scan) for scan in controls],
        per_case=order.controls_per_case,
        caliper_years=order.caliper_years,
        seed=order.seed,
    )
    with_control = {case for case, _ in found.pairs}
    kept = [scan for place, scan in enumerate(cases) if order.is_unmatched_kept or place in with_control]
    left_out["case_without_control"] += len(cases) - len(kept)
    left_out["control_not_drawn"] += len(controls) - len(found.pairs)
    return kept + [controls[place] for _, place in found.pairs]


def _person(scan: CohortScan) -> Person:
    assert scan.age_years is not None
    assert scan.sex is not None
    return Person(scan.age_years, scan.sex)


def split_cohort(
    cohort: Cohort, shares: Mapping[str, float], seed: int, part_of: Mapping[str, str] | None = None
) -> dict[str, list[CohortScan]]:
    """Part → scans, by patient; cases and controls are dealt out apart, so that each part has its share of both.

    `part_of`: patients who keep the part that the model it begins from had them in; the others are dealt out.
    """
    known = {patient: part for patient, part in (part_of or {}).items() if part in shares}
    parts: dict[str, list[CohortScan]] = {name: [] for name in shares}
    for scans in (cohort.cases, cohort.controls):
        for scan in scans:
            if scan.patient_key in known:
                parts[known[scan.patient_key]].append(scan)
        others = [scan for scan in scans if scan.patient_key not in known]
        dealt = split_by_patient([scan.patient_key for scan in others], dict(shares), seed)
        for name, places in dealt.items():
            parts[name] += [others[place] for place in places]
    return parts
