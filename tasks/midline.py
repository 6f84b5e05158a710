"""How far the spine lies beside the middle of a slab, row by row; and the slab straightened along it.

The middle between the skins is not the middle of the vertebrae: spines bend sideways, and patients lie askew. A
small convolutional network (`models/midlines/`, trained by `flows.train_midline` on simulated slabs) reads the slab as
a coarse block and says at which lateral place the bodies have their middle. It runs in numpy: slabs are cut where no
torch is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.registry import MIDLINE_FINDERS

Float = NDArray[np.float32]

# The block: 4 mm down the spine, 5 mm from front to back around the bodies, 3 mm across.
ROW_MM, DEPTH_MM, ACROSS_MM = 4.0, 5.0, 3.0
IN_FRONT_MM, BEHIND_MM = 45.0, 55.0
HALF_WIDTH_MM = 30.0
LOW_HU, HIGH_HU = -150.0, 700.0
# Slabs with less than this to each side have no room to look for a middle: theirs is taken as it is.
LEAST_HALF_MM = 12.0
# The middle changes slowly: no spine bends within a body's height.
SMOOTH_MM = 14.0
# Slices that stay on either side of the middle, so that a view has something to read.
KEPT_BESIDE_MM = 6.0
# Found places are rounded, so that the last bit of a sum never decides about a pixel.
ROUND_MM = 0.25
# Layers after the first look further down the spine each.
DILATIONS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Block:
    """A slab in coarse: what the finder reads."""

    values: Float  # (depths, rows, places across), the HU window as 0…1
    row_mm: Float  # (rows,) middles, from the slab's upper edge


def across_mm() -> Float:
    """The lateral places of a block, from the patient's right to left, 0 in the slab's middle."""
    n = round(HALF_WIDTH_MM / ACROSS_MM)
    return (np.arange(-n, n + 1) * ACROSS_MM).astype(np.float32)


def depth_edges_mm() -> Float:
    """Edges of the depths of a block, from the bodies' place."""
    return np.arange(-IN_FRONT_MM, BEHIND_MM + DEPTH_MM / 2, DEPTH_MM).astype(np.float32)


def make_block(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    pixel_mm: float,
    slice_spacing_mm: float,
    column_mm: NDArray[np.floating],
) -> Block:
    """A slab averaged over the block's cells; `column_mm` (rows,) is how deep the bodies lie, from the front edge."""
    n_slices, n_rows, n_cols = slab_xzy_hu.shape
    n_cells = max(1, int(n_rows * pixel_mm / ROW_MM))
    row_edges = np.rint(np.arange(n_cells + 1) * (ROW_MM / pixel_mm)).astype(int).clip(0, n_rows)
    row_edges = np.maximum.accumulate(row_edges)
    middle = (row_edges[:-1] + row_edges[1:]) / 2
    column = np.interp(middle, np.arange(n_rows) + 0.5, np.asarray(column_mm, np.float64))
    edges = np.rint((column[:, None] + depth_edges_mm()) / pixel_mm).astype(int).clip(0, n_cols)
    first, last = int(edges.min()), int(edges.max())
    near = slab_xzy_hu[:, : row_edges[-1], first:last].astype(np.float32)
    near -= LOW_HU
    near *= 1 / (HIGH_HU - LOW_HU)
    np.clip(near, 0, 1, out=near)
    # (slices, cells, cols), and then (slices, cells, depths); what lies outside the slab is 0
    by_row = np.add.reduceat(near, row_edges[:-1], axis=1) / np.diff(row_edges)[:, None]
    sums = np.zeros((n_slices, n_cells, last - first + 1), np.float32)
    np.cumsum(by_row, axis=2, out=sums[:, :, 1:])
    at_edges = np.take_along_axis(sums, np.broadcast_to(edges - first, (n_slices, *edges.shape)), axis=2)
    cells = np.diff(at_edges, axis=2) / np.maximum(np.diff(edges), 1)
    place = across_mm() / slice_spacing_mm + (n_slices - 1) / 2
    low, high, share = _neighbours(place, n_slices)
    weight = share[:, None, None]
    values = cells[low] * (1 - weight) + cells[high] * weight
    values[(place < -0.5) | (place > n_slices - 0.5)] = 0
    return Block(np.ascontiguousarray(values.transpose(2, 1, 0)), (middle * pixel_mm).astype(np.float32))


@cache
def finder_weights(name: str) -> dict[str, Float]:
    """Tensors of a finder. Raises ModelError: missing, altered, or unknown."""
    from safetensors.numpy import load

    raw = MIDLINE_FINDERS.read(name)
    return {key: np.asarray(value, np.float32) for key, value in load(raw).items()}


