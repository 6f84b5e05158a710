"""What fills a deformed scan: tissue moved along z, discs that fill what was freed, noise as the scan has it.

Pure functions of voxels. Axes (z, y, x), z falling as in `RealSeries`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from phantom.real.ct_series import HU_MAX, HU_MIN, RealSeries
from phantom.real.twins import Site, TwinField
from phantom.real.vertebra_marks import VertebraMark

Float = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]
Volume = npt.NDArray[np.int16]

ROWS_AT_ONCE = 16  # rows that are deformed together: bounds the memory of the field
# Of disc tissue on CT; thin discs in thick slices read higher, by the bone beside them.
DISC_HU = (60.0, 95.0)
# A box of n slices has a variance of (n² - 1) / 12 more than a box of one. 8 instead of 12 makes the squeezed bone of
# twins as rough as their shams' (measured on the two real volumes): noise is shared between neighbouring slices.
SQUEEZE = 8.0
DISC_QUANTILE = 0.1  # of the scan's own discs: the thickest of them are blurred least
FILL_RAMP_MM = 2.0  # from an endplate's blur into pure disc
PATCH_MM = 16.0  # of even soft tissue, in which noise is measured
PATCH_HU = (-20.0, 140.0)
SEARCH_MM = 70.0  # around the body
TREND_MM = 4.0  # what varies more slowly in a patch is tissue, not noise
LEAST_NOISE_HU, MOST_NOISE_HU = 2.0, 120.0


@dataclass(frozen=True)
class Noise:
    """Noise of a scan near one body: its kernel in plane (unit energy), strength, and how slices share it."""

    kernel_yx: Float
    sigma_hu: float
    between_slices: float  # correlation of neighbouring slices

    def draw(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Float:
        """A field of that noise, (z, y, x)."""
        field = np.empty(shape, np.float32)
        rest = np.sqrt(1 - self.between_slices**2)
        for k in range(shape[0]):
            white = rng.standard_normal(shape[1:]).astype(np.float32)
            fresh = fftconvolve(white, self.kernel_yx, mode="same") * self.sigma_hu
            field[k] = fresh if k == 0 else self.between_slices * field[k - 1] + rest * fresh
        return field


def keys_weights(share: Float) -> tuple[Float, Float, Float, Float]:
    """Weights of four neighbours for cubic convolution (Keys 1981, a = -1/2) at a share between the middle two."""
    s = share
    return (
        ((-0.5 * s + 1.0) * s - 0.5) * s,
        (1.5 * s - 2.5) * s * s + 1.0,
        ((-1.5 * s + 2.0) * s + 0.5) * s,
        (0.5 * s - 0.5) * s * s,
    )


def noise_left(share: float) -> float:
    """Share of white noise that interpolation leaves at that place between two slices."""
    weights = np.array(keys_weights(np.array(share, np.float32)), float)
    return float(np.sqrt(np.sum(weights**2)))


def sample_z(part_zyx: Volume, index_zyx: Floats) -> Float:
    """Values at fractional slice indices (m, y, x) of a volume (n, y, x); beyond its ends the last slice."""
    low = np.floor(index_zyx).astype(np.int64)
    share = (index_zyx - low).astype(np.float32)
    out = np.zeros(index_zyx.shape, np.float32)
    for step, weight in zip((-1, 0, 1, 2), keys_weights(share), strict=True):
        at = np.clip(low + step, 0, len(part_zyx) - 1)
        out += weight * np.take_along_axis(part_zyx, at, axis=0)
    return out


def deform(series: RealSeries, field: TwinField, first_slice: int) -> Float:
    """The moved voxels, from slice `first_slice` on; untouched ones keep their value exactly."""
    volume, (dz, _, _) = series.volume_zyx_hu, series.spacing_mm
    z = series.z_mm[first_slice:]
    slices = np.arange(first_slice, len(volume), dtype=float)[:, None, None]
    out = np.empty((len(z), *volume.shape[1:]), np.float32)
    for j in range(0, volume.shape[1], ROWS_AT_ONCE):
        rows = slice(j, j + ROWS_AT_ONCE)
        sunk = field.sunk_mm(*(axis.astype(float) for axis in (z, series.x_mm, series.y_mm[rows])))
        out[:, rows] = _averaged(volume[:, rows], slices, sunk / dz)
    return out


def _averaged(part_zyx: Volume, slices: Floats, sunk: Floats) -> Float:
    """`sample_z`, and where tissue is squeezed the mean over what a slice then holds: two taps for its width.

    `slices` (z, 1, 1) are the indices wanted, `sunk` (z, y, x) how many slices higher their tissue lay.
    """
    index_zyx = slices - sunk
    step = np.gradient(index_zyx, axis=0)
    reach = np.sqrt(np.clip(step**2 - 1, 0, None) / SQUEEZE)
    reach[sunk == 0] = 0  # beside what moves, but itself untouched
    if float(reach.max()) < 0.01:
        return sample_z(part_zyx, index_zyx)
    return np.asarray(0.5 * (sample_z(part_zyx, index_zyx - reach) + sample_z(part_zyx, index_zyx + reach)))


def head_slices_lost(series: RealSeries, twin: TwinField) -> int:
    """Slices at the head end for which a sunken scan has no tissue."""
    return max(0, int(np.ceil(twin.sinking_mm / series.spacing_mm[0] - 1e-6)))


@dataclass(frozen=True)
class Box:
    """The part of a deformed scan in which one body and its discs lie."""

    part: tuple[slice, slice, slice]
    z_mm: Floats
    y_mm: Floats  # (y, 1)
    x_mm: Floats  # (1, x)


def box_of(series: RealSeries, field: TwinField, first_slice: int) -> Box:
    """Where `field` changes heights, as a part of what `deform` returns."""
    mark, site = field.site.mark, field.site
    below, _, _, above = site.levels_mm(site.depths_mm())
    pad = 10.0
    z = _range(-series.z_mm[first_slice:], -float(above.max()) - pad, -float(below.min()) + pad)
    y = _range(series.y_mm, mark.y_anterior_mm - pad, mark.y_posterior_mm + pad)
    x = _range(series.x_mm, mark.x_mm - mark.half_width_mm - pad, mark.x_mm + mark.half_width_mm + pad)
    return Box(
        (z, y, x),
        series.z_mm[first_slice:][z].astype(float)[:, None, None],
        series.y_mm[y].astype(float)[:, None],
        series.x_mm[x].astype(float)[None, :],
    )


def _range(rising: Floats, low: float, high: float) -> slice:
    start, stop = np.searchsorted(rising, [low, high])
    return slice(int(start), max(int(stop), int(start) + 1))


def fill_discs(voxels: Float, box: Box, field: TwinField, disc_hu: float, noise: Float) -> None:
    """Fill what both discs gained with disc tissue, in place. `noise` has the shape of the box."""
    x, y = np.broadcast_arrays(box.x_mm, box.y_mm)
    places, moves = field.knots_mm(x, y)
    view = voxels[box.part]
    for low, high in ((0, 1), (4, 5)):
        freed = np.clip((moves[low] - moves[high]) / FILL_RAMP_MM, 0, 1)
        from_edge = np.minimum(box.z_mm - places[low], places[high] - box.z_mm)
        weight = (field.own_weight(x, y) ** 2 * freed * np.clip(from_edge / FILL_RAMP_MM, 0, 1)).astype(
            np.float32
        )
        view += weight * (np.float32(disc_hu) - view) + np.sqrt(1 - (1 - weight) ** 2) * noise


def impact(voxels: Float, box: Box, field: TwinField, gain_hu: float) -> None:
    """Make the inside of the body denser by at most `gain_hu`, most under its upper endplate; in place."""
    x, y = np.broadcast_arrays(box.x_mm, box.y_mm)
    places, _ = field.knots_mm(x, y)
    q = np.clip((box.z_mm - places[2]) / (places[3] - places[2]), 0, 1)
    inside = np.clip(field.depth_inside_mm(x, y) / 3.0, 0, 1)
    voxels[box.part] += (gain_hu * inside * np.sin(np.pi * q) * (0.6 + 0.4 * q)).astype(np.float32)


def rounded(voxels: Float) -> Volume:
    """Whole HU within what is stored."""
    return np.clip(np.rint(voxels), HU_MIN, HU_MAX).astype(np.int16)


def disc_level_hu(series: RealSeries, sites: tuple[Site, ...]) -> float:
    """HU of this scan's disc tissue: a low quantile of what its discs show in their middle, within usual limits."""
    seen = [value for site in sites if (value := _middle_of_disc_hu(series, site)) is not None]
    return float(np.clip(np.quantile(seen, DISC_QUANTILE) if seen else np.mean(DISC_HU), *DISC_HU))


