"""What a published object states, whom it belongs to, and the UIDs it carries. Pure; reads no files.

UIDs are keyed digests of what an object states, so the same result gives the same objects however often it is built.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.dataset import Dataset

# Raise it when what the objects say of a result changes: then every standing result is superseded by a new object.
TEMPLATE_VERSION = 1
UNVERIFIED = "AI result, not verified, not for diagnosis"
SIMULATED_ONLY = "model trained on simulated scans only: its results on patients mean nothing"
MANUFACTURER = "ovf"
SERIES_NUMBERS = {"sr": 9001, "capture": 9002, "rejection": 9003}  # behind what scanners number
MOST_DESCRIPTION_CHARACTERS = 64  # VR LO

# PS3.3 C.7.1.1 (Patient) and C.7.2.1 (General Study): copied as they stand in the series, so that the PACS files the
# object under the same patient and study. What is absent there stays absent, or empty where it has to be there.
_COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientSex",
    "OtherPatientIDsSequence",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
)
_EMPTY_WHEN_ABSENT = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
HEADER_KEYWORDS = _COPIED
_TIMES = ("InstanceCreation", "Content", "Series")


class ObjectUids(Protocol):
    """The part of a pseudonymizer that makes UIDs."""

    def object_uid(self, *parts: str) -> str:
        """A UID under 2.25 that is the same for the same parts."""
        ...


@dataclass(frozen=True, slots=True)
class ScoredResult:
    """What one model says of the scored series of one study, and how it came to say it."""

    study_key: str
    series_key: str
    series_revision: str
    storage_recipe: str
    view_recipe: str
    model_digest: str
    model_id: str
    is_simulated_only: bool
    operating_point_id: str
    calibration_slope: float
    calibration_intercept: float
    threshold: float  # on the calibrated probability
    logit: float
    probability: float
    is_flagged: bool
    code_version: str
    scored_at: dt.datetime


@dataclass(frozen=True, slots=True, eq=False)
class SourceSeries:
    """The series that was scored, as the archive holds it."""

    header: Dataset  # of one of its instances; without pixels
    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[tuple[str, str], ...]  # (SOPClassUID, SOPInstanceUID), in slice order


@dataclass(frozen=True, slots=True)
class Reference:
    """An object of the study that another one refers to."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str

    @classmethod
    def made_of(cls, sop_class_uid: str, uids: ObjectUids, *parts: str) -> Reference:
        """Where an object of ours will lie: the same parts give the same UIDs, in a series of its own."""
        return cls(sop_class_uid, uids.object_uid("instance", *parts), uids.object_uid("series", *parts))


def facts_digest(result: ScoredResult, test_system: str | None) -> str:
    """SHA-256 of all that decides what an object says; another one means: another object."""
    facts: Mapping[str, Any] = {
        "template": TEMPLATE_VERSION,
        "study": result.study_key,
        "series": [result.series_key, result.series_revision],
        "recipes": [result.storage_recipe, result.view_recipe],
        "model": result.model_digest,
        "operating_point": [
            result.operating_point_id,
            result.calibration_slope,
            result.calibration_intercept,
            result.threshold,
        ],
        "logit": result.logit,
        "test_system": test_system,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def series_description(test_system: str | None) -> str:
    """What a list of series shows; always that nobody verified it."""
    text = UNVERIFIED if test_system is None else f"{UNVERIFIED}; TEST {test_system}"
    return text[:MOST_DESCRIPTION_CHARACTERS].rstrip()


def caveats(result: ScoredResult, test_system: str | None) -> str:
    """What stands in every object as text."""
    parts = [UNVERIFIED]
    if result.is_simulated_only:
        parts.append(SIMULATED_ONLY)
    if test_system is not None:
        parts.append(f"made for the test system {test_system}")
    return "; ".join(parts)


def stand_in(source: SourceSeries, reference: Reference | None = None) -> Dataset:
    """A data set with the identifiers that highdicom asks of evidence, and nothing that it could stumble over.

    Without `reference`: the first instance of the series.
    """
    dataset = Dataset()
    for keyword in _EMPTY_WHEN_ABSENT:
        setattr(dataset, keyword, "")
    dataset.StudyInstanceUID = source.study_instance_uid
    if reference is None:
        (dataset.SOPClassUID, dataset.SOPInstanceUID), *_ = source.instances
        dataset.SeriesInstanceUID = source.series_instance_uid
        return dataset
    dataset.SOPClassUID, dataset.SOPInstanceUID = reference.sop_class_uid, reference.sop_instance_uid
    dataset.SeriesInstanceUID = reference.series_instance_uid
    return dataset


def put_in_study(made: Dataset, source: SourceSeries, at: dt.datetime, test_system: str | None) -> Dataset:
    """Give an object patient and study as they stand in the series, fixed times, and its description.

    `at`: when the content came to be; written in this machine's time zone, as scanners write theirs.
    """
    for keyword in _COPIED:
        if keyword in source.header:
            made[keyword] = source.header[keyword]
        elif keyword in made and keyword not in (*_EMPTY_WHEN_ABSENT, "StudyInstanceUID"):
            del made[keyword]
    local = at.astimezone()
    for name in _TIMES:
        setattr(made, f"{name}Date", local.strftime("%Y%m%d"))
        setattr(made, f"{name}Time", local.strftime("%H%M%S"))
    if "DateOfSecondaryCapture" in made:
        made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    for item in made.get("ContributingEquipmentSequence", ()):  # the library's own item says when it ran
        item.ContributionDateTime = local.strftime("%Y%m%d%H%M%S")
    made.SeriesDescription = series_description(test_system)
    return made
