"""Finds the patient in full axial slices: skin on both sides, depth, without table, blankets and arms. Pure.

Takes HU images (rows, columns) with the patient coordinates of their pixels, returns `BodySlice` and `Body`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

TISSUE_HU = -400.0  # half way between air and soft tissue
COARSE_MM = 4.0  # pixel of the search for the body; its edges are refined on the full slice
OPENING_MM = 9.0  # sheets thinner than this (table, blankets, mattress covers) go


@dataclass(frozen=True, slots=True)
class BodySlice:
    """The patient in one slice, patient coordinates (LPS)."""

    right_mm: float  # lowest x of the trunk's skin
    left_mm: float
    front_mm: float  # lowest y
    back_mm: float
    is_right_seen: bool
    is_left_seen: bool
    tissue_hu: float  # median of the tissue


def find_body(image_vu_hu: Image, spacing_vu_mm: tuple[float, float]) -> tuple[Mask, tuple[int, int]] | None:
    """The trunk as a coarse mask, and the block size (rows, columns) of its pixels; None when there is no body."""
    block = (max(1, round(COARSE_MM / spacing_vu_mm[0])), max(1, round(COARSE_MM / spacing_vu_mm[1])))
    coarse = block_mean(image_vu_hu, block)
    mask = coarse > TISSUE_HU
    opened = ndimage.binary_opening(mask, iterations=max(1, round(OPENING_MM / 2 / COARSE_MM)))
    labels, n_found = ndimage.label(opened)
    if n_found == 0:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax()), block


def block_mean(image: Image, block: tuple[int, int]) -> Image:
    """Mean over blocks of pixels; a rest at the lower and right edge is left out."""
    rows, columns = (image.shape[0] // block[0]) * block[0], (image.shape[1] // block[1]) * block[1]
    blocks = image[:rows, :columns].reshape(rows // block[0], block[0], columns // block[1], block[1])
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def sampled_indices(n_slices: int, n_wanted: int) -> list[int]:
    """Evenly spread slices, the same ones from either end."""
    n_wanted = min(n_wanted, n_slices)
    places = (np.arange(n_wanted) + 0.5) * n_slices / n_wanted - 0.5
    half = n_wanted // 2
    low = [int(np.floor(place + 1e-9)) for place in places[:half]]
    middle = [n_slices // 2] if n_wanted % 2 else []
    return low + middle + [n_slices - 1 - index for index in reversed(low)]


def median_of(values: Sequence[float]) -> float:
    """Median as a plain float."""
    return float(np.median(np.asarray(values)))
