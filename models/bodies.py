"""Reads the vertebrae of a scan one by one: finds them in its tiles, cuts each out upright, says how fractured it is.

The most suspicious body speaks for its scan, beside the LSTM (`ScanLstm`). Nothing depends on a scan's company: every
network sees one tile, or one body, at a time, in fp32.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from models.body_nets import (
    BODY,
    CELL_PX,
    HEIGHTS,
    INTACT,
    LEFT,
    N_FACTS,
    N_READ,
    NEIGHBOURS,
    OFFSETS,
    PATCH_COLS,
    PATCH_ROWS,
    BodyFinder,
    BodyReader,
    NeighbourReader,
)
from models.dataset import TiledImages
from models.registry import BODY_READERS

PIXEL_MM = 1.25  # of the tiles that they read
PIXEL_MEAN, PIXEL_STD = 0.25, 0.25
LAYERS = 3  # means of the slices of a tile: left, middle, right
MARGIN = 8  # pixels around a patch, for the augmentation
# A cell votes for the middle of its body: votes so near (in cells) are one body's, and so many cells make one.
VOTES_NEAR, SEED_NEAR, ONE_BODY, LEAST_CELLS, LEAST_DENSITY, SURE = 1.5, 2.0, 2.6, 5, 3.0, 0.4
SAME_MM = 9.0  # in two tiles
LEAST_SURE = 0.6  # of the finder, for a body to speak for its scan
LEAST_VERTEBRAE = 2  # of those, for a scan to be judged at all; the view score_refusal says the same
LEAST_INTACT = 0.3  # in units of HEIGHT_MM: what a share is taken of
QUIETEST, LOUDEST = -10.0, 10.0  # bounds of a scan's logit
# What of it is added to the LSTM's: on anatomy that it has never seen a reader may be sure of what is wrong, so it tips
# the scales and no more.
LEAST_ADDED, MOST_ADDED = -2.0, 1.0


@dataclass
class FoundBody:
    """A body as the finder has it. `patch`: (4, rows, cols) uint8, three means of the slices and the mask, upright."""

    tile: int
    row_mm: float  # from the slab's upper edge
    tilt: float  # radians
    sureness: float
    cells: NDArray[np.intp]  # (n, 2) rows and columns of its tile, in cells
    edge: int  # cells to the nearer edge of its tile
    heights: NDArray[np.float32]  # (3,) by the finder itself, in units of HEIGHT_MM
    patch: NDArray[np.uint8]
    read: NDArray[np.float32] = field(default_factory=lambda: np.zeros(N_READ, np.float32))  # by `BodyReader`

    @property
    def is_whole(self) -> bool:
        """Whether its tile shows all of it."""
        return self.edge > 0

    @property
    def may_speak(self) -> bool:
        """Whether it counts for its scan."""
        return self.is_whole and self.sureness > LEAST_SURE


class BodyNets(NamedTuple):
    """The three networks, in evaluation mode."""

    finder: BodyFinder
    reader: BodyReader
    neighbours: NeighbourReader

    def tensors(self) -> dict[str, Tensor]:
        """All of them under one name each, in half precision."""
        named = {
            f"{part}.{name}": value
            for part, net in self._asdict().items()
            for name, value in net.state_dict().items()
        }
        return {
            name: (value.half() if value.is_floating_point() else value).contiguous()
            for name, value in named.items()
        }


def body_nets(tensors: Mapping[str, Tensor]) -> BodyNets:
    """The networks that `BodyNets.tensors` came from."""
    nets = BodyNets(BodyFinder(), BodyReader(), NeighbourReader())
    for part, net in nets._asdict().items():
        own = {
            name.removeprefix(part + "."): value
            for name, value in tensors.items()
            if name.startswith(part + ".")
        }
        net.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in own.items()})
        net.eval().requires_grad_(False)
    return nets


@cache
def load_bodies(name: str) -> BodyNets:
    """The shipped reader of that name. Raises ModelError as `PartKind.read` does."""
    return body_nets(load_tensors(BODY_READERS.read(name)))


class VertebraReader:
    """Three networks, made ready for one device once, then used for any number of scans. Not for training."""

    def __init__(self, nets: BodyNets, device: torch.device) -> None:
        finder, reader, neighbours = copy.deepcopy(nets)
        self.nets = BodyNets(finder.to(device), reader.to(device), neighbours.to(device))

    def logit(self, scan: TiledImages) -> float | None:
        """How fractured the most suspicious body of a scan is; None where none is found. Pixels of `PIXEL_MM`."""
        return worst_logit(self.vertebrae(scan))

    def vertebrae(self, scan: TiledImages) -> list[tuple[FoundBody, float]]:
        """The bodies of a scan from head to foot, each with how fractured it is."""
        layers = tile_layers(scan.images_nhw, scan.tile_index)
        with _whole_fp32():
            bodies = find_bodies(self.nets.finder, layers, tile_tops(scan.tile_index, scan.top_row_mm))
            read_bodies(self.nets.reader, bodies)
            return with_logits(self.nets.neighbours, bodies)


def _whole_fp32() -> AbstractContextManager[None]:
    """Unless told, a GPU multiplies fp32 in convolutions with the ten bits of TF32."""
    now = torch.backends.cudnn
    kept = {"enabled": now.enabled, "benchmark": now.benchmark, "deterministic": now.deterministic}
    return now.flags(**kept, allow_tf32=False)


def reader_of(name: str, device: torch.device) -> VertebraReader:
    """The shipped reader of that name, on a device. Raises as `load_bodies` does."""
    return VertebraReader(load_bodies(name), device)


def tile_layers(images_nhw: NDArray[np.uint8], tile_index: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(tiles, 3, rows, cols): means of the right, middle and left third of each tile's slices."""
    layers = []
    for tile in np.unique(tile_index):
        own = images_nhw[tile_index == tile]
        layers.append([own[third].mean(axis=0, dtype=np.float32) for third in thirds(len(own))])
    return np.rint(np.array(layers)).astype(np.uint8)


