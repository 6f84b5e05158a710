"""What stands beside a CT series in a study: localizers, dose reports, screen captures, multi-frame twins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from phantom.dicom import (
    CORONAL,
    HEAD_FIRST_SUPINE,
    SAGITTAL,
    Point,
    apply_tags,
    base_header,
    decimal_string,
    describe_pixels,
    stored_pixels,
    write_ct_series,
)
from phantom.dicom_bytes import encode_dataset, file_head, make_uid, pixel_element
from phantom.volume import PhantomVolume

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


def _write(path: Path, dataset: Dataset, body_end: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = file_head(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), ExplicitVRLittleEndian)
    path.write_bytes(head + encode_dataset(dataset, ExplicitVRLittleEndian) + body_end)
    return path


def write_localizers(
    directory: Path, volume: PhantomVolume, tags: Mapping[str, Any], seed: object
) -> list[Path]:
    """A frontal and a lateral scout: means of the volume, as one series of two differently turned images."""
    hu, (dz, dy, dx) = volume.volume_zyx_hu, volume.spacing_mm
    own = dict(tags) | {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "SCOUT"}
    paths = []
    for k, (axis, across, orientation) in enumerate(((1, dx, CORONAL), (2, dy, SAGITTAL))):
        scout = np.rint(hu.mean(axis=axis, dtype=np.float32) * 2.5 + 900).astype(np.int16)
        paths += write_ct_series(
            directory,
            scout[None],
            spacing_mm=(across, dz, across),
            origin_xyz_mm=volume.origin_xyz_mm,
            orientation=orientation,
            tags=own,
            slice_tags=lambda _, n=k + 1: {"InstanceNumber": n},  # type: ignore[misc]
            names=f"SC{k + 1:03d}",
            seed=f"{seed} scout {k}",
        )
    return paths


def write_dose_report(directory: Path, tags: Mapping[str, Any], seed: object) -> Path:
    """A radiation dose structured report with one container; no pixels."""
    ds = base_header(seed)
    apply_tags(ds, tags)
    for keyword in ("ImageType", "KVP", "SliceThickness", "ConvolutionKernel", "GantryDetectorTilt"):
        apply_tags(ds, {keyword: None})
    ds.SOPClassUID, ds.Modality = DOSE_REPORT, "SR"
    ds.SOPInstanceUID = make_uid(seed, "dose")
    ds.SeriesDescription, ds.SeriesNumber = "Dose Report", "999"
    ds.CompletionFlag, ds.VerificationFlag, ds.ValueType = "COMPLETE", "UNVERIFIED", "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "113701", "DCM"
    concept.CodeMeaning = "X-Ray Radiation Dose Report"
    ds.ConceptNameCodeSequence = [concept]
    return _write(directory / "DR001", ds)


def write_screen_capture(directory: Path, tags: Mapping[str, Any], seed: object) -> Path:
    """A colour screen shot of a dose page, as secondary capture."""
    rng = np.random.default_rng(_number(seed))
    rows, columns = 96, 128
    picture = np.zeros((rows, columns, 3), np.uint8)
    picture[8:-8:12, 8 : 8 + int(rng.integers(30, 100))] = (200, 200, 40)
    ds = base_header(seed)
    apply_tags(ds, tags)
    ds.SOPClassUID, ds.SOPInstanceUID = SECONDARY_CAPTURE, make_uid(seed, "capture")
    ds.ImageType, ds.ConversionType = ["DERIVED", "SECONDARY", "SCREEN SAVE"], "WSD"
    ds.SeriesDescription, ds.SeriesNumber = "Exam Summary", "998"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = picture.tobytes()
    ds["PixelData"].VR = "OB"
    return _write(directory / "SS001", ds)


def _number(seed: object) -> int:
    return int(make_uid(seed, "number").rsplit(".", 1)[1]) % 2**32


def write_enhanced(
    path: Path,
    volume_zyx_hu: npt.NDArray[np.int16],
    *,
    spacing_mm: Point,
    origin_xyz_mm: Point,
    step_xyz_mm: Point,
    tags: Mapping[str, Any],
    seed: object,
) -> Path:
    """The series as one enhanced multi-frame CT object, geometry in its functional groups."""
    ds = base_header(seed)
    describe_pixels(
        ds,
        shape=(volume_zyx_hu.shape[1], volume_zyx_hu.shape[2]),
        bits_stored=16,
        is_signed=True,
        slope=1,
        intercept=0,
        padding=None,
    )
    apply_tags(ds, tags)
    for keyword in (
        "RescaleIntercept",
        "RescaleSlope",
        "RescaleType",
        "SliceThickness",
        "WindowCenter",
        "WindowWidth",
    ):
        apply_tags(ds, {keyword: None})
    ds.SOPClassUID, ds.SOPInstanceUID = ENHANCED_CT, make_uid(seed, "enhanced")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.NumberOfFrames, ds.InstanceNumber = len(volume_zyx_hu), "1"
    ds.SharedFunctionalGroupsSequence = [_shared_groups(spacing_mm)]
    ds.PerFrameFunctionalGroupsSequence = [
        _frame_groups(k, [o + k * s for o, s in zip(origin_xyz_mm, step_xyz_mm, strict=True)])
        for k in range(len(volume_zyx_hu))
    ]
    values = stored_pixels(volume_zyx_hu, slope=1, intercept=0, is_signed=True, bits_stored=16)
    return _write(path, ds, pixel_element(values, ExplicitVRLittleEndian, 16))


def _item(**values: Any) -> Dataset:
    item = Dataset()
    apply_tags(item, values)
    return item


def _shared_groups(spacing_mm: Point) -> Dataset:
    spacing = [decimal_string(v) for v in spacing_mm[1:]]
    return _item(
        PixelMeasuresSequence=[_item(SliceThickness=decimal_string(spacing_mm[0]), PixelSpacing=spacing)],
        PlaneOrientationSequence=[
            _item(ImageOrientationPatient=[decimal_string(v) for v in HEAD_FIRST_SUPINE])
        ],
        PixelValueTransformationSequence=[_item(RescaleIntercept="0", RescaleSlope="1", RescaleType="HU")],
        CTImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
    )


def _frame_groups(k: int, place: list[float]) -> Dataset:
    position = [decimal_string(v) for v in place]
    return _item(
        PlanePositionSequence=[_item(ImagePositionPatient=position)],
        FrameContentSequence=[
            _item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])
        ],
    )
