"""The functional groups of an enhanced CT: geometry and rescale of every frame, by pydicom.

A value may stand in the shared group or in each frame's own (PS3.3, section C.7.6.16); the frame's own wins.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

from tasks.dicom.elements import MAX_GROUPS_BYTES, BadHeader, Elements, ReadAt, tag
from tasks.instance import FramePlane

SHARED, PER_FRAME = tag(0x5200, 0x9229), tag(0x5200, 0x9230)
FUNCTIONAL_GROUPS = frozenset({SHARED, PER_FRAME})


def read_frames(
    read_at: ReadAt, found: Elements, n_frames: int, *, is_implicit: bool
) -> tuple[FramePlane, ...] | None:
    """One plane per frame, in frame order; None where a frame lacks its position or orientation.

    Raises BadHeader where the groups break a bound or cannot be read.
    """
    if PER_FRAME not in found.spans and PER_FRAME not in found.sequences:
        return None
    try:
        shared = _groups(read_at, found, SHARED, is_implicit)
        per_frame = _groups(read_at, found, PER_FRAME, is_implicit)
        if len(per_frame) != n_frames:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            planes = [_plane(frame, shared[0] if shared else None) for frame in per_frame]
    except BadHeader:
        raise
    except Exception:  # pydicom raises many kinds on broken groups; all mean the same
        raise BadHeader("functional groups") from None
    return None if any(plane is None for plane in planes) else tuple(planes)  # type: ignore[arg-type]


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


def _plane(frame: Any, shared: Any) -> FramePlane | None:
    def find(sequence: str, keyword: str) -> Any:
        for group in (frame, shared):
            items = group.get(sequence) if group is not None else None
            if items and items[0].get(keyword) is not None:
                return items[0].get(keyword)
        return None

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
    return values if isinstance(values, str) else "\\".join(map(str, values))
