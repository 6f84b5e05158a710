"""What pydicom says of a file, field by field: the oracle of the header reader. Shares no code with it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from tasks.instance import Instance

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
    "pixel_padding_range_limit": "PixelPaddingRangeLimit",
}
_FLOATS = {
    "kvp": "KVP",
    "gantry_tilt_deg": "GantryDetectorTilt",
    "slice_thickness_mm": "SliceThickness",
    "slope": "RescaleSlope",
    "intercept": "RescaleIntercept",
}
_VECTORS = {
    "position_mm": ("ImagePositionPatient", 3),
    "orientation": ("ImageOrientationPatient", 6),
    "pixel_spacing_mm": ("PixelSpacing", 2),
}


def differences(instance: Instance, path: Path) -> list[str]:
    """One line per field in which the reader and pydicom differ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        expected = expected_fields(ds)
    found = {name: getattr(instance, name) for name in expected}
    return [
        f"{name}: {found[name]!r} != {expected[name]!r}" for name in expected if found[name] != expected[name]
    ]


def expected_fields(ds: Dataset) -> dict[str, Any]:
    """Every field that a data set alone decides."""
    fields: dict[str, Any] = {name: _text(ds.get(keyword)) for name, keyword in _TEXTS.items()}
    fields |= {name: _integer(ds.get(keyword)) for name, keyword in _INTEGERS.items()}
    if fields["pixel_representation"] == 1:
        # Some scanners write a negative padding value as US; it is compared with signed pixels all the same.
        for name in ("pixel_padding_value", "pixel_padding_range_limit"):
            raw = fields[name]
            fields[name] = raw - 2**16 if raw is not None and raw >= 2**15 else raw
    fields |= {name: _float(ds.get(keyword)) for name, keyword in _FLOATS.items()}
    fields |= {name: _vector(ds.get(keyword), count) for name, (keyword, count) in _VECTORS.items()}
    dates = [_text(ds.get(keyword)) for keyword in ("AcquisitionDate", "ContentDate", "SeriesDate")]
    fields["acquisition_date"] = next((each for each in dates if each), None)
    fields["n_frames"] = _integer(ds.get("NumberOfFrames")) or 1
    fields["is_lossy"] = _text(ds.get("LossyImageCompression")) == "01"
    fields["is_burned_in"] = _text(ds.get("BurnedInAnnotation")) == "YES"
    fields["transfer_syntax_uid"] = str(ds.file_meta.TransferSyntaxUID)
    return fields


def _text(value: Any) -> str | None:
    if value is None:
        return None
    values = value if isinstance(value, (MultiValue, list)) else [value]
    return "\\".join(str(each).strip(" \0") for each in values) or None


def _first(value: Any) -> Any:
    return (value[0] if len(value) else None) if isinstance(value, (MultiValue, list)) else value


def _integer(value: Any) -> int | None:
    value = _first(value)
    return None if value is None or value == "" else int(value)


def _float(value: Any) -> float | None:
    value = _first(value)
    return None if value is None or value == "" else float(value)


def _vector(value: Any, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, (MultiValue, list)) or len(value) != count:
        return None
    numbers = tuple(float(each) for each in value)
    return numbers if all(map(math.isfinite, numbers)) else None
