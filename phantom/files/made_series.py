"""Series that a workstation makes from a scan: projections, material maps, coronal reformats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from phantom.volume import PhantomVolume

Hu = npt.NDArray[np.int16]
MIP_MM = 20.0
CORONAL_MM = 8.0
CORONAL_MEAN = 3  # rows that one coronal image is the mean of


def projected(volume: PhantomVolume) -> PhantomVolume:
    """Maximum projections over 20 mm: a picture that must never be scored."""
    hu = volume.volume_zyx_hu
    count = max(2, round(MIP_MM / volume.spacing_mm[0]))
    return replace(volume, volume_zyx_hu=np.stack([hu[k : k + count].max(axis=0) for k in range(len(hu))]))


def iodine(volume: PhantomVolume) -> PhantomVolume:
    """A map of iodine: a picture that must never be scored."""
    return replace(volume, volume_zyx_hu=np.clip(volume.volume_zyx_hu - 40, 0, 250).astype(np.int16))


def virtual_native(volume: PhantomVolume) -> PhantomVolume:
    """A virtual non-contrast image; bone loses density with the iodine, so it must never be scored."""
    hu = volume.volume_zyx_hu
    above = np.maximum(hu.astype(np.float32) - 60, 0)
    return replace(volume, volume_zyx_hu=np.rint(hu - 0.45 * above).astype(np.int16))


def coronal(volume: PhantomVolume) -> tuple[Hu, tuple[float, float, float], tuple[float, float, float]]:
    """Coronal images front to back: (HU (image, row, column), spacing in mm, middle of the first voxel)."""
    hu, (dz, dy, dx) = volume.volume_zyx_hu, volume.spacing_mm
    every = max(CORONAL_MEAN, round(CORONAL_MM / dy))
    rows = int((len(hu) - 1) * dz / dx) + 1
    where = np.arange(rows) * dx / dz
    low = np.minimum(where.astype(np.int64), len(hu) - 2)
    weight = (where - low).astype(np.float32)[:, None]
    images = []
    for y in range(0, hu.shape[1] - CORONAL_MEAN, every):
        mean = hu[:, y : y + CORONAL_MEAN].mean(axis=1, dtype=np.float32)
        images.append(np.rint(mean[low] * (1 - weight) + mean[low + 1] * weight).astype(np.int16))
    x0, y0, z0 = volume.origin_xyz_mm
    first_y = y0 + 0.5 * (CORONAL_MEAN - 1) * dy
    return np.stack(images), (every * dy, dx, dx), (x0, first_y, z0)
