"""What stands beside a CT series in a study: localizers, dose reports, screen captures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from phantom.dicom import (
    CORONAL,
    SAGITTAL,
    apply_tags,
    base_header,
    item_of,
    write_ct_series,
    write_object,
)
from phantom.files.dicom_bytes import make_uid
from phantom.files.enhanced import write_enhanced
from phantom.volume import PhantomVolume

__all__ = ["write_dose_report", "write_enhanced", "write_localizers", "write_screen_capture"]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
# Elements of the CT image and acquisition that neither a report nor a capture has.
_CT_ONLY = (
    "ImageType",
    "KVP",
    "SliceThickness",
    "ConvolutionKernel",
    "GantryDetectorTilt",
    "XRayTubeCurrent",
    "ExposureTime",
    "BodyPartExamined",
    "PatientPosition",
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "ProtocolName",
)


def write_localizers(
    directory: Path, volume: PhantomVolume, tags: Mapping[str, Any], seed: object
) -> list[Path]:
    """A frontal and a lateral scout: means of the volume, as one series of two differently turned images."""
    hu, (dz, dy, dx) = volume.volume_zyx_hu, volume.spacing_mm
    paths = []
    for k, (axis, across, orientation) in enumerate(((1, dx, CORONAL), (2, dy, SAGITTAL))):
        scout = np.rint(hu.mean(axis=axis, dtype=np.float32) * 2.5 + 900).astype(np.int16)
        paths += write_ct_series(
            directory,
            scout[None],
            spacing_mm=(across, dz, across),
            origin_xyz_mm=volume.origin_xyz_mm,
            orientation=orientation,
            tags=tags,
            slice_tags=lambda _, n=k + 1: {"InstanceNumber": n},  # type: ignore[misc]
            names=f"SC{k + 1:03d}",
            seed=f"{seed} scout {k}",
        )
    return paths


def _paper_header(tags: Mapping[str, Any], seed: object) -> Dataset:
    ds = base_header(seed)
    apply_tags(ds, tags)
    apply_tags(ds, dict.fromkeys(_CT_ONLY))
    return ds


def write_dose_report(directory: Path, tags: Mapping[str, Any], seed: object) -> Path:
    """A radiation dose structured report (PS3.16 TID 10011, shortened); no pixels."""
    rng = np.random.default_rng(_number(seed))
    ds = _paper_header(tags, seed)
    ds.SOPClassUID, ds.Modality = DOSE_REPORT, "SR"
    ds.SOPInstanceUID = make_uid(seed, "dose")
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.PerformedProcedureCodeSequence, ds.ReferencedPerformedProcedureStepSequence = [], []
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code("113701", "DCM", "X-Ray Radiation Dose Report")]
    ds.ContentTemplateSequence = [item_of(MappingResource="DCMR", TemplateIdentifier="10011")]
    index = float(rng.uniform(4, 16))
    length_cm = float(rng.uniform(30, 70))
    ds.ContentSequence = [
        _text("121058", "DCM", "Procedure reported", ("77477000", "SCT", "Computed Tomography X-Ray")),
        _measure("113830", "Mean CTDIvol", index, "mGy"),
        _measure("113838", "DLP", index * length_cm, "mGy.cm"),
    ]
    return write_object(directory / "DR001", ds, ExplicitVRLittleEndian)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return item_of(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _text(value: str, scheme: str, meaning: str, answer: tuple[str, str, str]) -> Dataset:
    return item_of(
        RelationshipType="HAS CONCEPT MOD",
        ValueType="CODE",
        ConceptNameCodeSequence=[_code(value, scheme, meaning)],
        ConceptCodeSequence=[_code(*answer)],
    )


def _measure(value: str, meaning: str, number: float, unit: str) -> Dataset:
    measured = item_of(NumericValue=f"{number:.2f}", MeasurementUnitsCodeSequence=[_code(unit, "UCUM", unit)])
    return item_of(
        RelationshipType="CONTAINS",
        ValueType="NUM",
        ConceptNameCodeSequence=[_code(value, "DCM", meaning)],
        MeasuredValueSequence=[measured],
    )


def write_screen_capture(directory: Path, tags: Mapping[str, Any], seed: object) -> Path:
    """A colour screen shot of a dose page, as secondary capture."""
    rng = np.random.default_rng(_number(seed))
    rows, columns = 96, 128
    picture = np.zeros((rows, columns, 3), np.uint8)
    picture[8:-8:12, 8 : 8 + int(rng.integers(30, 100))] = (200, 200, 40)
    ds = _paper_header(tags, seed)
    ds.SOPClassUID, ds.SOPInstanceUID = SECONDARY_CAPTURE, make_uid(seed, "capture")
    ds.ImageType, ds.ConversionType = ["DERIVED", "SECONDARY", "SCREEN SAVE"], "WSD"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.BurnedInAnnotation, ds.Laterality, ds.PatientOrientation = "YES", "", ""
    ds.PixelData = picture.tobytes()
    ds["PixelData"].VR = "OB"
    return write_object(directory / "SS001", ds, ExplicitVRLittleEndian)


def _number(seed: object) -> int:
    return int(make_uid(seed, "number").rsplit(".", 1)[1]) % 2**32
