"""The functional groups of an enhanced CT, by pydicom: geometry and rescale of every frame, and how it was scanned.

A value may stand in the shared group or in each frame's own (PS3.3, section C.7.6.16); the frame's own wins.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tasks.dicom.elements import MAX_GROUPS_BYTES, BadHeader, Elements, ReadAt, tag
from tasks.dicom.values import TAG_OF
from tasks.instance import FramePlane

SHARED, PER_FRAME = tag(0x5200, 0x9229), tag(0x5200, 0x9230)
FUNCTIONAL_GROUPS = frozenset({SHARED, PER_FRAME})
# What a classic image says at its top, and in which sequence an enhanced one has it (PS3.3 C.8.15.3).
_OF_THE_SCAN = {
    "KVP": "CTXRayDetailsSequence",
    "GantryDetectorTilt": "CTAcquisitionDetailsSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}


class EnhancedHeader(NamedTuple):
    """What the functional groups say."""

    planes: tuple[FramePlane, ...] | None  # one per frame, in frame order; None where one is not placed
    values: dict[bytes, bytes]  # of the scan, as classic images have them: those that all frames share

    def beside(self, values: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The values of an object, with what only its groups say."""
        return values | {each: said for each, said in self.values.items() if not values.get(each)}


NO_GROUPS = EnhancedHeader(None, {})


def read_frames(read_at: ReadAt, found: Elements, n_frames: int, *, is_implicit: bool) -> EnhancedHeader:
    """The planes, None where a frame lacks its position or orientation, and what all frames have in common.

    Raises BadHeader where the groups break a bound or cannot be read.
    """
    if PER_FRAME not in found.spans and PER_FRAME not in found.sequences:
        return NO_GROUPS
    try:
        shared = _groups(read_at, found, SHARED, is_implicit)
        per_frame = _groups(read_at, found, PER_FRAME, is_implicit)
        if len(per_frame) != n_frames:
            return NO_GROUPS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            groups = [(frame, shared[0] if shared else None) for frame in per_frame]
            planes = [_plane(own) for own in groups]
            values = dict(_of_the_scan(groups))
    except BadHeader:
        raise
    except Exception:  # pydicom raises many kinds on broken groups; all mean the same
        raise BadHeader("functional groups") from None
    placed = tuple(plane for plane in planes if plane is not None)
    return EnhancedHeader(placed if len(placed) == n_frames else None, values)


def _groups(read_at: ReadAt, found: Elements, which: bytes, is_implicit: bool) -> list[Any]:
    from pydicom.filereader import read_dataset

    if which not in found.spans:
        return found.sequences.get(which, [])
    start, end = found.spans[which]
    if end - start > MAX_GROUPS_BYTES:
        raise BadHeader("functional groups")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = read_dataset(io.BytesIO(read_at(start, end - start)), is_implicit, True)
        elements: list[Any] = list(data_set)  # iterating converts; values() may give raw bytes
        return list(elements[0].value) if elements else []


def _find(groups: tuple[Any, Any], sequence: str, keyword: str) -> Any:
    """A value of a frame's own group, or of the shared one."""
    for group in groups:
        items = group.get(sequence) if group is not None else None
        if items and items[0].get(keyword) is not None:
            return items[0].get(keyword)
    return None


def _of_the_scan(groups: list[tuple[Any, Any]]) -> Iterator[tuple[bytes, bytes]]:
    for keyword, sequence in _OF_THE_SCAN.items():
        said = {_joined(_find(own, sequence, keyword)) for own in groups}
        if len(said) == 1 and (one := said.pop()):
            yield TAG_OF[keyword], one.encode()


def _plane(groups: tuple[Any, Any]) -> FramePlane | None:
    find = functools.partial(_find, groups)
    position = _floats(find("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _floats(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    if position is None or orientation is None:
        return None
    frame_type = find("CTImageFrameTypeSequence", "FrameType")
    return FramePlane(
        position_mm=position,  # type: ignore[arg-type]  # exactly three
        orientation=orientation,  # type: ignore[arg-type]  # exactly six
        pixel_spacing_mm=_floats(find("PixelMeasuresSequence", "PixelSpacing"), 2),  # type: ignore[arg-type]
        slope=_float(find("PixelValueTransformationSequence", "RescaleSlope")),
        intercept=_float(find("PixelValueTransformationSequence", "RescaleIntercept")),
        slice_thickness_mm=_float(find("PixelMeasuresSequence", "SliceThickness")),
        image_type=_joined(frame_type),
        rescale_type=_joined(find("PixelValueTransformationSequence", "RescaleType")),
    )


def _floats(values: Any, count: int) -> tuple[float, ...] | None:
    numbers = tuple(float(value) for value in values) if values is not None and values != "" else ()
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _float(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _joined(values: Any) -> str | None:
    if values is None or values == "":
        return None
    is_one = isinstance(values, str) or not isinstance(values, Iterable)
    return str(values) if is_one else "\\".join(map(str, values))