def _middle_of_disc_hu(series: RealSeries, site: Site) -> float | None:
    mark = site.mark
    _, _, upper, above = (float(v) for v in site.levels_mm(mark.y_mm))
    k = round((float(series.z_mm[0]) - 0.5 * (upper + above)) / series.spacing_mm[0])
    if not 0 <= k < len(series.volume_zyx_hu):
        return None
    y = _range(series.y_mm, mark.y_mm - 0.5 * mark.half_depth_mm, mark.y_mm + 0.5 * mark.half_depth_mm)
    x = _range(series.x_mm, mark.x_mm - 0.5 * mark.half_width_mm, mark.x_mm + 0.5 * mark.half_width_mm)
    return float(np.median(series.volume_zyx_hu[k, y, x]))


def measure_noise(series: RealSeries, mark: VertebraMark) -> Noise:
    """Noise in the evenest patch of soft tissue near a body: strength, texture in plane, and between slices."""
    dz, dy, dx = series.spacing_mm
    middle = round((float(series.z_mm[0]) - mark.z_mm) / dz)
    first, last = max(0, middle - 3), min(len(series.volume_zyx_hu), middle + 4)
    y = _range(series.y_mm, mark.y_mm - SEARCH_MM, mark.y_mm + SEARCH_MM)
    x = _range(series.x_mm, mark.x_mm - SEARCH_MM, mark.x_mm + SEARCH_MM)
    near = series.volume_zyx_hu[first:last, y, x].astype(np.float32)
    sigma = (0, TREND_MM / dy, TREND_MM / dx if near.shape[2] > 1 else 0)
    trend = gaussian_filter(near, sigma, mode="nearest")
    rows, columns = (
        max(1, min(n, round(PATCH_MM / d))) for n, d in zip(near.shape[1:], (dy, dx), strict=True)
    )
    patch = _evenest(trend, near - trend, rows, columns)
    return _noise_of((near - trend)[(slice(None), *patch)])


