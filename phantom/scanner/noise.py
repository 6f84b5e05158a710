"""Noise of a scan: how much there is where, and its texture.

Noise is drawn from banks of correlated noise: fine grains of sharp kernels, coarse ones of soft kernels, and flat
patches with firm edges as iterative reconstruction leaves them. Its level follows the photons that come through:
more behind shoulders, hips and thick bodies, more in the middle of the body than under the skin.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import convolve1d, gaussian_filter

from phantom.anatomy import Anatomy
from phantom.picture.painting import Float
from phantom.picture.scene import Scene
from phantom.scanner.acquisition import PATCHES, Acquisition

NOISE_SIDE = 2048
# Weights of a pixel and its neighbours on one side, from sharp kernels to soft ones.
_GRAINS = {
    "fine": (1.0, -0.25),
    "plain": (1.0, 0.2),
    "medium": (1.0, 0.8, 0.25),
    "coarse": (1.0, 0.95, 0.7, 0.4, 0.15),
    "patches": (1.0, 0.9, 0.6, 0.3),
}
NOISE_KINDS = tuple(_GRAINS)
GRAIN_PIXEL_MM = 0.8  # the grains above are those of this pixel
GRAIN_STEP = 0.6  # pixels larger by 2 to this power make the grain one step finer
PATCH_PIXEL_MM = 1.3
PATCH_STEEPNESS = 1.6  # how firm the edges of iterative reconstruction's patches are
WATER_PER_MM = 0.0193  # attenuation of water at some 70 keV, from memory (NIST XCOM's order)
LUNG_SHARE = 0.45  # of a section of the chest that is lung
SIDEWAYS_SHARE = 0.7  # noise comes from the few photons of the long way
HIP_BONE_MM, HIP_Z_MM = 45.0, -128.0  # water that the hip bones are worth, beside what they displace
EDGE_SHARE = 0.6  # noise under the skin over that in the middle of a round body
LEVEL_LIMITS = (0.5, 3.0)  # over the median; where photons starve there are streaks besides (artefacts.py)


@lru_cache(maxsize=len(NOISE_KINDS))
def noise_bank(kind: str) -> Float:
    """Noise of unit variance (NOISE_SIDE, NOISE_SIDE), correlated along both axes as that kernel makes it."""
    rng = np.random.default_rng([20260102, NOISE_KINDS.index(kind)])
    noise = rng.standard_normal((NOISE_SIDE, NOISE_SIDE), np.float32)
    side = _GRAINS[kind]
    kernel = np.asarray((*side[:0:-1], *side), np.float32)
    for axis in (0, 1):
        noise = convolve1d(noise, kernel, axis=axis, mode="wrap")
    noise /= noise.std()
    if kind == "patches":
        noise = gaussian_filter(np.tanh(PATCH_STEEPNESS * noise), 0.5, mode="wrap")
    return np.ascontiguousarray(noise / noise.std(), dtype=np.float32)


def grain_at(kind: str, pixel_mm: float) -> str:
    """The bank whose grain has that kernel's size at this pixel: larger pixels hold finer grain, in pixels."""
    if kind == PATCHES:
        return PATCHES if pixel_mm < PATCH_PIXEL_MM else "plain"
    steps = round(math.log2(pixel_mm / GRAIN_PIXEL_MM) / GRAIN_STEP)
    order = NOISE_KINDS.index(kind) - max(steps, 0)
    return NOISE_KINDS[max(order, min(NOISE_KINDS.index(kind), NOISE_KINDS.index("plain")))]


def bank_shares(scan: Acquisition) -> tuple[np.float32, np.float32]:
    """How much of each of a scan's two banks makes one HU of noise."""
    scale = 1 / math.hypot(1 - scan.noise_mix, scan.noise_mix)
    return np.float32(scale * (1 - scan.noise_mix)), np.float32(scale * scan.noise_mix)


@lru_cache(maxsize=256)
def slab_share(kinds: tuple[str, str], mix: float, slice_mm: float, pixel_mm: float) -> float:
    """Noise of a mean over `slice_mm` across the plane as a share of one voxel's; grains are correlated."""
    count = slice_mm / pixel_mm
    if count <= 1:
        return 1.0
    weights = np.array([(1 - mix) ** 2, mix**2])
    variances = [_mean_variance(grain_at(kind, pixel_mm), count) for kind in kinds]
    return float(math.sqrt(float(weights @ variances) / float(weights.sum())))


