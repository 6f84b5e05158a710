"""Decides which series of a study can be scored, and in which order they are tried. Pure; reads no files.

Takes the stacks of one study, returns its rows for the warehouse and identity file, and the plans of the eligible
series, best first. Every series ends as a `SelectionRecord` with every check that could be measured.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tasks.checks import derivation_of
from tasks.decoders import decoders_digest
from tasks.facts import Check, StudyFacts, coded, texts_of
from tasks.header_words import COLONOGRAPHY_WORDS, PRONE_WORDS, SUPINE_WORDS, find_word
from tasks.instance import Instance, StudyInstances
from tasks.kernels import classify_kernel
from tasks.patient import age_years, parse_date, parse_sex
from tasks.plan import SeriesPlan
from tasks.planning import bytes_of, plan_series, thickness_of
from tasks.profile import Cohort, Profile, profile_digest
from tasks.ranking import Candidate, rank
from tasks.series import Stack
from tasks.stack_checks import resolution_mm
from tasks.verdict import Verdict, is_lossy, judge_stack
from warehouse.records import (
    PatientIdentity,
    SelectionRecord,
    SeriesIdentity,
    SeriesRecord,
    StudyIdentity,
    StudyRecord,
)

# Raise it when reading headers or selecting changes meaning; decisions made under another one are made again. It
# also names the installed decoders, so that a new one re-decides what had `no_decoder`.
SELECTION_VERSION = 5
READER_VERSION = f"select-{SELECTION_VERSION}/decoders-{decoders_digest()}"
REVISION_CHARACTERS = 32  # 128 bits


class Keys(Protocol):
    """The part of a pseudonymizer that selection needs."""

    def patient_key(self, patient_id: str | None, issuer: str | None) -> str | None:
        """Pseudonym of a patient; None without PatientID."""
        ...

    def study_key(self, study_instance_uid: str) -> str:
        """Pseudonym of a study."""
        ...

    def series_key(self, series_instance_uid: str, split_label: str | None = None) -> str:
        """Pseudonym of a series or of a part of it."""
        ...

    def __hash__(self) -> int:
        """Equal keys give equal pseudonyms."""
        ...


@dataclass(frozen=True, slots=True)
class StudySelection:
    """All that selection knows of one study. `plans` are the eligible series, best first; picklable."""

    study: StudyRecord
    series: list[SeriesRecord]
    selections: list[SelectionRecord]
    plans: list[SeriesPlan]
    patient_identity: PatientIdentity | None
    study_identity: StudyIdentity
    series_identities: list[SeriesIdentity]

    @property
    def records(self) -> list[object]:
        """Every row to land: identities first, then study, series and selections."""
        identities: list[object] = [self.study_identity, *self.series_identities]
        if self.patient_identity is not None:
            identities.insert(0, self.patient_identity)
        return [*identities, self.study, *self.series, *self.selections]


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A verdict with its keys."""

    verdict: Verdict
    series_key: str
    series_revision: str


def select_study(
    stacks: Sequence[Stack],
    *,
    study: StudyInstances,
    keys: Keys,
    profile: Profile,
    cohort: Cohort,
    archive_key: str,
    site: str,
    run_id: str,
) -> StudySelection:
    """Judge and rank the stacks of one study."""
    facts = study_facts(study)
    verdicts = [judge_stack(stack, facts, profile=profile, cohort=cohort) for stack in stacks]
    verdicts = exclude_second_prone(verdicts, study.instances)
    keyed = [_keyed(verdict, keys) for verdict in verdicts]
    patient = _patient(study, facts, keys, site)
    record = StudyRecord(
        archive_key=archive_key,
        study_key=keys.study_key(study.study_instance_uid),
        study_revision=_digest(f"{k.series_key}:{k.series_revision}" for k in keyed),
        patient_key=patient.patient_key if patient else None,
        site=site,
        study_date=facts.study_date,
        age_years=facts.age_years,
        sex=_only(parse_sex(i.patient_sex) for i in study.instances),
        n_series=len(stacks),
        n_files=study.n_files,
        run_id=run_id,
    )
    ranks = _ranks(keyed)
    eligible = sorted((k for k in keyed if k.series_key in ranks), key=lambda k: ranks[k.series_key])
    digest = profile_digest(profile, cohort, keys)
    return StudySelection(
        study=record,
        series=[_series_record(k, record.study_key) for k in keyed],
        selections=[_selection_record(k, record, ranks, digest) for k in keyed],
        plans=[_plan(k, record.study_key) for k in eligible],
        patient_identity=patient,
        study_identity=_study_identity(study, record),
        series_identities=[_series_identity(k, record) for k in keyed],
    )


