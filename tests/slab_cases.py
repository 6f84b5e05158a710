"""A smooth simple anatomy that can be scanned in any direction, straight into a plan: for tests of the slab stage.

Files hold bare pixels (no DICOM): what is tested is geometry and decoding, not headers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tasks.instance import FileRef
from tasks.plan import Orientation, PixelFormat, PlannedSlice, SeriesPlan

Float = NDArray[np.float64]
EXPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SUPINE: Orientation = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL: Orientation = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SIGNED_16 = PixelFormat(EXPLICIT_LITTLE, 1, "MONOCHROME2", 16, 16, 15, 1, None, None)


@dataclass(frozen=True)
class MemorySource:
    """An archive in memory."""

    files: dict[bytes, bytes]
    kind: str = "memory"

    def open(self, ref: FileRef) -> BinaryIO:
        if ref.path not in self.files:
            raise FileNotFoundError(2, "no such file")
        return io.BytesIO(self.files[ref.path])

    def local_path(self, ref: FileRef) -> Path | None:
        return None


@dataclass(frozen=True)
class FolderSource:
    """A folder of files."""

    root: Path
    kind: str = "folder"

    def open(self, ref: FileRef) -> BinaryIO:
        return (self.root / ref.path.decode()).open("rb")

    def local_path(self, ref: FileRef) -> Path | None:
        return self.root / ref.path.decode()


def _inside(signed_distance_mm: Float, softness_mm: float = 1.5) -> Float:
    """1 inside, 0 outside, with an edge as a scanner blurs it."""
    return np.asarray(1 / (1 + np.exp(np.clip(-signed_distance_mm / softness_mm, -40, 40))))


def _ellipse(u: Float, v: Float, a: float, b: float) -> Float:
    """About the distance from an ellipse's edge, positive inside."""
    return (1 - np.hypot(u / a, v / b)) * min(a, b)


def trunk_hu(x: Float, y: Float, z: Float, *, bone_hu: float = 180.0, spine_x: float = 0.0) -> Float:
    """HU at patient coordinates: a trunk 340 × 220 mm wide around x = 0, with a spine behind its middle."""
    x, y, z = np.broadcast_arrays(np.float32(x), np.float32(y), np.float32(z))
    hu = -1000 + 1040 * _inside(_ellipse(x, y, 170, 110))
    hu -= 120 * _inside(_ellipse(x, y + 30, 60, 35), 4.0)  # something softer in front
    near = (np.abs(x - spine_x) < 45) & (np.abs(y - 60) < 75)
    hu[near] += _spine(x[near] - spine_x, y[near], z[near], bone_hu)
    return np.asarray(hu)


def _spine(x: Float, y: Float, z: Float, bone_hu: float) -> Float:
    """What a spine adds: a vertebra every 30 mm, its dense rim, and a spinous process behind it."""
    level = np.mod(z, 30.0) - 15.0
    y = y - 45 - 8 * np.sin(z / 60)
    body = _inside(_ellipse(x, y, 22, 16)) * _inside(11 - np.abs(level))
    core = _inside(_ellipse(x, y, 17, 11)) * _inside(6 - np.abs(level))
    spinous = _inside(5 - np.abs(x)) * _inside(14 - np.abs(y - 42)) * _inside(8 - np.abs(level))
    return np.asarray((bone_hu - 40) * body + 150 * body * (1 - core) + 400 * spinous)


def scan(
    hu_of: Callable[[Float, Float, Float], Float] = trunk_hu,
    *,
    orientation: Orientation = SUPINE,
    n_slices: int = 50,
    spacing_mm: float = 2.0,
    pixel_mm: float = 2.0,
    shape: tuple[int, int] = (200, 200),
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    step: Sequence[float] | None = None,
    offsets_mm: Sequence[float] | None = None,
    plane: str = "axial",
) -> tuple[SeriesPlan, MemorySource]:
    """Scan an anatomy: `shape` (rows, columns) around `centre`, slices along `step` (default the normal)."""
    along_columns, along_rows = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    normal = np.cross(along_columns, along_rows)
    direction = normal if step is None else np.asarray(step, float)
    offsets = (
        (np.arange(n_slices) - (n_slices - 1) / 2) * spacing_mm
        if offsets_mm is None
        else np.asarray(offsets_mm)
    )
    columns = (np.arange(shape[1]) - (shape[1] - 1) / 2) * pixel_mm
    rows = (np.arange(shape[0]) - (shape[0] - 1) / 2) * pixel_mm
    images, positions = [], []
    for offset in offsets:
        middle = np.asarray(centre) + offset * direction
        point = middle + rows[:, None, None] * along_rows + columns[None, :, None] * along_columns
        images.append(np.rint(hu_of(point[..., 0], point[..., 1], point[..., 2])).astype(np.int16))
        positions.append(middle + rows[0] * along_rows + columns[0] * along_columns)
    return plan_of(images, positions, orientation=orientation, pixel_mm=pixel_mm, plane=plane)


