"""Takes what the index knows of a study, and the archive, returns the series that was scored as objects refer to it.

Patient and study come from a header of the series itself, read anew: the warehouse holds neither names nor times, and
what was copied from anywhere else could be another patient's.
"""

from __future__ import annotations

import io
import warnings
from typing import BinaryIO, Protocol

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from tasks.instance import Instance, StudyInstances
from tasks.publish_facts import HEADER_KEYWORDS, SourceSeries
from tasks.select import series_revision
from tasks.series import group_series
from tasks.sources.answers import value
from tasks.sources.base import Source
from tasks.sources.pacs import PacsSource
from tasks.sources.pacs_client import PacsError

_PATIENT_NAME, _REFERRING, _SOP = "00100010", "00080090", "00080018"
_READ: list[str] = [*HEADER_KEYWORDS, "SOPInstanceUID", "SeriesInstanceUID"]


class SeriesKeys(Protocol):
    """The part of a pseudonymizer that finds a series again."""

    def series_key(self, series_instance_uid: str, split_label: str | None = None) -> str:
        """Keyed pseudonym of a series, or of one part of it."""
        ...


class SourceMissing(Exception):
    """Nothing can be put into this study. `code`: absent | changed | unreadable | other_patient."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def scored_series(
    study: StudyInstances,
    source: Source,
    keys: SeriesKeys,
    *,
    series_key: str,
    revision: str,
    patient_id: str | None,
) -> SourceSeries:
    """The series with that pseudonym, whose content is still the one that was scored.

    Raises SourceMissing: absent, changed, unreadable, or the header names another patient than the identity file.
    """
    stacks = {
        keys.series_key(each.series_instance_uid, each.split_label): each for each in group_series(study)
    }
    stack = stacks.get(series_key)
    if stack is None or not stack.instances:
        raise SourceMissing("absent")
    if series_revision(stack) != revision:
        raise SourceMissing("changed")
    return _described(study, source, stack.instances, patient_id)


def any_series(study: StudyInstances, source: Source, patient_id: str | None) -> SourceSeries:
    """Some series of the study, for an object that refers to none of them. Raises SourceMissing."""
    if not study.instances:
        raise SourceMissing("absent")
    return _described(study, source, study.instances[:1], patient_id)


def _described(
    study: StudyInstances, source: Source, instances: tuple[Instance, ...], patient_id: str | None
) -> SourceSeries:
    first = instances[0]
    header = _header(source, first)
    if header.get("StudyInstanceUID") != study.study_instance_uid:
        raise SourceMissing("changed")
    if _patient_id(header) != (patient_id or "").strip():
        raise SourceMissing("other_patient")
    return SourceSeries(
        header,
        study.study_instance_uid,
        first.series_instance_uid,
        tuple((each.sop_class_uid or "", each.sop_instance_uid) for each in instances),
    )


def _header(source: Source, instance: Instance) -> Dataset:
    with warnings.catch_warnings():  # they would name the values that they are about
        warnings.simplefilter("ignore")
        try:
            if isinstance(source, PacsSource):
                return _header_in_pacs(source, instance)
            with source.open(instance.file) as stream:
                return _read(stream)
        except PacsError as error:
            raise SourceMissing("no_answer") from error
        except (OSError, InvalidDicomError, ValueError, EOFError, KeyError) as error:
            raise SourceMissing("unreadable") from error


def _header_in_pacs(source: PacsSource, instance: Instance) -> Dataset:
    """What the PACS says of the instance; where its answers do not name the patient (C-FIND), the series is fetched."""
    study, series = instance.study_instance_uid, instance.series_instance_uid
    told = source.courtesy.ask(lambda: source.client.instances(study, series, in_full=True))
    named = [each for each in told if _PATIENT_NAME in each and _REFERRING in each]
    for answer in named:
        if value(answer, _SOP) == instance.sop_instance_uid:
            header = Dataset.from_json(dict(answer))
            header.SpecificCharacterSet = "ISO_IR 192"  # JSON is UTF-8
            return header
    kept: list[bytes] = []
    source.fetch(study, series, lambda content: kept.append(content) if not kept else None)
    return _read(io.BytesIO(kept[0])) if kept else Dataset()


def _read(stream: BinaryIO) -> Dataset:
    return dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_READ)


def _patient_id(header: Dataset) -> str:
    return str(header.get("PatientID") or "").strip()
