"""What the slab stage needs of one series: where its slices lie, in files and in the patient. No I/O here.

A plan holds pseudonyms and file references, no other identifier. It is picklable and travels to the workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasks.instance import FileRef

Vector = tuple[float, float, float]  # LPS, mm or direction
Orientation = tuple[
    float, float, float, float, float, float
]  # ImageOrientationPatient, both halves of unit length


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the stored pixels of a slice are to be read; slices of one series may differ."""

    transfer_syntax_uid: str
    samples_per_pixel: int  # 1
    photometric: str  # MONOCHROME2
    bits_allocated: int  # 16 (8 is read too)
    bits_stored: int
    high_bit: int
    pixel_representation: int  # 0 unsigned, 1 signed
    padding_value: int | None  # raw, as stored
    padding_limit: int | None  # PixelPaddingRangeLimit, raw


@dataclass(frozen=True, slots=True)
class PlannedSlice:
    """One slice: its pixels in the archive and its place in the patient."""

    file: FileRef
    frame: int  # index in the file, from 0; 0 for single-frame objects
    n_frames: int  # of the file
    position_mm: Vector  # ImagePositionPatient, LPS: centre of the first pixel
    along_normal_mm: float  # position · normal; ascending through the plan
    slope: float
    intercept: float
    pixel_offset: int | None  # native: first byte of THIS frame; encapsulated: the PixelData item sequence
    pixel_length: int | None  # native: bytes of THIS frame; None when encapsulated
    pixels: PixelFormat


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """An eligible series. `slices` ascend along `normal` and share orientation, size and pixel spacing."""

    study_key: str
    series_key: str
    series_revision: str
    plane: str  # axial | sagittal
    patient_position: str | None  # HFS, FFP, ...; geometry never depends on it
    rows: int
    columns: int
    row_spacing_mm: float  # PixelSpacing[0]: between the centres of neighbouring rows
    column_spacing_mm: float  # PixelSpacing[1]: between the centres of neighbouring columns
    orientation: (
        Orientation  # first three: direction in which the column index grows; last three: the row index
    )
    slice_thickness_mm: float | None
    slice_spacing_mm: float | None  # median distance along the normal; None for a single slice
    tilt_deg: (
        float  # between the normal and the line through the positions (gantry tilt, shear); 0 if one slice
    )
    obliquity_deg: float  # between the normal and the patient axis of `plane` (z axial, x sagittal)
    is_lossy: bool
    flags: tuple[str, ...]
    slices: tuple[PlannedSlice, ...]
    n_bytes: int  # of the files, each counted once

    @property
    def normal(self) -> Vector:
        """Unit normal: row direction × column direction, the direction in which the slices ascend."""
        rx, ry, rz, cx, cy, cz = self.orientation
        nx, ny, nz = ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        return (nx / length, ny / length, nz / length)

    @property
    def pixels(self) -> PixelFormat:
        """Pixel format of the first slice (most series have only one)."""
        return self.slices[0].pixels

    @property
    def transfer_syntax_uids(self) -> tuple[str, ...]:
        """Every transfer syntax among the slices, sorted."""
        return tuple(sorted({item.pixels.transfer_syntax_uid for item in self.slices}))