def plan_of(
    images: Sequence[NDArray[np.int16]],
    positions: Sequence[Float],
    *,
    orientation: Orientation = SUPINE,
    pixel_mm: float = 2.0,
    plane: str = "axial",
    pixels: PixelFormat = SIGNED_16,
) -> tuple[SeriesPlan, MemorySource]:
    """A plan over images in memory (HU as signed 16 bit), in whatever order they come."""
    normal = np.cross(orientation[:3], orientation[3:])
    files, slices = {}, []
    for index, (image, position) in enumerate(zip(images, positions, strict=True)):
        data = image.astype("<i2").tobytes()
        name = f"{index:04d}".encode()
        files[name] = data
        x, y, z = (float(value) for value in position)
        slices.append(
            PlannedSlice(
                file=FileRef(name, None, len(data)),
                frame=0,
                n_frames=1,
                position_mm=(x, y, z),
                along_normal_mm=float(normal @ np.asarray(position)),
                slope=1.0,
                intercept=0.0,
                pixel_offset=0,
                pixel_length=len(data),
                pixels=pixels,
            )
        )
    slices.sort(key=lambda item: item.along_normal_mm)
    along = [item.along_normal_mm for item in slices]
    gap = float(np.median(np.diff(along))) if len(along) > 1 else None
    plan = SeriesPlan(
        study_key="study",
        series_key="series",
        series_revision="revision",
        plane=plane,
        patient_position=None,
        rows=images[0].shape[0],
        columns=images[0].shape[1],
        row_spacing_mm=pixel_mm,
        column_spacing_mm=pixel_mm,
        orientation=orientation,
        slice_thickness_mm=gap,
        slice_spacing_mm=gap,
        tilt_deg=0.0,
        obliquity_deg=0.0,
        is_lossy=False,
        flags=(),
        slices=tuple(slices),
        n_bytes=sum(map(len, files.values())),
    )
    return plan, MemorySource(files)


def with_files(
    plan: SeriesPlan,
    source: MemorySource,
    change: Callable[[int, PlannedSlice, bytes], tuple[PlannedSlice, bytes]],
) -> tuple[SeriesPlan, MemorySource]:
    """The same series with every slice and its bytes passed through `change(index, slice, bytes)`."""
    slices, files = [], {}
    for index, item in enumerate(plan.slices):
        changed, data = change(index, item, source.files[item.file.path])
        changed = replace(changed, file=replace(changed.file, size_bytes=len(data)))
        files[changed.file.path] = data
        slices.append(changed)
    return replace(plan, slices=tuple(slices)), MemorySource(files)


def difference_inside(one: object, other: object, *, margin_px: int = 4) -> float:
    """RMS difference of two slabs in HU, inside the body and where both have data, on their common grid."""
    from scipy import ndimage

    from tasks.slab import Slab

    assert isinstance(one, Slab)
    assert isinstance(other, Slab)
    a, b = one.record, other.record
    z = round((a.top_z_mm - b.top_z_mm) / a.pixel_mm)  # rows by which b begins lower
    y = round((b.anterior_y_mm - a.anterior_y_mm) / a.pixel_mm)
    first, second = _common(one.slab_xzy_hu, other.slab_xzy_hu, (0, z, y))
    body = ndimage.binary_erosion((first > -300) & (second > -300), np.ones((1, 3, 3)), iterations=margin_px)
    assert body.sum() > 20000
    return float(np.sqrt(np.mean((first[body].astype(float) - second[body]) ** 2)))


def _common(
    a: NDArray[np.int16], b: NDArray[np.int16], shift: tuple[int, int, int]
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The overlap of two arrays of which b begins `shift` voxels after a."""
    cut_a, cut_b = [], []
    for size_a, size_b, away in zip(a.shape, b.shape, shift, strict=True):
        first, end = max(0, away), min(size_a, size_b + away)
        cut_a.append(slice(first, end))
        cut_b.append(slice(first - away, end - away))
    return a[tuple(cut_a)], b[tuple(cut_b)]
