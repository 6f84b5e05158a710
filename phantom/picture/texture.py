"""Banks of fixed random texture: trabecular bone as a function of place, noise as large correlated fields.

The banks are built once per process from fixed seeds; a scan reads them at offsets drawn from its own seed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import convolve1d, gaussian_filter

Float = npt.NDArray[np.float32]

BONE_SIZE = 128
BONE_STEP_MM = 0.55
MIXED_STRIATION = (0.25, 0.75)  # between them both textures are mixed
NOISE_SIDE = 2048
NOISE_KINDS = ("fine", "plain", "medium", "coarse")
_NOISE_KERNELS = {
    "fine": (-0.25, 1.0, -0.25),
    "plain": (0.2, 1.0, 0.2),
    "medium": (0.25, 0.8, 1.0, 0.8, 0.25),
    "coarse": (0.15, 0.4, 0.7, 0.95, 1.0, 0.95, 0.7, 0.4, 0.15),
}


@lru_cache(maxsize=2)
def bone_bank(is_striated: bool) -> Float:
    """Periodic texture (x, z, y), unit variance, over slow blotches: fine trabeculae a little longer than wide
    (young bone), or upright struts that alone are left (old bone).
    """
    rng = np.random.default_rng(20260101)
    shape = (BONE_SIZE,) * 3
    waves = (0.95, 8.0, 0.95) if is_striated else (1.2, 2.2, 1.2)
    fine = gaussian_filter(rng.standard_normal(shape, np.float32), waves, mode="wrap")
    slow = gaussian_filter(rng.standard_normal(shape, np.float32), 6.0, mode="wrap")
    mixed = fine / fine.std() + (0.35 if is_striated else 0.7) * slow / slow.std()
    return np.ascontiguousarray(mixed / mixed.std(), dtype=np.float32)


@lru_cache(maxsize=len(NOISE_KINDS))
def noise_bank(kind: str) -> Float:
    """Noise of unit variance (NOISE_SIDE, NOISE_SIDE), correlated along both axes as that kernel makes it."""
    rng = np.random.default_rng([20260102, NOISE_KINDS.index(kind)])
    noise = rng.standard_normal((NOISE_SIDE, NOISE_SIDE), np.float32)
    kernel = np.asarray(_NOISE_KERNELS[kind], np.float32)
    for axis in (0, 1):
        noise = convolve1d(noise, kernel, axis=axis, mode="wrap")
    return np.ascontiguousarray(noise / noise.std(), dtype=np.float32)


def bone_texture(
    x_mm: Float,
    z_mm: Float,
    y_mm: Float,
    scale: float,
    shift: tuple[int, int, int],
    *,
    striation: float = 0.0,
    slant: float = 0.0,
) -> Float:
    """Texture at the grid of places x, z, y (mm); `scale` stretches it; returns (x, z, y).

    `striation` from 0 (young) to 1 (only upright struts); these lean by `slant` (mm to the back per mm upwards).
    """
    per_mm = 1 / (BONE_STEP_MM * scale)
    ix, iz = (
        (np.floor(axis * np.float32(per_mm)).astype(np.int64) + s) % BONE_SIZE
        for axis, s in zip((x_mm, z_mm), shift[:2], strict=True)
    )
    upright = (y_mm[None, :] - np.float32(slant) * z_mm[:, None]) * np.float32(per_mm)
    iy = (np.floor(upright).astype(np.int64) + shift[2]) % BONE_SIZE
    where = (ix[:, None] * BONE_SIZE + iz)[:, :, None] * BONE_SIZE + iy
    if striation <= MIXED_STRIATION[0]:
        return np.asarray(bone_bank(False).take(where))
    if striation >= MIXED_STRIATION[1]:
        return np.asarray(bone_bank(True).take(where))
    one, two = np.float32(1 - striation), np.float32(striation)
    both = one * bone_bank(False).take(where) + two * bone_bank(True).take(where)
    return np.asarray(both * np.float32(1 / np.hypot(one, two)))
