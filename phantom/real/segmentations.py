"""Reads the vertebra masks of a DICOM Segmentation object (PS3.3 A.51) by pydicom alone.

Binary segmentations (one bit a voxel, a segment in each frame) and label maps are read; fractional ones are not.
The level of a segment is read from its label or its type ("vertebrae_L1", "L1 vertebra", "Vertebra T12").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from phantom.real.ct_series import RealDataError
from phantom.real.nifti import PlacedArray
from phantom.real.vertebra_marks import read_level

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
MAX_FRAMES = 200_000
MAX_PIXELS = 4 << 30
Floats = npt.NDArray[np.float64]


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation."""
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except (InvalidDicomError, OSError):
        return False
    return str(ds.get("SOPClassUID", "")) in (SEGMENTATION, LABEL_MAP)


def read_segmentation(path: Path) -> Iterator[tuple[str, PlacedArray]]:
    """(level, mask with its place) of every vertebra segment. RealDataError when the object cannot be used."""
    ds = _opened(path)
    levels = {int(item.SegmentNumber): level for item in ds.SegmentSequence if (level := _level_of(item))}
    frames = np.asarray(_pixels(ds))
    is_label_map = str(ds.SOPClassUID) == LABEL_MAP
    places = [_Place(ds, index) for index in range(len(frames))]
    for number, level in sorted(levels.items()):
        own = [k for k, place in enumerate(places) if is_label_map or place.segment == number]
        masks = [frames[k] == number if is_label_map else frames[k] > 0 for k in own]
        filled = [k for k, mask in enumerate(masks) if mask.any()]
        if filled:
            yield level, _stacked([masks[k] for k in filled], [places[own[k]] for k in filled])


def _opened(path: Path) -> Dataset:
    try:
        ds = dcmread(path)
    except (InvalidDicomError, OSError) as error:
        raise RealDataError("the file is no DICOM object") from error
    if str(ds.get("SOPClassUID", "")) not in (SEGMENTATION, LABEL_MAP):
        raise RealDataError("the DICOM file is no segmentation")
    if ds.get("SegmentationType") == "FRACTIONAL":
        raise RealDataError("the segmentation is fractional: store it as binary")
    n_frames = int(ds.get("NumberOfFrames") or 0)
    if not 0 < n_frames <= MAX_FRAMES or n_frames * int(ds.Rows) * int(ds.Columns) > MAX_PIXELS:
        raise RealDataError("the segmentation is empty or too large")
    return ds


def _pixels(ds: Dataset) -> npt.NDArray[np.generic]:
    try:
        pixels = ds.pixel_array
    except Exception as error:  # whatever a codec may raise
        raise RealDataError("the segmentation cannot be decoded") from error
    return pixels[None] if pixels.ndim == 2 else pixels


def _level_of(segment: Dataset) -> str | None:
    texts = [str(segment.get("SegmentLabel", "")), str(segment.get("SegmentDescription", ""))]
    texts += [
        str(code.get("CodeMeaning", "")) for code in segment.get("SegmentedPropertyTypeCodeSequence", [])
    ]
    for text in texts:
        named = read_level(text.replace("_", " "))
        if named is not None and ("verteb" in text.lower() or len(text.strip()) <= 4):
            return named[0]
    return None


class _Place:
    """Where one frame lies, and which segment it shows."""

    def __init__(self, ds: Dataset, index: int) -> None:
        own = ds.PerFrameFunctionalGroupsSequence[index]
        shared = ds.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in ds else Dataset()
        try:
            orientation = _item(own, shared, "PlaneOrientationSequence").ImageOrientationPatient
            self.position = np.array([float(v) for v in own.PlanePositionSequence[0].ImagePositionPatient])
            measures = _item(own, shared, "PixelMeasuresSequence")
            self.row_mm, self.column_mm = (float(v) for v in measures.PixelSpacing)
            self.thickness_mm = float(
                measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0
            )
            directions = np.array([float(v) for v in orientation])
            identified = own.get("SegmentIdentificationSequence")
            self.segment = int(identified[0].ReferencedSegmentNumber) if identified else 0
        except (AttributeError, IndexError, TypeError, ValueError, KeyError) as error:
            raise RealDataError("a frame of the segmentation has no place in the patient") from error
        self.along, self.down = directions[:3], directions[3:]


def _item(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    item: Dataset = (own.get(keyword) or shared.get(keyword))[0]
    return item


def _stacked(masks: list[npt.NDArray[np.bool_]], places: list[_Place]) -> PlacedArray:
    """Frames of one segment as an array (frame, row, column); missing frames between others are empty."""
    first = places[0]
    normal = np.cross(first.along, first.down)
    offsets = np.array([place.position @ normal for place in places])
    gaps = np.diff(np.unique(offsets.round(3)))
    spacing = float(gaps.min()) if gaps.size else first.thickness_mm
    if not spacing > 0:
        raise RealDataError("the frames of the segmentation have no spacing")
    steps = np.rint((offsets - offsets.min()) / spacing).astype(int)
    stack = np.zeros(
        (int(steps.max()) + 3, *masks[0].shape), bool
    )  # empty frames are not stored: one on each side
    for step, mask in zip(steps, masks, strict=True):
        stack[step + 1] |= mask
    matrix = np.eye(4)
    matrix[:3, 0] = normal * spacing
    matrix[:3, 1], matrix[:3, 2] = first.down * first.row_mm, first.along * first.column_mm
    matrix[:3, 3] = places[int(steps.argmin())].position - matrix[:3, 0]
    return PlacedArray(stack, matrix)
