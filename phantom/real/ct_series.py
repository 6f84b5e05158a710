"""Reads one real CT series, or one sagittal image, as voxels with a place in the patient. Reads files by pydicom.

All places are the patient's (LPS): x grows to the left, y to the back, z to the head. What is read is turned so that
slices run head to foot, rows front to back, columns right to left; slices that lean are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

Float = npt.NDArray[np.float32]
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
HU_MIN, HU_MAX = -1024, 3071
LEAN_COSINE = (
    0.9962  # 5 degrees: the endplates of a slice that leans more are not where a straight stack shows them
)
GAP_SHARE = (
    0.1  # slices may lie this share of their spacing beside their place (2.5 mm: a table step of 0.25 mm)
)
MAX_FILES = 4000
MAX_VOXELS = 1 << 30
# Said of the acquisition and of nobody: may be kept on what is made from a scan.
TECHNICAL = ("KVP", "ConvolutionKernel", "SliceThickness", "Manufacturer", "ManufacturerModelName")


class RealDataError(ValueError):
    """A series or marks that no twins can be made from; the message says why, without names of anybody."""


@dataclass(frozen=True)
class RealSeries:
    """Voxels (z, y, x) in HU: head to foot, front to back, right to left. A sagittal image has one x.

    `spacing_mm` is (z, y, x); `origin_xyz_mm` the middle of the first voxel. `is_flipped_yx` says along which
    of (y, x) the stored pixels ran the other way, which marks given in stored pixels need.
    """

    volume_zyx_hu: npt.NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float]
    thickness_mm: float
    is_flipped_yx: tuple[bool, bool] = (False, False)
    technical: dict[str, str] = field(default_factory=dict)
    address: str = ""  # of the folder or file, to find its rows in a table of marks; never written anywhere

    @property
    def is_image(self) -> bool:
        """Whether it is one sagittal image."""
        return bool(self.volume_zyx_hu.shape[2] == 1)

    @property
    def x_mm(self) -> Float:
        """Middles of the columns, rising."""
        return self._axis(0, 2, 1.0)

    @property
    def y_mm(self) -> Float:
        """Middles of the rows, rising."""
        return self._axis(1, 1, 1.0)

    @property
    def z_mm(self) -> Float:
        """Middles of the slices, falling."""
        return self._axis(2, 0, -1.0)

    def _axis(self, of_origin: int, of_volume: int, sign: float) -> Float:
        steps = np.arange(self.volume_zyx_hu.shape[of_volume]) * sign * self.spacing_mm[of_volume]
        return (self.origin_xyz_mm[of_origin] + steps).astype(np.float32)


def read_ct_series(folder: Path) -> RealSeries:
    """The one axial CT series in a folder. RealDataError when there is none, several, or one that leans or has gaps."""
    groups: dict[str, list[Dataset]] = {}
    for ds in _ct_headers(folder):
        groups.setdefault(str(ds.get("SeriesInstanceUID", "")), []).append(ds)
    if not groups:
        raise RealDataError("no CT series: the folder holds no CT image with a position")
    if len(groups) > 1:
        sizes = ", ".join(str(len(group)) for group in groups.values())
        raise RealDataError(
            f"{len(groups)} CT series in one folder (of {sizes} images): name a folder with one"
        )
    return _stacked(next(iter(groups.values())), folder)


def read_sagittal_image(path: Path) -> RealSeries:
    """One sagittal image as a series of one column: rows become slices (head to foot), columns rows (front to back)."""
    try:
        ds = dcmread(path)
    except (InvalidDicomError, OSError) as error:
        raise RealDataError("the file is no DICOM image") from error
    along, down = _directions(ds)
    if abs(along[1]) < LEAN_COSINE or abs(down[2]) < LEAN_COSINE:
        raise RealDataError("the image is not sagittal")
    hu, place = _hu(ds), np.array([float(v) for v in ds.ImagePositionPatient])
    row_mm, column_mm = (float(v) for v in ds.PixelSpacing)
    is_upside_down, is_back_to_front = bool(down[2] > 0), bool(along[1] < 0)
    if is_upside_down:
        hu, place = hu[::-1], place + down * row_mm * (len(hu) - 1)
    if is_back_to_front:
        hu, place = hu[:, ::-1], place + along * column_mm * (hu.shape[1] - 1)
    thickness = float(ds.get("SliceThickness") or row_mm)
    return RealSeries(
        np.ascontiguousarray(hu[:, :, None]),
        (row_mm, column_mm, thickness),
        (float(place[0]), float(place[1]), float(place[2])),
        row_mm,
        (is_back_to_front, False),
        _technical(ds),
        str(path),
    )


def _ct_headers(folder: Path) -> Iterator[Dataset]:
    if not folder.is_dir():
        raise RealDataError(
            f"there is no folder {folder}: name the one that holds the files of one CT series"
        )
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(paths) > MAX_FILES:
        raise RealDataError(f"{len(paths)} files: name the folder of one series")
    for path in paths:
        try:
            ds = dcmread(path, defer_size=4096)
        except (InvalidDicomError, OSError, ValueError):
            continue
        if _is_ct(ds) and _has_place(ds):
            yield ds


def _is_ct(ds: Dataset) -> bool:
    """A CT image by its class; by its modality where exports have lost the class."""
    known = ds.get("SOPClassUID") or ds.file_meta.get("MediaStorageSOPClassUID")
    return str(known) == CT_IMAGE if known else ds.get("Modality") == "CT"


def _has_place(ds: Dataset) -> bool:
    needed = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
    return all(ds.get(name) is not None for name in needed)


def _directions(ds: Dataset) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit vectors along a row and down a column."""
    if not _has_place(ds):
        raise RealDataError("the image has no place in the patient")
    values = np.array([float(v) for v in ds.ImageOrientationPatient])
    return values[:3], values[3:]