def _series_identity(keyed: _Keyed, study: StudyRecord) -> SeriesIdentity:
    return SeriesIdentity(keyed.series_key, study.study_key, keyed.verdict.stack.series_instance_uid)


# --- the study --------------------------------------------------------------------------------------------


def study_facts(study: StudyInstances) -> StudyFacts:
    """Patient, date and age of a study; values that contradict each other are unknown."""
    patients = _patients_named(study)
    day = _study_day(study.instances)
    stated = {(i.patient_age, i.patient_birth_date) for i in study.instances}
    ages = {age for age in (age_years(*pair, day) for pair in stated) if age is not None}
    return StudyFacts(
        patient_ids=frozenset(patient_id for _, patient_id in patients),
        n_patients=len(patients),
        study_date=day,
        age_years=min(ages) if ages and max(ages) - min(ages) <= MAX_AGE_SPREAD_YEARS else None,
    )


def _patients_named(study: StudyInstances) -> set[tuple[str | None, str]]:
    """(issuer, PatientID) of everybody named. Objects that tell no issuer agree with the one that the others tell."""
    named = {(i.issuer_of_patient_id or None, (i.patient_id or "").strip()) for i in study.instances}
    patients = {(issuer, patient_id) for issuer, patient_id in named if patient_id}
    with_issuer = Counter(patient_id for issuer, patient_id in patients if issuer)
    return {(issuer, patient_id) for issuer, patient_id in patients if issuer or with_issuer[patient_id] != 1}


MAX_AGE_SPREAD_YEARS = 1  # a birthday during the study; more is a contradiction


def _study_day(instances: Iterable[Instance]) -> dt.date | None:
    """The first StudyDate, else the first acquisition date."""
    pairs = {(i.study_date, i.acquisition_date) for i in instances}
    study = {parse_date(day) for day, _ in pairs} - {None}
    acquired = {parse_date(day) for _, day in pairs} - {None}
    return min((day for day in study or acquired if day is not None), default=None)


def _patient(study: StudyInstances, facts: StudyFacts, keys: Keys, site: str) -> PatientIdentity | None:
    """Who the study is of; None without PatientID, or when it names several patients."""
    if facts.n_patients != 1:
        return None
    ((issuer, patient_id),) = _patients_named(study)
    key = keys.patient_key(patient_id, issuer)
    return PatientIdentity(key, site, patient_id, issuer) if key else None


def _study_identity(study: StudyInstances, record: StudyRecord) -> StudyIdentity:
    numbers = sorted({(i.accession_number or "").strip() for i in study.instances} - {""})
    return StudyIdentity(
        record.study_key, record.patient_key, study.study_instance_uid, numbers[0] if numbers else None
    )


