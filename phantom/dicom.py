"""Writes CT series as DICOM files: the factory behind the simulated hospital, tests and benchmarks.

paths = write_ct_series(folder, volume_zyx_hu, spacing_mm=(2.5, 0.8, 0.8), transfer_syntax=RLELossless)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from phantom.files.dicom_bytes import (
    Pixels,
    element,
    encode_dataset,
    encode_values,
    file_head,
    freeze_series,
    make_uid,
    pixel_element,
)
from phantom.files.private_tags import PrivateElement, add_private

Point = tuple[float, float, float]
HEAD_FIRST_SUPINE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
_SOP_INSTANCE, _INSTANCE, _POSITION, _LOCATION = 0x00080018, 0x00200013, 0x00200032, 0x00201041


def decimal_string(value: float) -> str:
    """A number as a DICOM decimal string of at most 16 characters."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e8 else f"{value:.8e}"


def stored_pixels(
    hu: npt.NDArray[np.int16], *, slope: float, intercept: float, is_signed: bool, bits_stored: int
) -> Pixels:
    """HU as stored values of that slope and intercept, clipped to what the bits can hold."""
    low, high = (
        (-(1 << bits_stored - 1), (1 << bits_stored - 1) - 1) if is_signed else (0, (1 << bits_stored) - 1)
    )
    if slope == 1 and float(intercept).is_integer():
        values = hu.astype(np.int32) - int(intercept)
    else:
        values = np.rint((hu.astype(np.float32) - intercept) / slope).astype(np.int32)
    np.clip(values, low, high, out=values)
    return values.astype("<i2") if is_signed else values.astype("<u2")


def outside_circle(rows: int, columns: int, shift: tuple[float, float] = (0.0, 0.0)) -> npt.NDArray[np.bool_]:
    """What lies outside the round field of view, where scanners store their padding value.

    `shift` moves the circle by shares of (rows, columns), as for a field of view off the scanner's centre: then
    padding also lies within the inscribed circle.
    """
    y, x = np.ogrid[:rows, :columns]
    from_y = (y - (0.5 + shift[0]) * rows + 0.5) / (0.5 * rows)
    from_x = (x - (0.5 + shift[1]) * columns + 0.5) / (0.5 * columns)
    return np.asarray(from_y**2 + from_x**2 > 1)


def base_header(seed: object) -> Dataset:
    """A CT Image IOD's patient, study, series and equipment; neutral values, to be overridden by `tags`."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = make_uid(seed, "template")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20220314"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101500"
    ds.AccessionNumber = "A000001"
    ds.Modality = "CT"
    ds.Manufacturer, ds.ManufacturerModelName = "Phantom Works", "Slicer 64"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription, ds.SeriesDescription = "CT THORAX", "AXIAL"
    ds.PatientName, ds.PatientID = "PHANTOM^PATIENT", "P000001"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19550601", "F", "066Y"
    ds.BodyPartExamined = "CHEST"
    ds.SliceThickness, ds.KVP = "1.0", "120"
    ds.SoftwareVersions, ds.ProtocolName = "1.0", "ROUTINE"
    ds.ConvolutionKernel = "STANDARD"
    ds.XRayTubeCurrent, ds.ExposureTime = "200", "500"
    ds.GantryDetectorTilt = "0"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = make_uid(seed, "study"), make_uid(seed, "series")
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "1", "2", "1", "1"
    ds.FrameOfReferenceUID = make_uid(seed, "frame of reference")
    ds.PositionReferenceIndicator = ""
    return ds


def describe_pixels(
    ds: Dataset,
    *,
    shape: tuple[int, int],
    bits_stored: int,
    is_signed: bool,
    slope: float,
    intercept: float,
    padding: int | None,
) -> None:
    """The image pixel module and the rescale values."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(is_signed)
    if padding is not None:
        ds.PixelPaddingValue = padding
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleIntercept, ds.RescaleSlope = decimal_string(intercept), decimal_string(slope)
    ds.RescaleType = "HU"


def apply_tags(ds: Dataset, tags: Mapping[str, Any] | None) -> None:
    """Overrides by keyword; None takes an element away."""
    for keyword, value in (tags or {}).items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)


def item_of(**values: Any) -> Dataset:
    """An item of a sequence, by keywords."""
    item = Dataset()
    apply_tags(item, values)
    return item


