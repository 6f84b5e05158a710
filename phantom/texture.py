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
NOISE_SIDE = 2048
NOISE_KINDS = ("fine", "plain", "medium", "coarse")
_NOISE_KERNELS = {
    "fine": (-0.25, 1.0, -0.25),
    "plain": (0.2, 1.0, 0.2),
    "medium": (0.25, 0.8, 1.0, 0.8, 0.25),
    "coarse": (0.15, 0.4, 0.7, 0.95, 1.0, 0.95, 0.7, 0.4, 0.15),
}


@lru_cache(maxsize=1)
def bone_bank() -> Float:
    """Periodic texture (x, z, y), unit variance: fine trabeculae, stretched along z, over slow blotches."""
    rng = np.random.default_rng(20260101)
    shape = (BONE_SIZE,) * 3
    fine = gaussian_filter(rng.standard_normal(shape, np.float32), (1.2, 2.2, 1.2), mode="wrap")
    slow = gaussian_filter(rng.standard_normal(shape, np.float32), 6.0, mode="wrap")
    mixed = fine / fine.std() + 0.8 * slow / slow.std()
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


def bone_texture(x_mm: Float, z_mm: Float, y_mm: Float, scale: float, shift: tuple[int, int, int]) -> Float:
    """Texture at the grid of places x, z, y (mm); `scale` stretches it; returns (x, z, y)."""
    step = BONE_STEP_MM * scale
    axes = (
        (np.floor(axis / step).astype(np.int64) + s) % BONE_SIZE
        for axis, s in zip((x_mm, z_mm, y_mm), shift, strict=True)
    )
    return np.asarray(bone_bank()[np.ix_(*axes)])
