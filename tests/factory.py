"""A small DICOM factory for fault tests: real files by pydicom, deterministic by seed, tiny by default.

`make_ct_series(directory, n=10, gap_at=4)` writes an axial CT series and returns its paths from feet to
head. Any attribute can be given by keyword (`PatientID="A"`, `RescaleSlope=None` leaves it out), anything
else by `edit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

Edit = Callable[[Dataset, int], None]  # called with (dataset, slice number) before writing


def uid(*parts: object) -> UID:
    """A deterministic UID from any parts, under the 2.25 root."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:15], 'big')}")


def pixels_for(index: int, rows: int, columns: int, seed: int) -> NDArray[np.int16]:
    """Stored values (rows, columns) of one slice: noise, so that no two slices are equal."""
    rng = np.random.default_rng([seed, index])
    return rng.integers(0, 100, (rows, columns)).astype(np.int16)


def ct_dataset(
    index: int = 0,
    *,
    seed: int = 0,
    rows: int = 32,
    columns: int = 32,
    slice_spacing_mm: float = 3.0,
    pixel_spacing_mm: tuple[float, float] = (0.8, 0.8),
    orientation: Iterable[float] = AXIAL,
    origin_mm: tuple[float, float, float] = (-200.0, -200.0, 0.0),
    pixels: NDArray[Any] | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **attributes: Any,
) -> Dataset:
    """One CT image with file meta. `attributes` replace elements by keyword; None leaves one out."""
    direction = [float(value) for value in orientation]
    normal = np.cross(direction[:3], direction[3:])
    position = np.asarray(origin_mm) + normal * index * slice_spacing_mm
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid("instance", seed, index)
    ds.StudyInstanceUID = uid("study", seed)
    ds.SeriesInstanceUID = uid("series", seed)
    ds.FrameOfReferenceUID = uid("frame", seed)
    ds.StudyDate = ds.AcquisitionDate = "20240305"
    ds.AccessionNumber = f"ACC{seed:04d}"
    ds.Modality = "CT"
    ds.Manufacturer, ds.ManufacturerModelName, ds.StationName = "SIMULATED", "Factory", "CT1"
    ds.StudyDescription, ds.SeriesDescription, ds.ProtocolName = "CT abdomen", "Abdomen 3.0", "Abdomen"
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = "Test^Patient", f"PID{seed:04d}", "SITE"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19550101", "F", "069Y"
    ds.BodyPartExamined, ds.PatientPosition = "ABDOMEN", "HFS"
    ds.SliceThickness, ds.KVP, ds.GantryDetectorTilt = slice_spacing_mm, 120, 0
    ds.ConvolutionKernel = "B30f"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 2, 1, index + 1
    ds.ImagePositionPatient = [round(float(value), 4) for value in position]
    ds.ImageOrientationPatient = direction
    ds.PixelSpacing = list(pixel_spacing_mm)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    _set_pixels(ds, pixels_for(index, rows, columns, seed) if pixels is None else pixels, transfer_syntax)
    for keyword, value in attributes.items():
        if value is not None:
            setattr(ds, keyword, value)
        elif keyword in ds:
            delattr(ds, keyword)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID") or uid("none")
    return ds


def _set_pixels(ds: Dataset, pixels: NDArray[Any], transfer_syntax: str) -> None:
    ds.Rows, ds.Columns = pixels.shape[-2:]
    order: Literal["<", ">"] = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    if UID(transfer_syntax).is_encapsulated:
        # pydicom's encoders need the uncompressed syntax named first
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds["PixelData"] = _pixel_element(pixels.astype(pixels.dtype.newbyteorder("<")))
        ds.compress(UID(transfer_syntax), generate_instance_uid=False)
        return
    ds["PixelData"] = _pixel_element(pixels.astype(pixels.dtype.newbyteorder(order)))


def _pixel_element(pixels: NDArray[Any]) -> Any:
    from pydicom.dataelem import DataElement

    data = pixels.tobytes()
    return DataElement(0x7FE00010, "OW", data + b"\0" * (len(data) % 2))


def write_dicom(ds: Dataset, path: Path) -> Path:
    """Write with preamble and file meta; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def make_ct_series(
    directory: Path,
    n: int = 10,
    *,
    gap_at: int | None = None,
    seed: int = 0,
    name: str = "{index:04d}.dcm",
    edit: Edit | None = None,
    **options: Any,
) -> list[Path]:
    """Write `n` slices (without slice `gap_at`) into `directory`; options go to `ct_dataset`.

    `seed` names patient, study and series; give `SeriesInstanceUID=uid(...)` for a second series
    of one study: SOP Instance UIDs of its own are made.
    """
    paths = []
    for index in range(n):
        if index == gap_at:
            continue
        extra = dict(options)
        if "SeriesInstanceUID" in extra:
            extra.setdefault("SOPInstanceUID", uid("instance", extra["SeriesInstanceUID"], index))
        ds = ct_dataset(index, seed=seed, **extra)
        if edit is not None:
            edit(ds, index)
        paths.append(write_dicom(ds, directory / name.format(index=index)))
    return paths


def make_enhanced_ct(path: Path, n: int = 5, *, seed: int = 0, **options: Any) -> Path:
    """Write one enhanced multi-frame CT, the twin of `make_ct_series(n, seed=seed)`."""
    slices = [ct_dataset(index, seed=seed, **options) for index in range(n)]
    ds = slices[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("enhanced", seed)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.NumberOfFrames = n
    ds.PerFrameFunctionalGroupsSequence = [_frame_group(each) for each in slices]
    ds.SharedFunctionalGroupsSequence = [_shared_group(ds)]
    ds["PixelData"] = _pixel_element(
        np.concatenate([np.frombuffer(each.PixelData, dtype=np.uint8) for each in slices])
    )
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[keyword]
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        del ds[keyword]
    return write_dicom(ds, path)


def _frame_group(slice_ds: Dataset) -> Dataset:
    plane, frame_type, group = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = slice_ds.ImagePositionPatient
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    group.PlanePositionSequence = [plane]
    group.CTImageFrameTypeSequence = [frame_type]
    return group


def _shared_group(first: Dataset) -> Dataset:
    orientation, measures, rescale, group = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    rescale.RescaleSlope, rescale.RescaleIntercept = first.RescaleSlope, first.RescaleIntercept
    rescale.RescaleType = "HU"
    group.PlaneOrientationSequence = [orientation]
    group.PixelMeasuresSequence = [measures]
    group.PixelValueTransformationSequence = [rescale]
    return group
