"""The header of every series of a planned study, flaws included; geometry comes from the writer."""

from __future__ import annotations

from typing import Any

from phantom.files import series_words as words
from phantom.files.dicom_bytes import LOSSY, make_uid
from phantom.files.flaws import flawed
from phantom.files.names import patient_name
from phantom.files.schedule import THIN_MM, StudyPlan

_INSTITUTION = {"zh": "市第一人民医院", "en": "North General Hospital"}
_LOSSY_METHODS = {"1.2.840.10008.1.2.4.81": "ISO_14495_1", "1.2.840.10008.1.2.4.91": "ISO_15444_1"}
_CONTRAST = {"siemens": "APPLIED", "ge": "Omnipaque", "chinese": "碘海醇", "philips": "Ultravist"}
_UNITS = {("philips", words.IODINE): "MGML", ("philips", words.VNC): "HU_MOD"}


def study_uid(plan: StudyPlan) -> str:
    """Study Instance UID of a plan."""
    return make_uid(plan.seed, plan.accession_number, "study")


def series_uid(plan: StudyPlan, kind: str) -> str:
    """Series Instance UID of one series of a plan."""
    return make_uid(plan.seed, plan.accession_number, "series", kind)


def kernel_class(plan: StudyPlan) -> str:
    """Class of the kernel that the thin series is made with."""
    return plan.scan.kernel


def kvp_of(plan: StudyPlan) -> int:
    """Tube voltage of the scan."""
    return plan.scan.kvp


def study_tags(plan: StudyPlan) -> dict[str, Any]:
    """Patient, study and scanner: the same for every series of a study."""
    files, text = plan.files, plan.files.text
    description, protocol, part = words.describe_study(plan.coverage, plan.language)
    day, line = f"{plan.study_date:%Y%m%d}", files.device.line
    return {
        "SpecificCharacterSet": None if text.declared == "ISO_IR 6" else text.declared,
        **{f"{which}Date": day for which in ("Study", "Series", "Acquisition", "Content")},
        **{f"{which}Time": plan.study_time for which in ("Study", "Series", "Acquisition", "Content")},
        "AccessionNumber": plan.accession_number,
        "StudyID": str(plan.number + 1),
        "StudyDescription": text.written(description),
        "ProtocolName": protocol,
        "BodyPartExamined": part,
        "Manufacturer": line.maker,
        "ManufacturerModelName": line.model,
        "SoftwareVersions": list(line.software),
        "StationName": files.device.station,
        "DeviceSerialNumber": f"{files.device.room:02d}{sum(map(ord, line.model)):05d}",
        "InstitutionName": text.written(_INSTITUTION[plan.language]),
        "PatientName": patient_name(plan.person, text, files.name_form),
        "PatientID": plan.patient_id,
        "PatientBirthDate": f"{plan.birth_date:%Y%m%d}",
        "PatientSex": plan.patient.sex,
        "PatientAge": f"{plan.age_years:03d}Y",
        "StudyInstanceUID": study_uid(plan),
        "FrameOfReferenceUID": make_uid(plan.exam, "frame"),
    }


def series_tags(
    plan: StudyPlan, kind: str, *, spacing_mm: float, position: str = "HFS", tilt_deg: float = 0.0
) -> dict[str, Any]:
    """All tags of one series, with the study's flaws."""
    device, text = plan.files.device, plan.files.text
    kernel = device.kernel("bone" if kind == words.BONE else kernel_class(plan))
    description = words.describe_series(
        device.line,
        kind,
        coverage=plan.coverage,
        language=plan.language,
        spacing_mm=spacing_mm,
        kernel=kernel,
    )
    tags = study_tags(plan) | {
        "ImageType": words.image_type(device.line, kind),
        "SeriesInstanceUID": series_uid(plan, kind),
        "SeriesNumber": str(words.series_number(device.line, kind)),
        "AcquisitionNumber": "1",
        "SeriesDescription": text.written(description),
        "SliceThickness": f"{_thickness_mm(plan, kind, spacing_mm):g}",
        "PatientPosition": position,
        "GantryDetectorTilt": f"{tilt_deg:g}",
        "ConvolutionKernel": kernel,
        "KVP": str(kvp_of(plan)),
        "RescaleType": _UNITS.get((device.line.style, kind), plan.files.storage.rescale_type),
        **_contrast(plan),
        **_lossy(plan, kind),
    }
    return flawed(tags, plan.files.flaws, is_main=kind == main_kind(plan))


def plain_tags(plan: StudyPlan) -> dict[str, Any]:
    """Tags of an object without CT acquisition (dose report, screen capture), with the study's flaws."""
    return flawed(study_tags(plan), plan.files.flaws, is_main=False)


def _thickness_mm(plan: StudyPlan, kind: str, spacing_mm: float) -> float:
    return plan.scan.thickness_mm if kind in (words.THIN, words.BONE) else spacing_mm


def _contrast(plan: StudyPlan) -> dict[str, Any]:
    if not plan.patient.has_contrast:
        return {}
    style = plan.files.device.line.style
    agent = _CONTRAST.get(style if plan.language == "zh" or style != "chinese" else "siemens", "Iohexol 350")
    return {"ContrastBolusAgent": plan.files.text.written(agent)}


def _lossy(plan: StudyPlan, kind: str) -> dict[str, Any]:
    """What a lossy codec must leave in the header (PS3.3 C.7.6.1.1.5): the mark, ratio, method, and DERIVED."""
    syntax = plan.files.transfer_syntax
    if syntax not in LOSSY:
        return {}
    values = words.image_type(plan.files.device.line, kind)
    return {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "8",
        "LossyImageCompressionMethod": _LOSSY_METHODS[syntax],
        "ImageType": ["DERIVED", *values[1:]],
        "DerivationDescription": "Lossy compression",
    }


# --- which series counts ----------------------------------------------------------------------------------


def main_kind(plan: StudyPlan) -> str:
    """The series that ought to be scored: thin axial slices, else a native sagittal reformat, else what there is."""
    has_sagittal = words.SAGITTAL in plan.files.series
    is_thin = max(plan.scan.thickness_mm, plan.scan.spacing_mm) <= THIN_MM
    if plan.files.kind == "sagittal" or (has_sagittal and not is_thin):
        return words.SAGITTAL
    return words.THIN


def expected_outcome(plan: StudyPlan) -> str:
    """What the lenient rules must make of the study: scored, or outcome:reason where nothing of it can be."""
    return {"thick": "excluded:too_thick", "gap": "excluded:missing_slices"}.get(plan.files.kind, "scored")
