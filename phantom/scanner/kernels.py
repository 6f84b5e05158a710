"""Reconstruction kernels: what they do to edges, as filters made from a modulation transfer function.

The curve is 1 at frequency 0. `blur` is the variance (mm2) of a Gaussian, `sharpen` how far the curve rises above 1.
Ranges are guesses at soft and bone body kernels, not measured on a scanner: soft ones keep half of the contrast at some
4-6 line pairs per cm, sharp ones rise above 1 at 5-8.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from phantom.picture.painting import Float

RISE_AT_PER_MM = 0.55  # an edge-enhancing curve has risen by 63 % of its way at this frequency
CUT_OFF_PER_MM = 1.15  # beyond it nothing is transferred
REACH_MM = 2.0
MAX_TAPS = 4  # on each side: finer pixels than 0.5 mm are not drawn


def transfer(
    frequency_per_mm: npt.NDArray[np.floating], blur: float, sharpen: float
) -> npt.NDArray[np.floating]:
    """Share of contrast left at spatial frequencies (line pairs per mm)."""
    f = np.asarray(frequency_per_mm)
    rise = 1 + sharpen * (1 - np.exp(-((f / RISE_AT_PER_MM) ** 2)))
    cut = np.exp(-((f / CUT_OFF_PER_MM) ** 6)) if sharpen > 0 else 1.0
    return np.asarray(np.exp(-2 * math.pi**2 * blur * f * f) * rise * cut)


@lru_cache(maxsize=256)
def taps(blur: float, sharpen: float, pixel_mm: float) -> tuple[float, ...]:
    """Weights of a pixel and of its neighbours on one side; they add up to 1 over both sides."""
    if blur <= 0 and sharpen <= 0:
        return (1.0,)
    count = min(MAX_TAPS, max(1, round(REACH_MM / pixel_mm)))
    # A sampled picture has no frequency beyond half a cycle a pixel.
    f = (np.arange(256) + 0.5) / 512 / pixel_mm
    curve = transfer(f, blur, sharpen)
    places = np.arange(count + 1)
    weights = (curve[None] * np.cos(2 * math.pi * places[:, None] * f[None] * pixel_mm)).mean(axis=1)
    weights *= 1 - (places / (count + 1)) ** 4  # less ringing from cutting the series short
    weights /= weights[0] + 2 * weights[1:].sum()
    return tuple(float(w) for w in weights)


def apply_taps(plane: Float, weights: tuple[float, ...], axis: int) -> None:
    """Filter a plane along axis 0 or 1, in place; the outermost pixels keep their value."""
    reach = len(weights) - 1
    if reach == 0 or plane.shape[axis] <= 2 * reach:
        return
    turned = plane if axis == 0 else plane.T
    n = len(turned)
    out = turned[reach : n - reach] * np.float32(weights[0])
    for k in range(1, reach + 1):
        pair = turned[reach - k : n - reach - k] + turned[reach + k : n - reach + k]
        pair *= np.float32(weights[k])
        out += pair
    turned[reach : n - reach] = out
