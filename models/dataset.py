"""What training reads: scans with the truth beside them, and how images are cut from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A crop for pre-training is cut larger than what the network sees, so that turning and shifting show no edge.
CROP_MARGIN_PX = 24
# A lesion that a crop was drawn for lies this far inside it.
CLEAR_OF_EDGE_PX = 4


@dataclass(frozen=True)
class TrainingScan:
    """One scan for the extractor: central slices, the whole coverage at the view's pixel size, and truth."""

    patient: str
    is_positive: bool
    images: NDArray[np.uint8]  # (slices, rows, cols)
    centre_cols: NDArray[np.float32]  # (rows,) where the spine is, in pixels
    # (rows, cols), 1 in every fractured body; None where only the scan's label is known.
    lesion_mask: NDArray[np.uint8] | None = None
    lesion_rows: tuple[tuple[int, int], ...] = ()  # first and last row + 1 of each fractured body


@dataclass(frozen=True)
class SequenceScan:
    """One scan for the aggregation: the very images that its view gives to the scorer, and its label."""

    patient: str
    is_positive: bool
    images_nhw: NDArray[np.uint8]  # (n, tile_rows, tile_cols)


@dataclass(frozen=True)
class Crop:
    """One image cut from a scan (with a margin on every side), and the mask of fractured bodies in it."""

    image: NDArray[np.uint8]  # (rows, cols)
    mask: NDArray[np.uint8]  # (rows, cols), 0 or 1


def split_by_patient(patients: Sequence[str], shares: dict[str, float], seed: int) -> dict[str, list[int]]:
    """Indices per split; a patient's scans stay together. ValueError when the shares exceed one.

    What the shares leave over goes into the first split.
    """
    if sum(shares.values()) > 1 + 1e-9:
        raise ValueError("the shares of the splits exceed one")
    unique = sorted(set(patients))
    names = [name for name, share in shares.items() for _ in range(int(share * len(unique) + 1e-9))]
    names += [next(iter(shares))] * (len(unique) - len(names))
    order = np.random.default_rng(seed).permutation(len(unique))
    split_of = {unique[who]: name for who, name in zip(order, names, strict=True)}
    splits: dict[str, list[int]] = {name: [] for name in shares}
    for index, patient in enumerate(patients):
        splits[split_of[patient]].append(index)
    return splits


def draw_crop(scan: TrainingScan, size: tuple[int, int], rng: np.random.Generator) -> Crop:
    """A window of `size` plus margin around the spine, at a random height, from a random slice.

    In a scan with a known fracture the window holds one at least three times in four.
    """
    shape = (size[0] + 2 * CROP_MARGIN_PX, size[1] + 2 * CROP_MARGIN_PX)
    image = scan.images[rng.integers(len(scan.images))]
    top = _draw_top(scan, image.shape[0], size[0], rng)
    centre = float(np.median(scan.centre_cols[max(top, 0) : max(top, 0) + size[0]]))
    left = round(centre) - shape[1] // 2
    mask = np.zeros_like(image) if scan.lesion_mask is None else scan.lesion_mask
    corner = (top - CROP_MARGIN_PX, left)
    return Crop(cut(image, corner, shape), cut(mask, corner, shape))


def _draw_top(scan: TrainingScan, n_rows: int, height: int, rng: np.random.Generator) -> int:
    spare = n_rows - height
    if spare <= 0:
        return spare // 2  # centred, as the view does it
    if scan.lesion_rows and rng.random() < 0.75:
        first, last = scan.lesion_rows[rng.integers(len(scan.lesion_rows))]
        low, high = max(0, last - height + CLEAR_OF_EDGE_PX), min(spare, first - CLEAR_OF_EDGE_PX)
        if low < high:
            return int(rng.integers(low, high + 1))
    return int(rng.integers(0, spare + 1))


def cut(image: NDArray[np.uint8], corner: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of `shape` whose upper left pixel is `corner`; zero (air) outside the image."""
    out = np.zeros(shape, np.uint8)
    top, left = corner
    row0, row1 = max(top, 0), min(top + shape[0], image.shape[0])
    col0, col1 = max(left, 0), min(left + shape[1], image.shape[1])
    if row0 < row1 and col0 < col1:
        out[row0 - top : row1 - top, col0 - left : col1 - left] = image[row0:row1, col0:col1]
    return out