def _only(values: Iterable[str | None]) -> str | None:
    """The only value among those known, else None."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None


# --- colonography -----------------------------------------------------------------------------------------


def exclude_second_prone(verdicts: list[Verdict], instances: Sequence[Instance]) -> list[Verdict]:
    """In a colonography the prone series is the second look at the same spine: only the supine one counts.

    A prone series that is the only eligible one stays.
    """
    if find_word(COLONOGRAPHY_WORDS, texts_of(instances)) is None:
        return verdicts
    eligible = [verdict for verdict in verdicts if verdict.is_eligible]
    if all(_is_prone(verdict) for verdict in eligible):
        return verdicts
    check = Check("colonography", "prone_second", "prone", "supine")
    return [replace(v, checks=(*v.checks, check)) if v.is_eligible and _is_prone(v) else v for v in verdicts]


def _is_prone(verdict: Verdict) -> bool:
    """By its description, else by Patient Position (PS3.3 C.7.3.1.1.2): HFP, FFP, and the decubitus ones."""
    if verdict.facts is None:
        return False
    texts = [verdict.facts.texts.series]
    if find_word(PRONE_WORDS, texts):
        return True
    position = (verdict.facts.first.patient_position or "").strip().upper()
    return not find_word(SUPINE_WORDS, texts) and position in {"HFP", "FFP", "HFDL", "HFDR", "FFDL", "FFDR"}


# --- keys, ranks, rows ------------------------------------------------------------------------------------


def _keyed(verdict: Verdict, keys: Keys) -> _Keyed:
    stack = verdict.stack
    series_key = keys.series_key(stack.series_instance_uid, stack.split_label)
    return _Keyed(verdict, series_key, series_revision(stack))


def series_revision(stack: Stack) -> str:
    """Digest of what the stack holds: SOP UIDs with contents, and the broken files beside them."""
    parts = [f"{i.sop_instance_uid}:{i.content_digest}" for i in stack.instances]
    parts += [f"broken:{issue.outcome}:{issue.reason}:{issue.file.size_bytes}" for issue in stack.issues]
    return _digest([*parts, f"conflicts:{stack.n_conflicts}"])


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode("utf-8", "surrogatepass")).hexdigest()[
        :REVISION_CHARACTERS
    ]


def _ranks(keyed: Sequence[_Keyed]) -> dict[str, tuple[int, str]]:
    """Rank and rule of every eligible series, by its key."""
    candidates = [candidate for k in keyed if (candidate := _candidate(k)) is not None]
    return {c.series_key: (place, rule) for place, (c, rule) in enumerate(rank(candidates), 1)}


def _candidate(keyed: _Keyed) -> Candidate | None:
    verdict = keyed.verdict
    if verdict.run is None or verdict.facts is None or not verdict.is_eligible:
        return None
    geometry = verdict.run.geometry
    return Candidate(
        series_key=keyed.series_key,
        plane=geometry.plane,
        n_slices=geometry.n_slices,
        resolution_mm=resolution_mm(verdict.facts, geometry),
        craniocaudal_mm=geometry.craniocaudal_mm,
        kernel=classify_kernel(verdict.facts.first.convolution_kernel),
        is_original=derivation_of(verdict.facts.image_type) == "original",
        n_flags=len(verdict.flags),
        n_bytes=bytes_of(item.instance for item in verdict.run.slices),
    )


def _plan(keyed: _Keyed, study_key: str) -> SeriesPlan:
    return plan_series(
        keyed.verdict,
        study_key=study_key,
        series_key=keyed.series_key,
        series_revision=keyed.series_revision,
    )


def _selection_record(
    keyed: _Keyed, study: StudyRecord, ranks: dict[str, tuple[int, str]], digest: str
) -> SelectionRecord:
    verdict, failed = keyed.verdict, keyed.verdict.failed
    place, rule = ranks.get(keyed.series_key, (None, None))
    return SelectionRecord(
        study_key=study.study_key,
        study_revision=study.study_revision,
        series_key=keyed.series_key,
        series_revision=keyed.series_revision,
        profile_digest=digest,
        reader_version=READER_VERSION,
        outcome=verdict.outcome,
        reason=failed.reason if failed else None,
        message=verdict.message,
        rank=place,
        rule=rule,
        n_checks_passed=sum(check.is_passed for check in verdict.checks),
        checks=verdict.checks_json,
        flags=list(verdict.flags),
    )


def _series_record(keyed: _Keyed, study_key: str) -> SeriesRecord:
    """What the warehouse keeps of a stack; a series known by broken files only has nothing but its counts."""
    verdict, stack = keyed.verdict, keyed.verdict.stack
    facts, geometry = verdict.facts, stack.geometry
    first = facts.first if facts else None
    spacing_mm = stack.slices[0].pixel_spacing_mm if stack.slices else None
    return SeriesRecord(
        series_key=keyed.series_key,
        series_revision=keyed.series_revision,
        study_key=study_key,
        split_label=stack.split_label,
        modality=first.modality if first else None,
        sop_class=first.sop_class_uid if first else None,
        image_type=coded(facts.image_type) if facts else None,
        plane=geometry.plane if geometry else None,
        transfer_syntax=first.transfer_syntax_uid if first else None,
        manufacturer=first.manufacturer if first else None,
        model_name=first.model_name if first else None,
        convolution_kernel=first.convolution_kernel if first else None,
        kvp=first.kvp if first else None,
        slice_thickness_mm=thickness_of(stack.slices),
        slice_spacing_mm=geometry.spacing_mm if geometry else None,
        pixel_spacing_mm=spacing_mm[0] if spacing_mm else None,
        rows=first.rows if first else None,
        columns=first.columns if first else None,
        coverage_mm=geometry.coverage_mm if geometry else None,
        patient_position=coded(first.patient_position) if first else None,
        body_part=coded(first.body_part_examined) if first else None,
        has_contrast=_has_contrast(stack.instances),
        is_lossy=is_lossy(facts) if facts else False,
        n_instances=len(stack.instances),
        n_files=stack.n_files,
        n_bytes=bytes_of(stack.instances),
    )


def _has_contrast(instances: Sequence[Instance]) -> bool | None:
    """Whether a contrast agent is named; None when the header does not speak of contrast."""
    agents = [i.contrast_bolus_agent for i in instances if i.contrast_bolus_agent is not None]
    return any(agent.strip() for agent in agents) if agents else None
