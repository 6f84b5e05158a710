"""How a scanner stores a volume: head or feet first, on back, belly or side, or with a tilted gantry.

The geometry is always right. `POSITIONS` names what `store` knows, with how the patient lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phantom.dicom import HEAD_FIRST_SUPINE, Point
from phantom.volume import PhantomVolume

AIR = -1024
# Position, and how the patient lies in it (`Acquisition.lying`).
POSITIONS = {
    "HFS": "supine",
    "HFS-tilt": "supine",
    "FFS": "supine",
    "FFS-flipped": "supine",
    "HFP": "prone",
    "FFP": "prone",
    "HFDL": "left",
    "HFDR": "right",
}


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
    """The volume as acquired in one of POSITIONS; a tilt is that of its acquisition. Raises ValueError for others.

    The frame of reference stays the patient's, so every form shows the same anatomy at the same place.
    """
    if position not in POSITIONS:
        raise ValueError(f"no position is called {position}; there are: {', '.join(POSITIONS)}")
    hu, (dz, dy, dx) = volume.volume_zyx_hu, volume.spacing_mm
    count, rows, columns = hu.shape
    x, y, z = volume.origin_xyz_mm
    last_x, last_y, last_z = x + (columns - 1) * dx, y + (rows - 1) * dy, z - (count - 1) * dz
    up, down = (0.0, 0.0, dz), (0.0, 0.0, -dz)
    if position == "HFS-tilt":
        return _tilted(volume, volume.acquisition.gantry_tilt_deg)
    if position == "FFS":
        return StoredVolume(hu[::-1], (x, y, last_z), HEAD_FIRST_SUPINE, up, "FFS")
    if position == "FFS-flipped":
        flipped = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return StoredVolume(hu[::-1, :, ::-1], (last_x, y, last_z), flipped, up, "FFS")
    if position == "HFP":
        turned = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        return StoredVolume(hu[:, ::-1, ::-1], (last_x, last_y, z), turned, down, "HFP")
    if position == "FFP":
        turned = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        return StoredVolume(hu[::-1, ::-1], (x, last_y, last_z), turned, up, "FFP")
    sideways = hu.transpose(0, 2, 1)  # (z, x, y)
    if position == "HFDL":
        on_left = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0)
        return StoredVolume(sideways[:, :, ::-1], (x, last_y, z), on_left, down, "HFDL")
    if position == "HFDR":
        on_right = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
        return StoredVolume(sideways[:, ::-1], (last_x, y, z), on_right, down, "HFDR")
    return StoredVolume(hu, volume.origin_xyz_mm, HEAD_FIRST_SUPINE, down, "HFS")


def _tilted(volume: PhantomVolume, tilt_deg: float) -> StoredVolume:
    """Slices leaning about x, resampled linearly; the middle row keeps its height. Air where nothing was scanned."""
    hu, (dz, dy, _) = volume.volume_zyx_hu, volume.spacing_mm
    count, rows, _ = hu.shape
    s, c = math.sin(math.radians(tilt_deg)), math.cos(math.radians(tilt_deg))
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
    return StoredVolume(tilted, origin, orientation, (0.0, 0.0, -dz), "HFS", tilt_deg)
