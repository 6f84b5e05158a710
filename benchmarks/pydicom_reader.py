"""How one would read the same header values with pydicom: the peer of the crawl."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from tasks.dicom.values import TAG_OF

KEYWORDS = list(TAG_OF)


def read_all(folder: Path) -> list[dict[str, Any]]:
    """Walk a folder and read every file; what `crawl` does without its index."""
    return [
        read_values(entry.path)
        for directory in sorted(directory for directory, _, _ in os.walk(folder))
        for entry in sorted(os.scandir(directory), key=lambda entry: entry.name)
        if entry.is_file()
    ]


def read_values(path: str | Path) -> dict[str, Any]:
    """The values of one file, by the names of `tasks.instance.Instance`."""
    ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=KEYWORDS)
    values: dict[str, Any] = {}
    for convert, names in _FIELDS:
        for name, keyword in names.items():
            values[name] = convert(ds.get(keyword))
    values["transfer_syntax_uid"] = str(ds.file_meta.TransferSyntaxUID)
    values["acquisition_date"] = _first_date(ds)
    return values


def _first_date(ds: Dataset) -> str | None:
    dates = (_text(ds.get(keyword)) for keyword in ("AcquisitionDate", "ContentDate", "SeriesDate"))
    return next((each for each in dates if each), None)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value) or None


def _integer(value: Any) -> int | None:
    return None if value is None or value == "" else int(value)


def _float(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _vector(value: Any) -> tuple[float, ...] | None:
    return None if value is None else tuple(map(float, value))


_TEXTS = {
    "sop_instance_uid": "SOPInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "patient_birth_date": "PatientBirthDate",
    "patient_age": "PatientAge",
    "patient_sex": "PatientSex",
    "modality": "Modality",
    "image_type": "ImageType",
    "temporal_position": "TemporalPositionIdentifier",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "series_description": "SeriesDescription",
    "protocol_name": "ProtocolName",
    "study_description": "StudyDescription",
    "derivation_description": "DerivationDescription",
    "body_part_examined": "BodyPartExamined",
    "contrast_bolus_agent": "ContrastBolusAgent",
    "patient_position": "PatientPosition",
    "manufacturer": "Manufacturer",
    "model_name": "ManufacturerModelName",
    "station_name": "StationName",
    "convolution_kernel": "ConvolutionKernel",
    "specific_character_set": "SpecificCharacterSet",
    "photometric": "PhotometricInterpretation",
    "rescale_type": "RescaleType",
}
_INTEGERS = {
    "series_number": "SeriesNumber",
    "acquisition_number": "AcquisitionNumber",
    "instance_number": "InstanceNumber",
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "high_bit": "HighBit",
    "pixel_representation": "PixelRepresentation",
    "pixel_padding_value": "PixelPaddingValue",
}
_FLOATS = {
    "kvp": "KVP",
    "gantry_tilt_deg": "GantryDetectorTilt",
    "slice_thickness_mm": "SliceThickness",
    "slope": "RescaleSlope",
    "intercept": "RescaleIntercept",
}
_VECTORS = {
    "position_mm": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "pixel_spacing_mm": "PixelSpacing",
}
_FIELDS: list[tuple[Callable[[Any], Any], dict[str, str]]] = [
    (_text, _TEXTS),
    (_integer, _INTEGERS),
    (_float, _FLOATS),
    (_vector, _VECTORS),
]
