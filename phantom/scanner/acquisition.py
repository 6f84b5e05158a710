"""How one scan is made: tube voltage, kernel, slices, noise, field of view, how the patient lies; no pixels here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from phantom.scanner.scan_ranges import ScannerSettings
from phantom.scanner.tube_voltage import bone_factor

ARMS = ("up", "down", "one down")
KERNELS = ("soft", "standard", "sharp", "bone")
# Grain of the noise by kernel: a sharper kernel has finer grain (texture banks of `noise.py`).
GRAINS_OF_KERNEL = {
    "soft": ("coarse", "medium"),
    "standard": ("medium", "plain"),
    "sharp": ("plain", "fine"),
    "bone": ("fine", "fine"),
}
PATCHES = "patches"
# Sharper kernels keep more noise; the tube current is chosen for the soft ones.
NOISE_OF_KERNEL = {"soft": 0.85, "standard": 1.0, "sharp": 1.3, "bone": 1.7}
THICK_MM = 1.0  # the drawn noise is that of slices of this thickness
NOISE_BY_THICKNESS = 0.3  # exponent; 0.5 by photons alone, but thick slices are scanned with less dose
MAX_THIN_GAIN = 1.2
MIN_SPACING_MM = 0.6


@dataclass(frozen=True)
class Acquisition:
    """One way of scanning; lengths in mm, angles in degrees. The defaults show the bare anatomy.

    `kernel` is one of KERNELS: the class that `blur` (variance, mm2) and `sharpen` (rise of the transfer function
    over 1) were drawn for. `yaw_deg` turns the patient about the body's axis, left side to the back; `nod_deg` and
    `lean_deg` about the other axes. `motion_at` and `breath_at` are shares of the scanned height from its top.
    """

    thickness_mm: float = 1.0
    spacing_mm: float = 1.0
    in_plane_mm: float = 0.5
    kvp: int = 120
    kernel: str = "standard"
    blur: float = 0.0
    sharpen: float = 0.0
    iterative: float = 0.0  # share of faint detail that the reconstruction takes away
    noise_hu: float = 0.0  # SD of a voxel in the middle of the body, at the median level
    noise_kinds: tuple[str, str] = ("plain", "plain")
    noise_mix: float = 0.0
    modulation: float = 1.0  # share of lost photons that more tube current makes up for
    hu_offset: float = 0.0
    bone_gain: float = 1.0  # what a scanner's calibration leaves beside the tube voltage
    field_of_view_mm: float = 360.0
    is_small_field: bool = False  # cuts the skin, holds the spine
    x_shift_mm: float = 0.0
    y_shift_mm: float = 0.0
    head_margin_mm: float = 20.0
    foot_margin_mm: float = 20.0
    yaw_deg: float = 0.0
    nod_deg: float = 0.0
    lean_deg: float = 0.0
    gantry_tilt_deg: float = 9.0  # of a stack that is stored tilted (`positions.py`)
    lying: str = "supine"  # supine, prone, left or right
    arms: str = "up"
    hardening_hu: float = 0.0  # depth of the dark band between shoulders and between hips
    metal_streaks: float = 0.0  # 1: as metal throws them at 120 kV without a correction
    arm_streaks_hu: float = 0.0  # SD of the streaks of arms beside the body
    motion_mm: float = 0.0  # distance of the doubled picture
    motion_at: float = 0.5
    motion_span_mm: float = 0.0
    breath_mm: float = 0.0
    breath_at: float = 0.5

    @property
    def mineral_gain(self) -> float:
        """Factor on the HU of bone and contrast: tube voltage and calibration."""
        return bone_factor(self.kvp) * self.bone_gain


CLEAN = Acquisition()


def draw_acquisition(rng: np.random.Generator, settings: ScannerSettings) -> Acquisition:
    """A scanner's habits by seed; thick slices are less noisy, sharp kernels more."""
    thickness = float(rng.choice(settings.thickness_mm, p=settings.thickness_weights))
    spacing = thickness * float(rng.choice(settings.spacing_ratios, p=settings.spacing_weights))
    scan = Acquisition(
        thickness_mm=thickness,
        spacing_mm=max(MIN_SPACING_MM, spacing),
        in_plane_mm=_in_plane_mm(rng, settings),
        kvp=int(rng.choice(settings.kvp, p=settings.kvp_weights)),
        hu_offset=float(rng.uniform(*settings.hu_offset)),
        bone_gain=float(rng.uniform(*settings.bone_gain)),
        modulation=float(rng.uniform(*settings.modulation)),
        head_margin_mm=_margin(rng, settings),
        foot_margin_mm=_margin(rng, settings),
        hardening_hu=float(rng.uniform(*settings.hardening_hu)),
        metal_streaks=float(rng.uniform(*settings.metal_streaks)),
    )
    scan = _reconstructed(rng, settings, scan)
    scan = _laid(rng, settings, _field(rng, settings, scan))
    return _moved(rng, settings, scan)


