"""Where in its images a model sees the fracture: hide a piece, look how far the logit falls (Zeiler & Fergus 2014).

The technique that the source publishes, made cheap enough for every flagged study: only the most suspicious images,
first bands across the spine, then smaller patches around the band that mattered. What is hidden gets its own mean
grey: black or one grey for all is itself a conspicuous object (docs/scores.md has the comparison).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.dataset import TiledImages

if TYPE_CHECKING:
    from models.infer import Scorer

# An image wider than this is no tile around the spine: all of its width is searched.
WIDEST_TILE_MM = 200.0
# The peak is the middle of the cells around the hottest one that have this share of its heat: the maximum itself lies
# anywhere on a plateau as high as a band.
PEAK_SHARE, PEAK_REACH_CELLS = 0.7, 4


@dataclass(frozen=True)
class OcclusionPlan:
    """Which pieces are hidden. Lengths in mm of the patient; a lumbar body with its discs is 35-40 mm high."""

    n_images: int = 3  # the images with the highest logits
    band_height_mm: float = 25.0
    band_width_mm: float = 60.0  # bodies, canal and arch
    band_step_mm: float = 10.0
    patch_mm: float = 25.0
    patch_step_mm: float = 10.0
    cell_mm: float = 5.0  # of the grid that heat is given on


DEFAULT_PLAN = OcclusionPlan()


class ImagesOfScan(TiledImages, Protocol):
    """What is read of a scan's view (`tasks.view.View` is one)."""

    @property
    def slice_index(self) -> NDArray[np.int16]:
        """(n,) slice of the slab."""

    @property
    def left_col_mm(self) -> NDArray[np.float32]:
        """(n,) its front edge from the slab's."""

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel."""


@dataclass(frozen=True)
class HeatMap:
    """One image's heat: by how much its logit falls, on average, when what lies in a cell is hidden."""

    image: int  # its place in the view
    slice_index: int  # of the slab, 0 = rightmost
    tile_index: int
    logit: float  # of the whole image
    heat: NDArray[np.float32]  # (rows, cols) of cells over the whole image; 0 where nothing was hidden
    top_mm: float  # upper edge of the first row of cells, from the slab's upper edge
    left_mm: float  # front edge of the first column, from the slab's front edge; negative: padding
    cell_mm: float


@dataclass(frozen=True)
class Peak:
    """The hottest place of a scan, in the slab: in mm from its upper and its front edge."""

    slice_index: int
    tile_index: int
    row_mm: float
    col_mm: float
    drop: float  # of the image's logit


@dataclass(frozen=True)
class Explanation:
    """Occlusion maps of one scan, the most suspicious image first, and where the hottest of them peaks."""

    maps: tuple[HeatMap, ...]
    peak: Peak
    n_passes: int  # images that went through the network


@dataclass(frozen=True)
class _Box:
    """A piece of an image, half open, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def explain_scan(
    scorer: Scorer,
    view: ImagesOfScan,
    slice_logits: NDArray[np.floating],
    plan: OcclusionPlan = DEFAULT_PLAN,
) -> Explanation:
    """Occlusion maps of the images with the highest `slice_logits` (n,), as the scorer gave them for this view.

    ValueError when logits and images differ in number. Deterministic; takes some 150 images' worth of scoring.
    """
    if len(slice_logits) != len(view.images_nhw) or not len(slice_logits):
        raise ValueError("one logit per image of the view is needed")
    chosen = np.argsort(-np.asarray(slice_logits), kind="stable")[: plan.n_images]
    bands = _bands(view.images_nhw.shape[1:], view.pixel_mm, plan)
    drops = _drops(scorer, view.images_nhw, slice_logits, [(int(k), bands) for k in chosen])
    maps, n_passes = [], sum(len(one) for one in drops)
    around = [
        (int(k), _patches(bands[int(drop.argmax())], view.images_nhw.shape[1:], view.pixel_mm, plan))
        for k, drop in zip(chosen, drops, strict=True)
    ]
    finer = _drops(scorer, view.images_nhw, slice_logits, around)
    for (k, patches), coarse, fine in zip(around, drops, finer, strict=True):
        pixels = _heat(view.images_nhw.shape[1:], (bands, coarse), (patches, fine))
        maps.append(_map(view, k, float(slice_logits[k]), pixels, plan))
        n_passes += len(fine)
    return Explanation(tuple(maps), _peak(maps), n_passes)


def _bands(shape: tuple[int, ...], pixel_mm: float, plan: OcclusionPlan) -> list[_Box]:
    """Bands over the middle of a tile, from its upper to its lower edge; over all of a wide image."""
    height, width = (_pixels(mm, pixel_mm) for mm in (plan.band_height_mm, plan.band_width_mm))
    step = _pixels(plan.band_step_mm, pixel_mm)
    is_tile = shape[1] * pixel_mm <= WIDEST_TILE_MM
    lefts = [max(0, (shape[1] - width) // 2)] if is_tile else _starts(0, shape[1], width, width // 2)
    tops = _starts(0, shape[0], height, step)
    return [_box(top, left, height, width, shape) for top in tops for left in lefts]


def _patches(band: _Box, shape: tuple[int, ...], pixel_mm: float, plan: OcclusionPlan) -> list[_Box]:
    """Patches on and around a band, half a step above and below it and a step beyond both its ends."""
    size, step = _pixels(plan.patch_mm, pixel_mm), _pixels(plan.patch_step_mm, pixel_mm)
    middle = (band.top + band.bottom) // 2 - size // 2
    tops = [max(0, min(top, shape[0] - size)) for top in (middle - step // 2, middle, middle + step // 2)]
    lefts = _starts(max(0, band.left - step), min(shape[1], band.right + step), size, step)
    return [_box(top, left, size, size, shape) for top in tops for left in lefts]


def _starts(low: int, high: int, size: int, step: int) -> list[int]:
    """Where pieces of `size` begin between two limits, evenly, the last one ending at the upper limit."""
    room = max(0, high - low - size)
    n = math.ceil(room / max(1, step)) + 1
    return [int(start) for start in np.rint(np.linspace(low, low + room, n))]


def _box(top: int, left: int, height: int, width: int, shape: tuple[int, ...]) -> _Box:
    return _Box(top, min(top + height, shape[0]), left, min(left + width, shape[1]))


def _pixels(length_mm: float, pixel_mm: float) -> int:
    return max(1, round(length_mm / pixel_mm))


def _drops(
    scorer: Scorer,
    images_nhw: NDArray[np.uint8],
    slice_logits: NDArray[np.floating],
    work: list[tuple[int, list[_Box]]],
) -> list[NDArray[np.float64]]:
    """For each (image, boxes): its logit less that with each box hidden, (boxes,). Batches cross images."""
    hidden = (_hidden(images_nhw[k], box) for k, boxes in work for box in boxes)
    logits = _image_logits(scorer, hidden)
    return [np.array([slice_logits[k] - next(logits) for _ in boxes], np.float64) for k, boxes in work]


def _hidden(image: NDArray[np.uint8], box: _Box) -> NDArray[np.uint8]:
    """A copy with one piece in its own mean grey."""
    copy = image.copy()
    piece = copy[box.top : box.bottom, box.left : box.right]
    piece[:] = round(float(piece.mean()))
    return copy


def _image_logits(scorer: Scorer, images: Iterable[NDArray[np.uint8]]) -> Iterator[float]:
    """Logits by the very code that scores: image by image after the convolutions."""
    for pooled in scorer.convolutions.pooled(images):
        with torch.inference_mode():
            yield float(scorer.head(pooled[None])[1][0])


def _heat(
    shape: tuple[int, ...],
    coarse: tuple[list[_Box], NDArray[np.float64]],
    fine: tuple[list[_Box], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Per pixel: the mean drop of the bands over it; around the worst band that, shaped by the patches there."""
    heat = _mean_over(shape, *coarse)
    shaped = np.maximum(_mean_over(shape, *fine), 0.0)
    highest = shaped.max()
    if highest > 0:
        tops, bottoms = min(box.top for box in fine[0]), max(box.bottom for box in fine[0])
        rows = slice(tops, bottoms)
        level = np.maximum(heat[rows].max(axis=1, keepdims=True), 0.0)
        heat[rows] = level * shaped[rows] / highest
    return heat