def _mean_variance(kind: str, count: float) -> float:
    """Variance of the mean over `count` neighbours of noise of unit variance, from its autocorrelation."""
    side = _GRAINS[kind]
    kernel = np.asarray((*side[:0:-1], *side))
    lags = np.correlate(kernel, kernel, "full") / float(kernel @ kernel)
    offset = np.abs(np.arange(len(lags)) - len(lags) // 2)
    inside = np.clip(count - offset, 0, None)
    return float(np.clip((lags * inside).sum() / count**2, 0.02, 1.0))


def levels(scene: Scene, scan: Acquisition, z_mm: Float, middle_mm: tuple[float, float]) -> Float:
    """Factor on the noise of each slice; 1 at the median of `middle_mm` (the highest and lowest slice)."""
    usual = np.linspace(min(middle_mm), max(middle_mm), 40)
    reference = float(np.median(_path_mm(scene, usual)))
    excess = (_path_mm(scene, np.asarray(z_mm, np.float64)) - reference) * (1 - scan.modulation)
    return np.clip(np.exp(0.5 * WATER_PER_MM * excess), *LEVEL_LIMITS).astype(np.float32)


def _path_mm(scene: Scene, z_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Water that the photons pass: more of the way from side to side, where arms and hips lie, than from the front."""
    shape = scene.patient.body
    width, front, back = (
        np.interp(z_mm, shape.z_mm, v) for v in (shape.half_width_mm, shape.front_y_mm, shape.back_y_mm)
    )
    lungs = [shape.base_z_mm, shape.dome_z_mm, shape.apex_z_mm, shape.apex_z_mm + 15]
    tissue = 1 - LUNG_SHARE * np.interp(z_mm, lungs, [0, 1, 1, 0])
    hips = HIP_BONE_MM * np.exp(-(((z_mm - HIP_Z_MM) / 25) ** 2))
    wide = 2 * width * tissue + np.interp(z_mm, scene.beside_z_mm, scene.beside_mm) + hips
    return np.asarray(SIDEWAYS_SHARE * wide + (1 - SIDEWAYS_SHARE) * tissue * (back - front))


def radial(patient: Anatomy, u_mm: Float | float, v_mm: Float) -> Float:
    """Factor on the noise by place in the body: u from its middle to the side, v from its middle to the back."""
    shape = patient.body
    a, b = 0.5 * shape.lateral_extent_mm, 0.5 * (max(shape.back_y_mm) - min(shape.front_y_mm))
    r2 = np.minimum((u_mm / a) ** 2 + (v_mm / b) ** 2, 1.4)
    return np.asarray(1 - (1 - EDGE_SHARE) * r2, np.float32)


class Noise:
    """The noise of one scan of one patient, by plane; reads random numbers in the order of the calls."""

    def __init__(self, scan: Acquisition, rng: np.random.Generator, row_hu: Float, pixel_mm: float) -> None:
        self.rng, self.row_hu = rng, row_hu
        self.banks = [
            (noise_bank(grain_at(kind, pixel_mm)), share)
            for kind, share in zip(scan.noise_kinds, bank_shares(scan), strict=True)
            if share > 0
        ]

    def sagittal(self, plane: Float, column_share: Float, share: float) -> None:
        """Noise on one sagittal plane (z, y), in place: rows belong to different slices, so y alone is correlated."""
        size = plane.size
        total: Float | None = None
        for bank, part in self.banks:
            start = int(self.rng.integers(0, NOISE_SIDE**2 - size))
            grain = bank.ravel()[start : start + size] * (part * np.float32(share))
            total = grain if total is None else np.add(total, grain, out=total)
        if total is not None:
            noise = total.reshape(plane.shape)
            noise *= self.row_hu[:, None]
            noise *= column_share[None, :]
            plane += noise

    def axial(self, plane: Float, place_share: Float, row: int) -> None:
        """Noise on one axial plane (y, x) of slice `row`, in place."""
        height, width = plane.shape
        for bank, part in self.banks:
            i, j = self.rng.integers(0, NOISE_SIDE - max(height, width), 2)
            grain = bank[i : i + height, j : j + width] * (part * self.row_hu[row])
            grain *= place_share
            plane += grain
