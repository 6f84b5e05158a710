"""How a scanner stores a volume: head or feet first, prone, or with a tilted gantry; geometry always right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.dicom import HEAD_FIRST_SUPINE, Point
from phantom.volume import PhantomVolume

TILT_DEG = 9.0
AIR = -1024


@dataclass(frozen=True)
class StoredVolume:
    """Slices in the order of their instance numbers, with DICOM geometry and PatientPosition."""

    volume_zyx_hu: npt.NDArray[np.int16]
    origin_xyz_mm: Point
    orientation: tuple[float, ...]
    step_xyz_mm: Point
    patient_position: str
    tilt_deg: float = 0.0


def store(volume: PhantomVolume, position: str) -> StoredVolume:
    """The volume as acquired in that position: HFS, HFS-tilt, FFS, FFS-flipped or HFP.

    The frame of reference stays the patient's, so every form shows the same anatomy at the same place.
    """
    hu, (dz, dy, dx) = volume.volume_zyx_hu, volume.spacing_mm
    count, rows, columns = hu.shape
    x, y, z = volume.origin_xyz_mm
    last_x, last_y, last_z = x + (columns - 1) * dx, y + (rows - 1) * dy, z - (count - 1) * dz
    up, down = (0.0, 0.0, dz), (0.0, 0.0, -dz)
    if position == "HFS-tilt":
        return _tilted(volume)
    if position == "FFS":
        return StoredVolume(hu[::-1], (x, y, last_z), HEAD_FIRST_SUPINE, up, "FFS")
    if position == "FFS-flipped":
        flipped = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return StoredVolume(hu[::-1, :, ::-1], (last_x, y, last_z), flipped, up, "FFS")
    if position == "HFP":
        turned = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        return StoredVolume(hu[:, ::-1, ::-1], (last_x, last_y, z), turned, down, "HFP")
    return StoredVolume(hu, volume.origin_xyz_mm, HEAD_FIRST_SUPINE, down, "HFS")


def _tilted(volume: PhantomVolume) -> StoredVolume:
    """Slices leaning by TILT_DEG about x, resampled linearly; the middle row keeps its height."""
    hu, (dz, dy, _) = volume.volume_zyx_hu, volume.spacing_mm
    count, rows, _ = hu.shape
    s, c = math.sin(math.radians(TILT_DEG)), math.cos(math.radians(TILT_DEG))
    offset = (np.arange(rows) - 0.5 * (rows - 1)) * dy
    at_y = offset * c / dy + 0.5 * (rows - 1)
    tilted = np.full_like(hu, AIR)
    for r in range(rows):
        at_z = np.arange(count) - offset[r] * s / dz
        inside = (at_z >= 0) & (at_z <= count - 1)
        low_y = min(int(at_y[r]), rows - 2)
        wy = np.float32(at_y[r] - low_y)
        plane = hu[:, low_y] * (1 - wy) + hu[:, low_y + 1] * wy
        low_z = np.clip(at_z.astype(np.int64), 0, count - 2)
        wz = (at_z - low_z).astype(np.float32)[:, None]
        mixed = plane[low_z] * (1 - wz) + plane[low_z + 1] * wz
        tilted[inside, r] = np.rint(mixed[inside]).astype(np.int16)
    x, y, z = volume.origin_xyz_mm
    middle_y = y + 0.5 * (rows - 1) * dy
    origin = (x, middle_y + float(offset[0]) * c, z + float(offset[0]) * s)
    orientation = (1.0, 0.0, 0.0, 0.0, c, s)
    return StoredVolume(tilted, origin, orientation, (0.0, 0.0, -dz), "HFS", TILT_DEG)