def thirds(n: int) -> list[slice]:
    """Which of n slices make each layer; of one or two, some serve twice."""
    side = n // LAYERS
    return [slice(0, max(side, 1)), slice(side, n - side), slice(n - max(side, 1), n)]


def tile_tops(tile_index: NDArray[np.integer], top_row_mm: NDArray[np.floating]) -> NDArray[np.float32]:
    """(tiles,) how far each tile's upper edge lies from the slab's."""
    return np.array([top_row_mm[tile_index == tile][0] for tile in np.unique(tile_index)], np.float32)


# ---- the finder


def find_bodies(
    finder: BodyFinder, layers: NDArray[np.uint8], tops_mm: NDArray[np.float32]
) -> list[FoundBody]:
    """The bodies of a scan from head to foot; of one that stands in two tiles, the one farther from the edge.

    layers (tiles, 3, rows, cols), rows and cols multiples of 16.
    """
    found = [
        body
        for tile, (own, top_mm) in enumerate(zip(layers, tops_mm, strict=True))
        for body in _bodies_of_tile(finder, tile, own, float(top_mm))
    ]
    found.sort(key=lambda body: (body.row_mm, body.tile))
    merged: list[FoundBody] = []
    for body in found:
        if merged and body.tile != merged[-1].tile and body.row_mm - merged[-1].row_mm < SAME_MM:
            if body.edge > merged[-1].edge:
                merged[-1] = body
        else:
            merged.append(body)
    return merged


def device_of(net: nn.Module) -> torch.device:
    """Where a network's parameters are."""
    return next(net.parameters()).device


def normalised(pixels: Tensor) -> Tensor:
    """Grey values of 0…1 as the networks read them."""
    return (pixels - PIXEL_MEAN) / PIXEL_STD


def _bodies_of_tile(
    finder: BodyFinder, tile: int, layers: NDArray[np.uint8], top_mm: float
) -> list[FoundBody]:
    with torch.inference_mode():
        pixels = torch.from_numpy(layers).to(device_of(finder)).float()[:, None] / 255
        cells, mask = (said.cpu() for said in finder(normalised(pixels)))
        cells[:, BODY] = cells[:, BODY].sigmoid()
        said = cells.numpy()
        mask_of_tile = mask.sigmoid()[:, 0].numpy().mean(axis=0)
    groups = _groups(said)
    seen = [*layers.astype(np.float32), np.kron(mask_of_tile, np.ones((2, 2), np.float32)) * 255]
    middles = [group.middle for group in groups]
    bodies = []
    for number, group in enumerate(groups):
        tilt = _tilt(middles[max(number - 1, 0)], middles[min(number + 1, len(groups) - 1)])
        rows, cols = group.cells.T
        bodies.append(
            FoundBody(
                tile=tile,
                row_mm=top_mm + (float(group.middle[0]) + 0.5) * CELL_PX * PIXEL_MM,
                tilt=tilt,
                sureness=group.sureness,
                cells=group.cells,
                edge=int(min(rows.min(), said.shape[2] - 1 - rows.max())),
                heights=said[:, HEIGHTS][:, :, rows, cols].mean(axis=(0, 2)),
                patch=_upright(seen, group.middle, tilt),
            )
        )
    return bodies


def _tilt(above: NDArray[np.float64], below: NDArray[np.float64]) -> float:
    """How far the spine leans back between two middles, in radians; 0 between a body and itself."""
    down, back = below - above
    return float(np.arctan2(back, down)) if down > 0 else 0.0


class _Group(NamedTuple):
    middle: NDArray[np.float64]  # row and column, in cells
    cells: NDArray[np.intp]  # (n, 2)
    sureness: float