def write_object(path: Path, dataset: Dataset, transfer_syntax: str, pixels: bytes = b"") -> Path:
    """One object as a file; `pixels` is its encoded pixel element where the data set has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = file_head(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), transfer_syntax)
    path.write_bytes(head + encode_dataset(dataset, transfer_syntax) + pixels)
    return path


def normal_of(orientation: tuple[float, ...]) -> Point:
    """Cross product of the row and the column direction."""
    x, y, z = np.cross(orientation[:3], orientation[3:]).tolist()
    return (x, y, z)


def write_ct_series(
    directory: Path,
    volume_zyx_hu: npt.NDArray[np.int16],
    *,
    spacing_mm: Point,
    origin_xyz_mm: Point = (0.0, 0.0, 0.0),
    orientation: tuple[float, ...] = HEAD_FIRST_SUPINE,
    step_xyz_mm: Point | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    slope: float = 1.0,
    intercept: float = -1024.0,
    is_signed: bool = False,
    bits_stored: int = 16,
    padding: int | None = None,
    padding_shift: tuple[float, float] = (0.0, 0.0),
    tags: Mapping[str, Any] | None = None,
    private: tuple[PrivateElement, ...] = (),
    slice_tags: Callable[[int], Mapping[str, Any]] | None = None,
    names: str = "IM{:04d}",
    seed: object = 0,
) -> list[Path]:
    """Write one file per slice into `directory` (made when absent); returns their paths in volume order.

    `spacing_mm` is (between slices, between rows, between columns); `origin_xyz_mm` the middle of the first
    voxel; `step_xyz_mm` the way from slice to slice (default: spacing along row × column, towards the head for
    the default orientation). `padding` is a stored value, written outside the round field of view, which
    `padding_shift` moves. `tags` overrides elements by keyword, `slice_tags(index)` those of one slice; None takes
    an element away; `private` adds private blocks. UIDs come from `seed` alone, so give each series its own.
    Lossless in every transfer syntax but those of `dicom_bytes.LOSSY`. Raises ValueError for a volume that is not
    3-D.
    """
    if volume_zyx_hu.ndim != 3:
        raise ValueError("a volume has the axes (z, y, x)")
    header = base_header(seed)
    describe_pixels(
        header,
        shape=(volume_zyx_hu.shape[1], volume_zyx_hu.shape[2]),
        bits_stored=bits_stored,
        is_signed=is_signed,
        slope=slope,
        intercept=intercept,
        padding=padding,
    )
    header.SliceThickness = decimal_string(spacing_mm[0])
    header.ImageOrientationPatient = [decimal_string(v) for v in orientation]
    header.PixelSpacing = [decimal_string(v) for v in spacing_mm[1:]]
    apply_tags(header, tags)
    add_private(header, private)
    values = stored_pixels(
        volume_zyx_hu, slope=slope, intercept=intercept, is_signed=is_signed, bits_stored=bits_stored
    )
    if padding is not None:
        outside = outside_circle(values.shape[1], values.shape[2], padding_shift)
        values[:, outside] = np.array(padding & 0xFFFF, "<u2").view(values.dtype)
    normal = np.array(normal_of(orientation))
    step = normal * spacing_mm[0] if step_xyz_mm is None else np.array(step_xyz_mm)
    places = np.asarray(origin_xyz_mm) + np.arange(len(values))[:, None] * step
    return _write_slices(directory, header, values, places, normal, transfer_syntax, slice_tags, names, seed)


def _write_slices(  # noqa: PLR0917
    directory: Path,
    header: Dataset,
    values: Pixels,
    places: npt.NDArray[np.float64],
    normal: npt.NDArray[np.float64],
    transfer_syntax: str,
    slice_tags: Callable[[int], Mapping[str, Any]] | None,
    names: str,
    seed: object,
) -> list[Path]:
    changing = {_SOP_INSTANCE, _INSTANCE, _POSITION, _LOCATION}
    if slice_tags is not None:
        changing |= {tag for k in range(len(values)) for tag in map(tag_for_keyword, slice_tags(k)) if tag}
    frozen = freeze_series(header, sorted(changing), transfer_syntax)
    directory.mkdir(parents=True, exist_ok=True)
    sop_class, folder, paths = str(header.SOPClassUID), os.fspath(directory), []
    for k, frame in enumerate(values):
        own = {str(i): v for i, v in (slice_tags(k) if slice_tags else {}).items()}
        instance_uid = str(own.get("SOPInstanceUID") or make_uid(seed, header.SeriesInstanceUID, k))
        elements = _usual(instance_uid, k, places[k], normal, transfer_syntax)
        elements |= _unchanged(header, changing, elements, transfer_syntax)
        elements |= encode_values(own, header, transfer_syntax)
        body = frozen.instance(elements, pixel_element(frame, transfer_syntax, int(header.BitsStored)))
        path = os.path.join(folder, names.format(k + 1))
        with open(path, "wb") as file:
            file.write(file_head(sop_class, instance_uid, transfer_syntax) + body)
        paths.append(Path(path))
    return paths


def _usual(
    uid: str, k: int, place: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], transfer_syntax: str
) -> dict[int, bytes]:
    position = "\\".join(decimal_string(float(v)) for v in place)
    location = decimal_string(float(place @ normal))
    return {
        _SOP_INSTANCE: element(_SOP_INSTANCE, b"UI", uid.encode(), transfer_syntax),
        _INSTANCE: element(_INSTANCE, b"IS", str(k + 1).encode(), transfer_syntax),
        _POSITION: element(_POSITION, b"DS", position.encode(), transfer_syntax),
        _LOCATION: element(_LOCATION, b"DS", location.encode(), transfer_syntax),
    }


def _unchanged(
    header: Dataset, changing: set[int], known: Mapping[int, bytes], transfer_syntax: str
) -> dict[int, bytes]:
    """Elements that some slice changes and this one may not: the header's value, until overridden."""
    others = [tag for tag in changing if tag not in known and tag in header]
    values = {header[tag].keyword: header[tag].value for tag in others}
    return encode_values(values, header, transfer_syntax)