def place_shares(block: Block, weights: dict[str, Float]) -> Float:
    """Where the middle of the bodies lies, (rows, places across): shares that sum to 1 in each row."""
    seen = block.values
    for number, dilation in enumerate(DILATIONS):
        seen = np.maximum(
            _convolve(seen, weights[f"{number}.weight"], weights[f"{number}.bias"], dilation), 0
        )
    logits = _convolve(seen, weights["out.weight"], weights["out.bias"], 1)[0]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _convolve(values: Float, weight: Float, bias: Float, dilation: int) -> Float:
    """values (C, R, X), weight (K, C, r, x): same size out; rows repeat at the ends, zeros beside."""
    _, rows, places = values.shape
    n_out, n_in, high, wide = weight.shape
    row_pad, place_pad = dilation * (high // 2), wide // 2
    padded = np.pad(values, ((0, 0), (row_pad, row_pad), (0, 0)), mode="edge")
    padded = np.pad(padded, ((0, 0), (0, 0), (place_pad, place_pad)))
    taps = [
        padded[:, i * dilation : i * dilation + rows, j : j + places]
        for i in range(high)
        for j in range(wide)
    ]
    stacked = np.stack(taps, axis=1).reshape(n_in * high * wide, rows * places)
    out = weight.reshape(n_out, -1) @ stacked + bias[:, None]
    return np.asarray(out.reshape(n_out, rows, places), np.float32)


def find_midline_mm(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    pixel_mm: float,
    slice_spacing_mm: float,
    column_mm: NDArray[np.floating],
    finder: str,
) -> Float:
    """(rows,) how far the bodies' middle lies to the patient's left of the slab's; 0 where the slab is too narrow."""
    n_slices, n_rows, _ = slab_xzy_hu.shape
    half_mm = (n_slices - 1) / 2 * slice_spacing_mm
    if half_mm < LEAST_HALF_MM:
        return np.zeros(n_rows, np.float32)
    block = make_block(slab_xzy_hu, pixel_mm, slice_spacing_mm, column_mm)
    weights = finder_weights(finder)
    # Left and right are alike, so neither is preferred.
    mirrored = Block(block.values[:, :, ::-1], block.row_mm)
    shares = np.float32(0.5) * (place_shares(block, weights) + place_shares(mirrored, weights)[:, ::-1])
    smooth = smooth_midline_mm(shares, block.row_mm)
    rows_mm = (np.arange(n_rows) + 0.5) * pixel_mm
    found = np.interp(rows_mm, block.row_mm, smooth)
    room_mm = max(0.0, half_mm - KEPT_BESIDE_MM)
    return np.asarray(np.round(found / ROUND_MM) * ROUND_MM, np.float32).clip(-room_mm, room_mm)


def smooth_midline_mm(shares: Float, row_mm: Float) -> NDArray[np.float64]:
    """Expected places of each row, smoothed over its neighbours; sure rows count more."""
    places = across_mm().astype(np.float64)
    expected = shares @ places
    sureness = 1 / np.maximum(shares @ places**2 - expected**2, 1.0)
    near = np.exp(-0.5 * ((row_mm[:, None] - row_mm[None]) / SMOOTH_MM) ** 2) * sureness[None]
    return np.asarray((near @ expected) / near.sum(axis=1), np.float64)


def places_read(
    slices: NDArray[np.integer], midline_mm: NDArray[np.floating], slice_spacing_mm: float
) -> NDArray[np.float64]:
    """(n, rows) where each row of some slices is read along the midline, in slices of the slab; may lie outside it."""
    beside = np.asarray(midline_mm, np.float64) / slice_spacing_mm
    return np.asarray(np.asarray(slices)[:, None] + beside[None], np.float64)


def straighten(
    slab_xzy: NDArray[np.floating] | NDArray[np.integer],
    slices: NDArray[np.integer],
    midline_mm: NDArray[np.floating],
    slice_spacing_mm: float,
) -> Float:
    """Some slices of the slab (n, rows, cols), each row taken from as far beside as the midline lies there.

    Between two slices linearly; beyond the outermost, that one.
    """
    n_slices, n_rows, _ = slab_xzy.shape
    low, high, share = _neighbours(places_read(slices, midline_mm, slice_spacing_mm), n_slices)
    rows = np.arange(n_rows)[None]
    out = slab_xzy[low, rows].astype(np.float32)
    other = slab_xzy[high, rows].astype(np.float32)
    other -= out
    other *= share[..., None]
    out += other
    return np.asarray(out, np.float32)


def _neighbours(
    place: NDArray[np.floating], n_slices: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Float]:
    """The slices on either side of each place, and the upper one's share; beyond the outermost slices, that one."""
    low = np.clip(np.floor(place).astype(np.intp), 0, max(n_slices - 2, 0))
    return low, np.minimum(low + 1, n_slices - 1), np.clip(place - low, 0, 1).astype(np.float32)