def _mean_over(shape: tuple[int, ...], boxes: list[_Box], drops: NDArray[np.float64]) -> NDArray[np.float64]:
    total, n = np.zeros(shape[:2]), np.zeros(shape[:2])
    for box, drop in zip(boxes, drops, strict=True):
        total[box.top : box.bottom, box.left : box.right] += drop
        n[box.top : box.bottom, box.left : box.right] += 1
    return total / np.maximum(n, 1)


def _map(
    view: ImagesOfScan, image: int, logit: float, pixels: NDArray[np.float64], plan: OcclusionPlan
) -> HeatMap:
    """Heat per pixel → heat per cell."""
    cell = _pixels(plan.cell_mm, view.pixel_mm)
    rows, cols = (math.ceil(size / cell) for size in pixels.shape)
    padded = np.pad(pixels, ((0, rows * cell - pixels.shape[0]), (0, cols * cell - pixels.shape[1])))
    return HeatMap(
        image=image,
        slice_index=int(view.slice_index[image]),
        tile_index=int(view.tile_index[image]),
        logit=logit,
        heat=padded.reshape(rows, cell, cols, cell).mean(axis=(1, 3)).astype(np.float32),
        top_mm=float(view.top_row_mm[image]),
        left_mm=float(view.left_col_mm[image]),
        cell_mm=cell * view.pixel_mm,
    )


def _peak(maps: list[HeatMap]) -> Peak:
    """Where the images of one tile agree: the middle of the hottest piece of their mean heat."""
    tiles = {one.tile_index for one in maps}
    same = {tile: [one for one in maps if one.tile_index == tile] for tile in tiles}
    mean = {tile: np.mean([np.maximum(one.heat, 0) for one in ones], axis=0) for tile, ones in same.items()}
    tile = max(sorted(tiles), key=lambda one: float(mean[one].max()))
    heat = mean[tile]  # (rows, cols)
    top, left = (int(at) for at in np.unravel_index(int(heat.argmax()), heat.shape))
    rows, cols = np.arange(heat.shape[0])[:, None], np.arange(heat.shape[1])[None, :]
    is_near = (np.abs(rows - top) <= PEAK_REACH_CELLS) & (np.abs(cols - left) <= PEAK_REACH_CELLS)
    weight = np.where(is_near & (heat >= PEAK_SHARE * heat.max()), heat + 1e-12, 0.0)
    row, col = (float((weight * at).sum() / weight.sum()) for at in (rows, cols))
    hottest = max(same[tile], key=lambda one: float(one.heat[round(row), round(col)]))
    return Peak(
        slice_index=hottest.slice_index,
        tile_index=tile,
        row_mm=hottest.top_mm + (row + 0.5) * hottest.cell_mm,
        col_mm=hottest.left_mm + (col + 0.5) * hottest.cell_mm,
        drop=float(hottest.heat.max()),
    )