def _in_plane_mm(rng: np.random.Generator, settings: ScannerSettings) -> float:
    """Pixel of the axial slices: mostly that of a 512 matrix, sometimes of a coarse reconstruction."""
    is_coarse = rng.random() < settings.coarse_share
    return float(rng.uniform(*(settings.coarse_pixel_mm if is_coarse else settings.pixel_mm)))


def _margin(rng: np.random.Generator, settings: ScannerSettings) -> float:
    is_long = rng.random() < settings.long_share
    return float(rng.uniform(*(settings.long_margin_mm if is_long else settings.margin_mm)))


def _reconstructed(rng: np.random.Generator, settings: ScannerSettings, scan: Acquisition) -> Acquisition:
    """Kernel, iterative reconstruction and the noise that belongs to both."""
    kernel = str(rng.choice(KERNELS, p=settings.kernel_weights))
    is_iterative = bool(rng.random() < settings.iterative_share)
    low, high = settings.noise_hu
    noise = low * (high / low) ** float(rng.uniform()) * NOISE_OF_KERNEL[kernel]
    noise *= min(MAX_THIN_GAIN, 1.4 * (THICK_MM / scan.thickness_mm) ** NOISE_BY_THICKNESS)
    first, second = rng.permutation(GRAINS_OF_KERNEL[kernel]).tolist()
    blur, sharpen = _strength(settings, kernel, float(rng.uniform()))
    return replace(
        scan,
        kernel=kernel,
        blur=blur,
        sharpen=sharpen,
        iterative=float(rng.uniform(*settings.iterative)) if is_iterative else 0.0,
        noise_hu=noise,
        noise_kinds=(PATCHES if is_iterative else str(first), str(second)),
        noise_mix=float(rng.uniform()),
    )


def _strength(settings: ScannerSettings, kernel: str, share: float) -> tuple[float, float]:
    """Blur and edge enhancement of a kernel, at a share of its half of the range."""
    upper = 0.5 * share + (0.5 if kernel in ("soft", "bone") else 0.0)
    if kernel in ("soft", "standard"):
        low, high = settings.blur
        return low + upper * (high - low), 0.0
    low, high = settings.sharpen
    return 0.0, low + upper * (high - low)


def with_kernel(scan: Acquisition, kernel: str, settings: ScannerSettings | None = None) -> Acquisition:
    """The same scan reconstructed with another kernel: its sharpness, noise and grain."""
    blur, sharpen = _strength(settings or ScannerSettings(), kernel, 0.5)
    first, second = GRAINS_OF_KERNEL[kernel]
    return replace(
        scan,
        kernel=kernel,
        blur=blur,
        sharpen=sharpen,
        noise_hu=scan.noise_hu * NOISE_OF_KERNEL[kernel] / NOISE_OF_KERNEL[scan.kernel],
        noise_kinds=(PATCHES if PATCHES in scan.noise_kinds else first, second),
    )


def _field(rng: np.random.Generator, settings: ScannerSettings, scan: Acquisition) -> Acquisition:
    is_small = bool(rng.random() < settings.small_field_share)
    size = settings.small_field_mm if is_small else settings.field_of_view_mm
    return replace(
        scan,
        field_of_view_mm=float(rng.uniform(*size)),
        is_small_field=is_small,
        x_shift_mm=float(rng.uniform(*settings.off_centre_mm)),
        y_shift_mm=float(rng.uniform(*settings.off_centre_mm)),
    )


def _laid(rng: np.random.Generator, settings: ScannerSettings, scan: Acquisition) -> Acquisition:
    """How the patient lies on the table."""
    is_turned = rng.random() < settings.rotated_share
    yaw = float(np.clip(rng.normal(0, settings.yaw_sd_deg), -settings.max_yaw_deg, settings.max_yaw_deg))
    arms = str(rng.choice(ARMS, p=settings.arms_weights))
    tilt = float(rng.uniform(*settings.gantry_tilt_deg)) * float(rng.choice([-1.0, 1.0]))
    return replace(
        scan,
        yaw_deg=yaw if is_turned else 0.0,
        nod_deg=float(rng.uniform(*settings.lean_deg)),
        lean_deg=float(rng.uniform(*settings.lean_deg)),
        gantry_tilt_deg=tilt,
        arms=arms,
        arm_streaks_hu=float(rng.uniform(*settings.arm_streaks_hu))
        * {"up": 0.0, "down": 1.0, "one down": 0.5}[arms],
    )


def _moved(rng: np.random.Generator, settings: ScannerSettings, scan: Acquisition) -> Acquisition:
    """Motion during the scan; most patients lie still."""
    has_motion, has_breath = rng.random(2) < (settings.motion_share, settings.breathing_share)
    motion, span, breath = rng.uniform((2.0, 8.0, 4.0), (6.0, 45.0, 14.0)).tolist()
    first, second = rng.uniform(0.1, 0.85, 2).tolist()
    return replace(
        scan,
        motion_mm=motion if has_motion else 0.0,
        motion_span_mm=span if has_motion else 0.0,
        motion_at=first,
        breath_mm=breath if has_breath else 0.0,
        breath_at=second,
    )
