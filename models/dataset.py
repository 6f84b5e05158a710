"""What training reads: scans with the truth beside them, and how images are cut from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# A crop for pre-training is cut larger than what the network sees, so that turning and shifting show no edge.
CROP_MARGIN_PX = 24
# A lesion that a crop was drawn for lies this far inside it.
CLEAR_OF_EDGE_PX = 4
# How often a crop is drawn for a fracture, and, in a scan without one, for a body that has lost some height.
FRACTURE_SHOWN, LOW_SHOWN = 0.75, 0.5


# Labels of bodies lie on every second row and column: enough for cells of 10 mm, a quarter of the memory.
LABEL_STEP = 2
N_LABELS = 18  # no body, and T1-L5
# What is known of a body's fracture, and of its three heights.
SOUND, FRACTURED, UNKNOWN = 0.0, 1.0, -1.0
# Shares of a height: from the second on it is a fracture (Genant grade 1), from the first on a low body that is none.
LOW_LOSS, FRACTURE_LOSS = 0.08, 0.20
# Columns of `DenseTruth.bodies`.
STATUS, LOSSES = 0, slice(1, 4)
N_FACTS = 4


@dataclass(frozen=True)
class DenseTruth:
    """Which body lies where in a scan's images, and how much height each has lost.

    `labels` are 0 or 1-17 (T1-L5) for every LABEL_STEP-th row and column; `bodies[label]` holds SOUND, FRACTURED or
    UNKNOWN, then the shares lost of the anterior, middle and posterior height, UNKNOWN (-1) where nobody knows. Label 0
    has losses of 0 where every body is marked, UNKNOWN where others may lie there unmarked.
    `spans` are first row and last row + 1 of bodies worth looking at: fractured ones, then low ones.
    """

    labels: NDArray[np.uint8]  # (slices, rows / 2, cols / 2), rounded up
    bodies: NDArray[np.float32]  # (18, 4)
    fractured_spans: tuple[tuple[int, int], ...] = ()
    low_spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class TrainingScan:
    """One scan for the extractor: a few slices over the whole coverage at the view's pixel size, and truth."""

    patient: str
    is_positive: bool
    images: NDArray[np.uint8]  # (slices, rows, cols)
    centre_cols: NDArray[np.float32]  # (rows,) where the spine is, in pixels
    truth: DenseTruth | None = None  # None where only the scan's label is known
    is_real: bool = False  # made of a real scan


class TiledImages(Protocol):
    """What a scorer reads of a scan's view (`tasks.view.View` is one)."""

    @property
    def images_nhw(self) -> NDArray[np.uint8]:
        """(n, tile_rows, tile_cols)."""

    @property
    def tile_index(self) -> NDArray[np.int16]:
        """(n,) tile down the spine."""

    @property
    def top_row_mm(self) -> NDArray[np.float32]:
        """(n,) the image's upper edge from the slab's."""


@dataclass(frozen=True)
class SequenceScan:
    """One scan for the aggregation: the very images that its view gives to the scorer, and its label."""

    patient: str
    is_positive: bool
    images_nhw: NDArray[np.uint8]  # as in TiledImages
    tile_index: NDArray[np.int16]
    top_row_mm: NDArray[np.float32]
    largest_loss: float | None = None  # share of a height that a body has lost at most, where it is known

    @classmethod
    def of(
        cls, patient: str, is_positive: bool, view: TiledImages, largest_loss: float | None = None
    ) -> SequenceScan:
        """What a scan's view shows, and its label."""
        return cls(patient, is_positive, view.images_nhw, view.tile_index, view.top_row_mm, largest_loss)


@dataclass(frozen=True)
class Crop:
    """One image cut from a scan (with a margin on every side), and the labels of the bodies in it."""

    image: NDArray[np.uint8]  # (rows, cols)
    labels: NDArray[np.uint8]  # (rows / 2, cols / 2)
    bodies: NDArray[np.float32]  # (18, 4), as in DenseTruth; all UNKNOWN where there is no truth


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


def draw_crop(scan: TrainingScan, size: tuple[int, int], rng: np.random.Generator, aside_px: int = 0) -> Crop:
    """A window of `size` plus margin around the spine, at a random height, from a random slice.

    In a scan with a known fracture the window holds one at least three times in four, and otherwise a low body two
    times in four where there is one. `aside_px`: so far to the front or back of the spine it may lie.
    """
    shape = (size[0] + 2 * CROP_MARGIN_PX, size[1] + 2 * CROP_MARGIN_PX)
    index = int(rng.integers(len(scan.images)))
    image = scan.images[index]
    top = _draw_top(scan, image.shape[0], size[0], rng)
    centre = float(np.median(scan.centre_cols[max(top, 0) : max(top, 0) + size[0]]))
    left = round(centre) - shape[1] // 2 + int(rng.integers(-aside_px, aside_px + 1))
    corner = (_even(top - CROP_MARGIN_PX), _even(left))
    n_labels = (shape[0] // LABEL_STEP, shape[1] // LABEL_STEP)
    if scan.truth is None:
        return Crop(
            cut(image, corner, shape),
            np.zeros(n_labels, np.uint8),
            np.full((N_LABELS, N_FACTS), UNKNOWN, np.float32),
        )
    labels = cut(scan.truth.labels[index], (corner[0] // LABEL_STEP, corner[1] // LABEL_STEP), n_labels)
    return Crop(cut(image, corner, shape), labels, scan.truth.bodies)


def _even(pixel: int) -> int:
    return pixel - pixel % LABEL_STEP


def _draw_top(scan: TrainingScan, n_rows: int, height: int, rng: np.random.Generator) -> int:
    spare = n_rows - height
    if spare <= 0:
        return spare // 2  # centred, as the view does it
    spans = _spans_to_show(scan, rng.random())
    if spans:
        first, last = spans[rng.integers(len(spans))]
        low, high = max(0, last - height + CLEAR_OF_EDGE_PX), min(spare, first - CLEAR_OF_EDGE_PX)
        if low < high:
            return int(rng.integers(low, high + 1))
    return int(rng.integers(0, spare + 1))


def _spans_to_show(scan: TrainingScan, chance: float) -> tuple[tuple[int, int], ...]:
    if scan.truth is None:
        return ()
    if scan.truth.fractured_spans:
        return scan.truth.fractured_spans if chance < FRACTURE_SHOWN else ()
    return scan.truth.low_spans if chance < LOW_SHOWN else ()


def cut(image: NDArray[np.uint8], corner: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of `shape` whose upper left pixel is `corner`; zero (air) outside the image."""
    out = np.zeros(shape, np.uint8)
    top, left = corner
    row0, row1 = max(top, 0), min(top + shape[0], image.shape[0])
    col0, col1 = max(left, 0), min(left + shape[1], image.shape[1])
    if row0 < row1 and col0 < col1:
        out[row0 - top : row1 - top, col0 - left : col1 - left] = image[row0:row1, col0:col1]
    return out
