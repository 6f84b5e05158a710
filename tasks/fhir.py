"""Takes the rows of a worklist, returns a FHIR R4 Bundle of what a model said of each. Pure.

Codes and their sources stand in docs/publish.md. What is not known is left out, never filled in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
_LOINC = "http://loinc.org"
_SNOMED = "http://snomed.info/sct"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_UCUM = "http://unitsofmeasure.org"
_OURS = "urn:ovf:codes"  # our own: no public code says this
_GENDERS = {"F": "female", "M": "male", "O": "other"}


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """One patient of the worklist: the scan to read first. Identified."""

    list: str  # missed | ambiguous
    place: int  # in its list, the likeliest first
    patient_id: str | None
    issuer_of_patient_id: str | None
    accession_number: str | None
    study_instance_uid: str | None
    study_date: dt.date | None
    age_years: int | None
    sex: str | None
    site: str
    report_statement: str | None  # what the report on file states
    probability: float
    n_more_scans: int  # further days of the same patient that are on the list
    study_key: str
    patient_key: str | None


@dataclass(frozen=True, slots=True)
class WorklistModel:
    """The model behind the list."""

    model_id: str
    model_digest: str
    operating_point_id: str
    threshold: float
    caveat: str


def worklist_bundle(
    entries: Sequence[WorklistEntry], model: WorklistModel, *, at: dt.datetime, is_test: bool
) -> Json:
    """A Bundle (collection): one Device, each Patient once, and for each entry Observation and DiagnosticReport."""
    device = _urn("Device", model.model_digest)
    resources = [_entry(device, _device(model))]
    told: set[str] = set()  # a patient may stand in both lists, and in a bundle once
    for each in entries:
        patient = _urn("Patient", each.patient_key or each.study_key)
        observation = _urn("Observation", each.study_key, model.model_digest)
        report = _urn("DiagnosticReport", each.study_key, model.model_digest)
        if patient not in told:
            resources.append(_entry(patient, _patient(each)))
        told.add(patient)
        resources += [
            _entry(observation, _observation(each, model, patient, device)),
            _entry(report, _report(each, model, patient, observation)),
        ]
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "entry": resources,
    }
    if is_test:  # HTEST: test health data
        bundle["meta"] = {"tag": [{"system": f"{_TERMINOLOGY}/v3-ActReason", "code": "HTEST"}]}
    return bundle


def _device(model: WorklistModel) -> Json:
    return {
        "resourceType": "Device",
        "manufacturer": "ovf",
        "deviceName": [{"name": model.model_id, "type": "model-name"}],
        "version": [{"value": model.model_digest}],
        "type": {"text": "model that looks for vertebral fractures in CT"},
        "note": [{"text": model.caveat}],
    }


def _patient(each: WorklistEntry) -> Json:
    made: Json = {"resourceType": "Patient"}
    if each.patient_id is not None:
        identifier: Json = {"type": _coded(f"{_TERMINOLOGY}/v2-0203", "MR"), "value": each.patient_id}
        if each.issuer_of_patient_id:
            identifier["assigner"] = {"display": each.issuer_of_patient_id}
        made["identifier"] = [identifier]
    if each.sex in _GENDERS:
        made["gender"] = _GENDERS[each.sex]
    return made


def _observation(each: WorklistEntry, model: WorklistModel, patient: str, device: str) -> Json:
    made: Json = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [_coded(f"{_TERMINOLOGY}/observation-category", "imaging", "Imaging")],
        "code": {
            "coding": [{"system": _OURS, "code": "vertebral-fracture-probability"}],
            "text": "Probability of a vertebral fracture on CT, as a model states it",
        },
        "subject": {"reference": patient},
        "device": {"reference": device},
        "bodySite": _coded(_SNOMED, "51282000", "Bone structure of spine"),
        "valueQuantity": {"value": each.probability, "unit": "1", "system": _UCUM, "code": "1"},
        "referenceRange": [
            {"text": f"flagged from {model.threshold:.4g} on (operating point {model.operating_point_id})"}
        ],
        "note": [{"text": model.caveat}],
    }
    return made | _when_and_where(each, "derivedFrom")


def _report(each: WorklistEntry, model: WorklistModel, patient: str, observation: str) -> Json:
    stated = each.report_statement or "no statement"
    made: Json = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [_coded(f"{_TERMINOLOGY}/v2-0074", "CT", "CAT Scan")],
        "code": _coded(_LOINC, "18748-4", "Diagnostic imaging study"),
        "subject": {"reference": patient},
        "result": [{"reference": observation}],
        "conclusion": (
            f"Flagged by {model.model_id}; the radiology report on file: {stated} (list: {each.list}). "
            f"{model.caveat}. The scan is to be read by a radiologist before anything else is done."
        ),
    }
    if each.accession_number:
        made["identifier"] = [
            {"type": _coded(f"{_TERMINOLOGY}/v2-0203", "ACSN"), "value": each.accession_number}
        ]
    return made | _when_and_where(each, "imagingStudy")


def _when_and_where(each: WorklistEntry, name: str) -> Json:
    """The day, and the study by its DICOM UID (a logical reference: the ImagingStudy itself is the PACS's)."""
    made: Json = {}
    if each.study_date is not None:
        made["effectiveDateTime"] = each.study_date.isoformat()
    if each.study_instance_uid:
        uid = {"system": "urn:dicom:uid", "value": f"urn:oid:{each.study_instance_uid}"}
        made[name] = [{"type": "ImagingStudy", "identifier": uid}]
    return made


def _coded(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def _entry(url: str, resource: Json) -> Json:
    return {"fullUrl": url, "resource": resource}


def _urn(*parts: str) -> str:
    """A name for a resource, the same for the same parts: a UUID of version 8 (RFC 9562) over their digest."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    return uuid.UUID(int=number & ~(0b11 << 62) | 0b10 << 62).urn
