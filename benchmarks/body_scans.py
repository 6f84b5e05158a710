"""Simulated scans with their bodies marked in the images that a model reads; bodies found in them and cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from benchmarks.body_nets import (
    BODY,
    CELL_PX,
    HEIGHT_MM,
    HEIGHTS,
    OFFSETS,
    PATCH_COLS,
    PATCH_ROWS,
    BodyFinder,
)
from flows.phantom_scans import HALF_WIDTH_MM, PIXEL_MM, DrawRequest, clear_case, largest_loss, view_of
from flows.process_pool import process_pool
from flows.training_scans import labels_read, nearest
from models.config import SPINE_VIEW, ModelConfig
from models.dataset import N_LABELS
from models.training import normalise
from phantom.protocol import ProtocolStudy, draw_test_scan
from phantom.slabs import PhantomSlab

T = TypeVar("T")
FINE = 2  # places a pixel, either way, that tell the share of body in it
MARGIN = 8  # pixels around a patch, for the augmentation
IMAGES_AT_ONCE = 8
# A cell votes for the middle of its body: votes so near (in cells) are one body's, and so many cells make one.
VOTES_NEAR, ONE_BODY, LEAST_CELLS, LEAST_DENSITY, SURE = 1.5, 2.6, 5, 3.0, 0.4
SAME_MM = 9.0  # in two tiles


@dataclass(frozen=True)
class Truth:
    """What is true of one body."""

    heights_mm: tuple[float, float, float]
    intact_mm: tuple[float, float, float]
    loss: float
    is_visible: bool


@dataclass
class FoundBody:
    """A body as the finder has it. `patch`: (4, rows, cols), three means of the slices and the mask, upright."""

    tile: int
    row_mm: float  # from the slab's upper edge
    tilt: float  # radians
    sureness: float
    n_cells: int
    edge: int  # cells to the nearer edge of its tile
    heights: NDArray[np.float64]  # by the finder itself, in units of HEIGHT_MM
    truth: Truth | None
    patch: NDArray[np.uint8]
    read: NDArray[np.float32] = field(default_factory=lambda: np.zeros(7, np.float32))

    @property
    def is_whole(self) -> bool:
        return self.edge > 0


@dataclass
class BodyScan:
    """The images of one scan, which body lies where in them, and what was found."""

    family: str
    is_positive: bool
    loss: float
    images: NDArray[np.uint8]  # (n, rows, cols)
    tiles: NDArray[np.int16]
    top_mm: NDArray[np.float32]
    labels: NDArray[np.uint8]  # (n, rows / 4, cols / 4)
    share: NDArray[np.uint8]  # (n, rows, cols) of body, 0-4
    truths: dict[int, Truth]
    bodies: list[FoundBody] = field(default_factory=list)


def draw_training_scan(request: DrawRequest) -> BodyScan:
    return marked(clear_case(request), request.family)


def draw_protocol_scan(study: ProtocolStudy) -> BodyScan:
    slab = draw_test_scan(study, pixel_mm=PIXEL_MM, half_width_mm=HALF_WIDTH_MM)
    return marked(slab, study.family)


def drawn(draw: Callable[[T], BodyScan], wanted: Sequence[T], workers: int) -> Iterator[BodyScan]:
    """The scans, in order, in so many processes."""
    with process_pool(workers) as pool:
        yield from pool.map(draw, wanted, chunksize=8)


def marked(slab: PhantomSlab, family: str) -> BodyScan:
    """The images of a slab by the view of new models, with the bodies in the same pixels."""
    view = view_of(slab, SPINE_VIEW)
    labels = labels_read(slab, view.slice_index.astype(int), view.midline_mm)
    rows, cols = view.images_nhw.shape[1:]

    def at(number: int, step_px: float) -> NDArray[np.uint8]:
        where = []
        for n, first_mm in ((rows, view.top_row_mm[number]), (cols, view.left_col_mm[number])):
            middles_px = (np.arange(round(n / step_px)) + 0.5) * step_px
            where.append((middles_px * view.pixel_mm + float(first_mm)) / slab.pixel_mm - 0.5)
        return nearest(labels[number : number + 1], *where)[0]

    numbers = range(len(view.images_nhw))
    fine = np.stack([at(number, 1 / FINE) > 0 for number in numbers])
    return BodyScan(
        family=family,
        is_positive=slab.has_fracture,
        loss=largest_loss(slab),
        images=view.images_nhw,
        tiles=view.tile_index,
        top_mm=view.top_row_mm,
        labels=np.stack([at(number, CELL_PX) for number in numbers]),
        share=fine.reshape(-1, rows, FINE, cols, FINE).sum((2, 4)).astype(np.uint8),
        truths={
            body.label: Truth(
                (body.anterior_mm, body.middle_mm, body.posterior_mm),
                body.intact_mm,
                body.loss,
                body.is_visible,
            )
            for body in slab.vertebrae
        },
    )


def heights_by_label(scan: BodyScan) -> NDArray[np.float32]:
    """(18, 4): three heights in units of HEIGHT_MM, and 1 where the body is shown whole."""
    facts = np.zeros((N_LABELS, 4), np.float32)
    for label, truth in scan.truths.items():
        facts[label] = (*(mm / HEIGHT_MM for mm in truth.heights_mm), truth.is_visible)
    return facts


def find_bodies(finder: BodyFinder, scan: BodyScan) -> list[FoundBody]:
    """The bodies of a scan from head to foot; of one that stands in two tiles, the one farther from the edge."""
    said, mask = _said(finder, scan.images)
    found: list[FoundBody] = []
    for tile in np.unique(scan.tiles):
        own = np.flatnonzero(scan.tiles == tile)
        found += _bodies_of_tile(scan, int(tile), own, said[own], mask[own])
    found.sort(key=lambda body: body.row_mm)
    merged: list[FoundBody] = []
    for body in found:
        if merged and body.tile != merged[-1].tile and body.row_mm - merged[-1].row_mm < SAME_MM:
            if body.edge > merged[-1].edge:
                merged[-1] = body
        else:
            merged.append(body)
    return merged


def normalised(images: Tensor) -> Tensor:
    """Grey values of 0…1 as a network reads them."""
    return normalise(images, ModelConfig("bodies", SPINE_VIEW))


def _said(finder: BodyFinder, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    said, masks = [], []
    with torch.inference_mode():
        for start in range(0, len(images), IMAGES_AT_ONCE):
            pixels = torch.from_numpy(images[start : start + IMAGES_AT_ONCE]).float()[:, None] / 255
            cells, mask = finder(normalised(pixels))
            cells[:, BODY] = cells[:, BODY].sigmoid()
            said.append(cells.numpy())
            masks.append(mask.sigmoid()[:, 0].numpy())
    return np.concatenate(said), np.concatenate(masks)


def _bodies_of_tile(
    scan: BodyScan, tile: int, own: NDArray[np.intp], said: NDArray[np.float32], mask: NDArray[np.float32]
) -> list[FoundBody]:
    groups = _groups(said)
    middles = np.array([middle for middle, _, _ in groups])
    n = len(own)
    thirds = (
        slice(0, max(1, n // 3)),
        slice(n // 3, max(n // 3 + 1, n - n // 3)),
        slice(min(n - 1, n - n // 3), n),
    )
    layers = [scan.images[own[part]].mean(axis=0) for part in thirds]
    layers.append(np.kron(mask.mean(axis=0), np.ones((2, 2))) * 255)
    found = []
    for number, (middle, cells, sureness) in enumerate(groups):
        above, below = middles[max(number - 1, 0)], middles[min(number + 1, len(groups) - 1)]
        tilt = float(np.arctan2(below[1] - above[1], below[0] - above[0])) if len(groups) > 1 else 0.0
        rows, cols = cells.T
        named = scan.labels[own][:, rows, cols].ravel()
        label = int(np.bincount(named[named > 0]).argmax()) if (named > 0).mean() > 0.3 else 0
        found.append(
            FoundBody(
                tile=tile,
                row_mm=float(
                    scan.top_mm[own[0]] + (middle[0] + 0.5) * CELL_PX * float(SPINE_VIEW.pixel_mm or 0)
                ),
                tilt=tilt,
                sureness=sureness,
                n_cells=len(cells),
                edge=int(min(rows.min(), said.shape[2] - 1 - rows.max())),
                heights=said[:, HEIGHTS][:, :, rows, cols].mean(axis=(0, 2)).astype(np.float64),
                truth=scan.truths.get(label),
                patch=_upright(layers, middle, tilt),
            )
        )
    return found


def _groups(said: NDArray[np.float32]) -> list[tuple[NDArray[np.float64], NDArray[np.intp], float]]:
    """(middle in cells, its cells, sureness) of each body of a tile, from head to foot; (slices, 9, rows, cols) in."""
    body = said[:, BODY]
    weight = body / np.maximum(body.sum(axis=0), 1e-6)
    sure = body.mean(axis=0)
    cells = np.argwhere(sure > SURE)
    votes = cells + (said[:, OFFSETS] * weight[:, None]).sum(axis=0)[:, cells[:, 0], cells[:, 1]].T
    trust = sure[cells[:, 0], cells[:, 1]]
    apart = np.hypot(*(votes[:, None] - votes[None]).transpose(2, 0, 1))
    density = ((apart < VOTES_NEAR) * trust).sum(axis=1)
    left = np.ones(len(cells), bool)
    groups = []
    while left.any() and density[left].max() >= LEAST_DENSITY:
        seed = int(np.where(left, density, -1).argmax())
        near = left & (apart[seed] < 2.0)
        middle = np.average(votes[near], axis=0, weights=trust[near])
        own = left & (np.hypot(*(votes - middle).T) < ONE_BODY)
        own[seed] = True
        left &= ~own
        if own.sum() >= LEAST_CELLS:
            groups.append((middle, cells[own], float(trust[own].mean())))
    return sorted(groups, key=lambda group: float(group[0][0]))


def _upright(
    layers: Sequence[NDArray[np.floating]], middle: NDArray[np.float64], tilt: float
) -> NDArray[np.uint8]:
    shape = (PATCH_ROWS + 2 * MARGIN, PATCH_COLS + 2 * MARGIN)
    down, back = np.mgrid[: shape[0], : shape[1]] - (np.array(shape)[:, None, None] - 1) / 2
    row0, col0 = (middle + 0.5) * CELL_PX - 0.5
    rows = row0 + down * np.cos(tilt) - back * np.sin(tilt)
    cols = col0 + down * np.sin(tilt) + back * np.cos(tilt)
    cut = [map_coordinates(layer, [rows, cols], order=1, mode="constant") for layer in layers]
    return np.stack(cut).round().astype(np.uint8)