def _stacked(slices: list[Dataset], folder: Path) -> RealSeries:
    along, down = _directions(slices[0])
    if abs(along[0]) < LEAN_COSINE or abs(down[1]) < LEAN_COSINE:
        raise RealDataError("the slices are not axial, or lean by more than 5 degrees")
    slices.sort(key=lambda ds: -float(ds.ImagePositionPatient[2]))
    places = np.array([[float(v) for v in ds.ImagePositionPatient] for ds in slices])
    spacing = _slice_spacing(places)
    first = slices[0]
    if any((ds.Rows, ds.Columns) != (first.Rows, first.Columns) for ds in slices):
        raise RealDataError("the slices differ in size")
    if len(slices) * int(first.Rows) * int(first.Columns) > MAX_VOXELS:
        raise RealDataError("the series is too large")
    volume = np.stack([_hu(ds) for ds in slices])
    row_mm, column_mm = (float(v) for v in first.PixelSpacing)
    flip_y, flip_x = bool(down[1] < 0), bool(along[0] < 0)
    x, y, z = places[0]
    if flip_y:
        volume, y = volume[:, ::-1], y - row_mm * (volume.shape[1] - 1)
    if flip_x:
        volume, x = volume[:, :, ::-1], x - column_mm * (volume.shape[2] - 1)
    return RealSeries(
        np.ascontiguousarray(volume),
        (spacing, row_mm, column_mm),
        (float(x), float(y), float(z)),
        float(first.get("SliceThickness") or spacing),
        (flip_y, flip_x),
        _technical(first),
        str(folder.resolve()),
    )


def _slice_spacing(places: npt.NDArray[np.float64]) -> float:
    if len(places) < 3:
        raise RealDataError(f"{len(places)} slices are too few")
    gaps = -np.diff(places[:, 2])
    spacing = float(np.median(gaps))
    is_even = spacing > 0 and bool(np.all(np.abs(gaps - spacing) <= GAP_SHARE * spacing))
    if not is_even:
        raise RealDataError("the slices are unevenly spaced: one is missing, doubled, or of another series")
    if np.ptp(places[:, :2], axis=0).max() > 1.0:
        raise RealDataError("the slices are shifted against each other")
    return spacing


def _hu(ds: Dataset) -> npt.NDArray[np.int16]:
    try:
        pixels = ds.pixel_array
    except Exception as error:  # whatever a codec may raise: the series cannot be used
        raise RealDataError("an image cannot be decoded") from error
    if pixels.ndim != 2:
        raise RealDataError("an image has more than one frame or colour")
    hu = pixels.astype(np.float32) * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
    return np.asarray(np.clip(np.rint(hu), HU_MIN, HU_MAX), np.int16)


def _technical(ds: Dataset) -> dict[str, str]:
    found: dict[str, Any] = {name: ds.get(name) for name in TECHNICAL}
    return {name: _first(value) for name, value in found.items() if value not in (None, "")}


def _first(value: Any) -> str:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return str(value[0] if is_list else value)
