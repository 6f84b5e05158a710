"""What a scanner's reconstruction does to a plane: its kernel, its HU scale, the smoothing of iterative methods."""

from __future__ import annotations

import numpy as np

from phantom.picture.painting import Float
from phantom.scanner.acquisition import Acquisition
from phantom.scanner.kernels import apply_taps, taps

HU_MIN, HU_MAX = -1024, 3071
MINERAL_FROM_HU = 50.0  # above it there is mineral or contrast, which change with the tube voltage
FAINT_HU = 35.0  # iterative reconstruction takes away what stands out less than this


def reconstruct(plane: Float, scan: Acquisition, pixels_mm: tuple[float, ...]) -> None:
    """Kernel, HU scale and iterative smoothing along the in-plane axes, in place; noise comes after it.

    `pixels_mm` holds the pixel of each in-plane axis, the last axis of the array first: (y,) for a sagittal plane
    (z, y), (x, y) for an axial one (y, x).
    """
    for k, pixel_mm in enumerate(pixels_mm):
        apply_taps(plane, taps(scan.blur, scan.sharpen, round(pixel_mm, 3)), 1 - k)
    gain = scan.mineral_gain
    if gain != 1.0:
        above = np.maximum(plane - np.float32(MINERAL_FROM_HU), 0)
        above *= np.float32(gain - 1)
        plane += above
    if scan.iterative > 0:
        for k in range(len(pixels_mm)):
            _flatten(plane if k == 0 else plane.T, scan.iterative)
    if scan.hu_offset:
        plane += np.float32(scan.hu_offset)


def _flatten(plane: Float, share: float) -> None:
    """Takes a share of faint detail away along the last axis, in place; edges stay."""
    inner = plane[:, 1:-1]
    detail = plane[:, :-2] + plane[:, 2:]
    detail *= np.float32(-0.5)
    detail += inner
    np.clip(detail, -FAINT_HU, FAINT_HU, out=detail)
    detail *= np.float32(0.5 * share)
    inner -= detail
