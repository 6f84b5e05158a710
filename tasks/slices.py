"""One slice of a series: an instance of its own, or a frame of an enhanced object. Pure; reads no files."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tasks.geometry import Floats, normal_of, unit_orientation
from tasks.instance import Instance
from tasks.plan import Orientation, Vector

# Scanner coordinates stay within a few metres; couch positions of some vendors reach 10 m.
MAX_POSITION_MM = 100_000.0
MAX_THICKNESS_MM = 1_000.0
# A CT pixel: from micro-CT to a whole body on 64 columns.
PIXEL_RANGE_MM = (0.01, 20.0)


class StackSlice(NamedTuple):
    """One slice: a single-frame instance, or one frame of an enhanced object."""

    instance: Instance
    frame: int
    position_mm: Vector | None
    orientation: Orientation | None  # unit length; None when absent or impossible
    pixel_spacing_mm: tuple[float, float] | None  # row, column spacing; None when absent or impossible
    slope: float | None
    intercept: float | None
    thickness_mm: float | None
    image_type: str | None


def slices_of(instances: Iterable[Instance]) -> list[StackSlice]:
    slices: list[StackSlice] = []
    for instance in instances:
        if instance.frames:
            slices += _frames_of(instance)
        else:
            slices.append(
                StackSlice(
                    instance,
                    0,
                    _finite(instance.position_mm),
                    _unit(instance.orientation),
                    _spacing(instance.pixel_spacing_mm),
                    instance.slope,
                    instance.intercept,
                    _thickness(instance.slice_thickness_mm),
                    instance.image_type,
                )
            )
    return slices


def _frames_of(instance: Instance) -> list[StackSlice]:
    return [
        StackSlice(
            instance,
            index,
            _finite(frame.position_mm),
            _unit(frame.orientation),
            _spacing(frame.pixel_spacing_mm),
            frame.slope,
            frame.intercept,
            _thickness(frame.slice_thickness_mm),
            frame.image_type or instance.image_type,
        )
        for index, frame in enumerate(instance.frames or ())
    ]


def _finite(position_mm: Vector | None) -> Vector | None:
    """A position that can be: finite and within MAX_POSITION_MM."""
    if position_mm is None:
        return None
    x_mm, y_mm, z_mm = position_mm
    limit_mm = MAX_POSITION_MM
    is_possible = abs(x_mm) <= limit_mm and abs(y_mm) <= limit_mm and abs(z_mm) <= limit_mm
    return position_mm if is_possible else None


def _thickness(thickness_mm: float | None) -> float | None:
    """A thickness that can be; zero is the vendors' word for unknown."""
    return thickness_mm if thickness_mm is not None and 0 < thickness_mm <= MAX_THICKNESS_MM else None


@functools.lru_cache(maxsize=4096)
def _unit(orientation: Orientation | None) -> Orientation | None:
    return unit_orientation(orientation)


@functools.lru_cache(maxsize=4096)
def _spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
    """PixelSpacing as it stands; zero, negative, endless and absurd ones are none (T21)."""
    low, high = PIXEL_RANGE_MM
    return (
        spacing_mm if spacing_mm is not None and all(low <= value <= high for value in spacing_mm) else None
    )


def positions_of(slices: Sequence[StackSlice]) -> Floats:
    return np.array([item.position_mm for item in slices], dtype=np.float64)


def along_mm_of(slices: Sequence[StackSlice], orientation: Orientation) -> Floats:
    along_mm: Floats = positions_of(slices) @ np.asarray(normal_of(orientation))
    return along_mm


def common_orientation(slices: Sequence[StackSlice]) -> Orientation | None:
    """The most frequent orientation, the smaller one of equals; None unless every slice has its place."""
    if not slices or any(item.position_mm is None or item.orientation is None for item in slices):
        return None
    counts = Counter(item.orientation for item in slices)
    return min(counts, key=lambda value: (-counts[value], value or ()))