def _evenest(trend: Float, rest: Float, rows: int, columns: int) -> tuple[slice, slice]:
    """The patch of soft tissue that varies least, over all slices: in what lies below its noise, and in all."""
    down, across = max(1, rows // 4), max(1, columns // 4)
    part, fine = (
        sliding_window_view(one, (rows, columns), axis=(1, 2))[:, ::down, ::across] for one in (trend, rest)
    )
    astray = np.abs(part - np.clip(part, *PATCH_HU)).mean(axis=(0, 3, 4))
    badness = part.std(axis=(3, 4)).mean(axis=0) + fine.std(axis=(3, 4)).mean(axis=0) + astray
    i, j = (int(place) for place in np.unravel_index(badness.argmin(), badness.shape))
    return slice(i * down, i * down + rows), slice(j * across, j * across + columns)


def _noise_of(residual: Float) -> Noise:
    """Texture and strength of a residual (slices, y, x)."""
    residual = residual - residual.mean(axis=(1, 2), keepdims=True)
    strength = float(np.sqrt(np.mean(residual**2)))
    # Strength beyond a real scan's noise comes from structure in the patch, of less than the evenest metal.
    sigma = float(np.clip(strength, LEAST_NOISE_HU, MOST_NOISE_HU))
    power = np.mean(np.abs(np.fft.fft2(residual)) ** 2, axis=0)
    kernel = np.fft.fftshift(np.real(np.fft.ifft2(np.sqrt(power))))
    energy = float(np.sqrt(np.sum(kernel**2)))
    kernel = kernel / energy if energy > 0 else np.ones((1, 1))
    pairs = (
        float(np.mean(residual[1:] * residual[:-1])) / max(strength**2, 1e-6) if len(residual) > 1 else 0.0
    )
    return Noise(kernel.astype(np.float32), sigma, float(np.clip(pairs, 0, 0.95)))