def _groups(said: NDArray[np.float32]) -> list[_Group]:
    """The bodies of a tile, from head to foot; (layers, N_SAID, rows, cols) in, BODY as a probability."""
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
        near = left & (apart[seed] < SEED_NEAR)
        middle = np.average(votes[near], axis=0, weights=trust[near])
        own = left & (np.hypot(*(votes - middle).T) < ONE_BODY)
        own[seed] = True
        left &= ~own
        if own.sum() >= LEAST_CELLS:
            groups.append(_Group(middle, cells[own], float(trust[own].mean())))
    return sorted(groups, key=lambda group: float(group.middle[0]))


def _upright(
    layers: Sequence[NDArray[np.floating]], middle: NDArray[np.float64], tilt: float
) -> NDArray[np.uint8]:
    """(layers, rows, cols) around a body's middle, its axis upright; 0 outside the tile."""
    shape = (PATCH_ROWS + 2 * MARGIN, PATCH_COLS + 2 * MARGIN)
    down, back = np.mgrid[: shape[0], : shape[1]] - (np.array(shape)[:, None, None] - 1) / 2
    row0, col0 = (middle + 0.5) * CELL_PX - 0.5
    rows = row0 + down * np.cos(tilt) - back * np.sin(tilt)
    cols = col0 + down * np.sin(tilt) + back * np.cos(tilt)
    cut = [map_coordinates(layer, [rows, cols], order=1, mode="constant") for layer in layers]
    return np.stack(cut).round().astype(np.uint8)


# ---- the readers


def read_bodies(reader: BodyReader, bodies: Sequence[FoundBody]) -> None:
    """Notes with every body what the reader says of it."""
    device = device_of(reader)
    with torch.inference_mode():
        for body in bodies:
            inner = body.patch[None, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
            pixels = torch.from_numpy(inner).to(device).float() / 255
            body.read = reader(patches_read(pixels))[0].cpu().numpy()


def patches_read(patches: Tensor) -> Tensor:
    """Patches (n, 4, rows, cols) of 0…1 as the reader takes them."""
    return torch.cat([normalised(patches[:, :LAYERS]), (patches[:, LAYERS:] - 0.5) * 2], dim=1)


def with_logits(net: NeighbourReader, bodies: Sequence[FoundBody]) -> list[tuple[FoundBody, float]]:
    """Each body of a scan with how fractured it is, its neighbours considered; bodies from head to foot, read."""
    with torch.inference_mode():
        windows = torch.from_numpy(windows_of(facts_of(bodies))).to(device_of(net))
        return [(body, float(net(window[None])[0, 0])) for body, window in zip(bodies, windows, strict=True)]


def heard(vertebrae: Sequence[tuple[FoundBody, float]]) -> tuple[FoundBody, float] | None:
    """The most suspicious of a scan's bodies that may speak, with its logit; None where none may."""
    return max((one for one in vertebrae if one[0].may_speak), key=lambda one: one[1], default=None)


def worst_logit(vertebrae: Sequence[tuple[FoundBody, float]]) -> float | None:
    """How fractured the body is that is heard, `QUIETEST` to `LOUDEST`.

    None where none is: that nothing was found says nothing about fractures.
    """
    loudest = heard(vertebrae)
    return None if loudest is None else min(max(loudest[1], QUIETEST), LOUDEST)


def shares(body_logit: float | None, weight: float) -> tuple[float, float]:
    """How often the LSTM's logit counts in a scan's, and what is added; where no body is heard, it speaks for both."""
    if body_logit is None:
        return 1.0 + weight, 0.0
    return 1.0, weight * min(max(body_logit, LEAST_ADDED), MOST_ADDED)


def facts_of(bodies: Sequence[FoundBody]) -> NDArray[np.float32]:
    """(n, N_FACTS) of a scan's bodies from head to foot; the last is 1."""
    facts = np.ones((len(bodies), N_FACTS), np.float32)
    rows_mm = np.array([body.row_mm for body in bodies])
    gaps = np.concatenate([[0.0], np.diff(rows_mm) / 35, [0.0]])
    for number, body in enumerate(bodies):
        kept = body.read[LEFT][:2] / np.maximum(body.read[INTACT][:2], LEAST_INTACT)
        place = (body.tilt * 2, body.sureness, len(body.cells) / 40, float(not body.is_whole))
        facts[number, :-1] = (*body.read, *body.heights, *kept, *place, *gaps[number : number + 2])
    return facts


def windows_of(facts: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 2 * NEIGHBOURS + 1, N_FACTS): each body with its neighbours, zeros beyond the ends."""
    padded = np.pad(facts, ((NEIGHBOURS, NEIGHBOURS), (0, 0)))
    n = 2 * NEIGHBOURS + 1
    return np.array([padded[first : first + n] for first in range(len(facts))]).reshape(-1, n, N_FACTS)
