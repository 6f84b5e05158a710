"""How one scan is made: slice thickness, sharpness, noise, field of view; and what that does to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.painting import Float
from phantom.scan_ranges import ScannerSettings
from phantom.texture import NOISE_KINDS, NOISE_SIDE, noise_bank
from phantom.tube_voltage import bone_factor

SLAB_NOISE_SHARE = 0.6  # a 3 mm mean of correlated voxels keeps about this share of their noise
KERNELS = ("soft", "standard", "sharp", "bone")
BONE_FROM_HU = 50.0  # the gain of bone and contrast with kVp acts above this


@dataclass(frozen=True)
class Acquisition:
    """One way of scanning. `noise_hu` 0, `blur` 0, `sharpen` 0, offset 0 and gain 1 give the bare anatomy."""

    thickness_mm: float = 1.0
    spacing_mm: float = 1.0
    in_plane_mm: float = 0.5
    kvp: int = 120
    kernel: str = "standard"
    noise_hu: float = 0.0
    noise_kinds: tuple[str, str] = ("plain", "plain")
    noise_mix: float = 0.0
    blur: float = 0.0
    sharpen: float = 0.0
    hu_offset: float = 0.0
    bone_gain: float = 1.0  # what a scanner's calibration leaves beside the tube voltage
    field_of_view_mm: float = 360.0
    y_shift_mm: float = 0.0
    head_margin_mm: float = 20.0
    foot_margin_mm: float = 20.0

    @property
    def mineral_gain(self) -> float:
        """Factor on the HU of bone and contrast: tube voltage and calibration."""
        return bone_factor(self.kvp) * self.bone_gain


CLEAN = Acquisition()


def draw_acquisition(rng: np.random.Generator, settings: ScannerSettings) -> Acquisition:
    """A scanner's habits by seed; thick slices are less noisy, sharp kernels more."""
    thickness = float(rng.choice(settings.thickness_mm, p=settings.thickness_weights))
    spacing = thickness * float(rng.choice([1.0, 1.0, 1.0, 0.8, 0.5]))
    kernel = str(rng.choice(KERNELS, p=settings.kernel_weights))
    is_sharp = kernel in ("sharp", "bone")
    low, high = settings.noise_hu
    noise = (
        low
        * (high / low) ** float(rng.uniform())
        * (1.3 if is_sharp else 1.0)
        * min(1.2, 1.4 / thickness**0.3)
    )
    kinds = rng.choice(NOISE_KINDS, 2)
    return Acquisition(
        thickness_mm=thickness,
        spacing_mm=max(0.6, spacing),
        in_plane_mm=_in_plane_mm(rng, settings),
        kvp=int(rng.choice(settings.kvp, p=settings.kvp_weights)),
        kernel=kernel,
        noise_hu=float(noise),
        noise_kinds=(str(kinds[0]), str(kinds[1])),
        noise_mix=float(rng.uniform()),
        blur=0.0 if is_sharp else float(rng.uniform(*settings.blur)),
        sharpen=float(rng.uniform(*settings.sharpen)) if is_sharp else 0.0,
        hu_offset=float(rng.uniform(*settings.hu_offset)),
        bone_gain=float(rng.uniform(*settings.bone_gain)),
        field_of_view_mm=float(rng.uniform(*settings.field_of_view_mm)),
        y_shift_mm=float(rng.uniform(-12, 12)),
        head_margin_mm=float(rng.uniform(4, 45)),
        foot_margin_mm=float(rng.uniform(4, 45)),
    )


def _in_plane_mm(rng: np.random.Generator, settings: ScannerSettings) -> float:
    """Pixel of the axial slices: mostly that of a 512 matrix, sometimes of a coarse reconstruction."""
    is_coarse = rng.random() < settings.coarse_share
    return float(rng.uniform(*(settings.coarse_pixel_mm if is_coarse else settings.pixel_mm)))


def blur_or_sharpen(plane: Float, scan: Acquisition) -> None:
    """The kernel along the last axis, in place."""
    weight = np.float32(scan.blur - 0.35 * scan.sharpen)
    if abs(weight) > 0.005:
        inner = plane[..., 1:-1]
        around = plane[..., :-2] + plane[..., 2:]
        around -= 2 * inner
        inner += weight * around


def shift_hu(plane: Float, scan: Acquisition) -> None:
    """Gain of bone and contrast with the tube voltage, and an offset; in place."""
    if scan.mineral_gain != 1.0:
        above = np.maximum(plane - np.float32(BONE_FROM_HU), 0)
        plane += above * np.float32(scan.mineral_gain - 1)
    if scan.hu_offset:
        plane += np.float32(scan.hu_offset)


def add_noise(plane: Float, scan: Acquisition, rng: np.random.Generator, share: float = 1.0) -> None:
    """Noise on one sagittal plane (z, y), in place: correlated along y only, as axial slices are."""
    if scan.noise_hu <= 0:
        return
    size = plane.size
    first, second = (noise_bank(k).ravel() for k in scan.noise_kinds)
    i, j = rng.integers(0, NOISE_SIDE**2 - size, 2)
    one, two = _shares(scan, share)
    row = first[i : i + size] * one
    row += second[j : j + size] * two
    plane += row.reshape(plane.shape)


def add_axial_noise(plane: Float, scan: Acquisition, rng: np.random.Generator) -> None:
    """Noise on one axial plane (y, x), in place: correlated along both axes."""
    if scan.noise_hu <= 0:
        return
    rows, columns = plane.shape
    for bank, share in zip(scan.noise_kinds, _shares(scan, 1.0), strict=True):
        i, j = rng.integers(0, NOISE_SIDE - max(rows, columns), 2)
        plane += noise_bank(bank)[i : i + rows, j : j + columns] * share


def _shares(scan: Acquisition, share: float) -> tuple[np.float32, np.float32]:
    scale = share * scan.noise_hu / float(np.hypot(1 - scan.noise_mix, scan.noise_mix))
    return np.float32(scale * (1 - scan.noise_mix)), np.float32(scale * scan.noise_mix)
