"""Simulated scans, and twins of real ones, with their vertebral bodies marked in the images that a model reads."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.phantom_scans import HALF_WIDTH_MM, PIXEL_MM, DrawRequest, clear_case, largest_loss, view_of
from flows.process_pool import process_pool
from flows.real_scans import RealSource, make_missing
from flows.scan_cache import read_parts, write_parts
from flows.training_scans import labels_read, nearest
from models.bodies import thirds, tile_layers, tile_tops
from models.body_nets import CELL_PX
from models.body_training import FINE, BodyScan, BodyTruth
from models.config import SPINE_VIEW
from phantom.from_real import Twin
from phantom.slabs import PhantomSlab
from phantom.vertebrae.spine import LABEL_OF
from tasks.view import View


def twins_once(source: RealSource, pairs: int, seed: int, folder: Path) -> list[BodyScan]:
    """Twins and shams of a real scan; those that lie in `folder` are read, the others made and left there.

    The loss of the body that was lowered is known, those of the others are not.
    """
    paths = [folder / f"{source.name}-{seed}-{index}.npz" for index in range(2 * pairs)]

    def keep(index: int, twin: Twin) -> None:
        slab = twin.slab(pixel_mm=PIXEL_MM, half_width_mm=HALF_WIDTH_MM)
        own = {LABEL_OF.get(twin.level, 0)}
        write_body_scan(paths[index], marked(slab, source.name, known=own))

    make_missing(paths, source, seed, keep)
    return [read_body_scan(path) for path in paths]


def draw_body_scans_once(wanted: Sequence[DrawRequest], folder: Path, workers: int) -> Iterator[BodyScan]:
    """Training scans in order; those that lie in `folder` are read, the others drawn and left there."""
    folder.mkdir(parents=True, exist_ok=True)
    with process_pool(workers) as pool:
        yield from pool.map(functools.partial(_from_folder, folder), wanted, chunksize=8)


def _from_folder(folder: Path, request: DrawRequest) -> BodyScan:
    path = folder / f"{request.family}-{request.seed}-{int(request.has_fracture)}.npz"
    if not path.exists():
        write_body_scan(path, marked(clear_case(request), request.family))
    return read_body_scan(path)


_FACTS = ("family", "is_positive", "largest_loss", "is_all_marked")
_ARRAYS = ("layers", "tops_mm", "labels", "share")


def write_body_scan(path: Path, scan: BodyScan) -> None:
    """Keep a scan whose bodies were not looked for yet."""
    facts = {name: getattr(scan, name) for name in _FACTS}
    facts["truths"] = {label: asdict(truth) for label, truth in scan.truths.items()}
    write_parts(path, facts, {name: getattr(scan, name) for name in _ARRAYS}, is_small=True)


def read_body_scan(path: Path) -> BodyScan:
    """The scan that `write_body_scan` kept."""
    facts, arrays = read_parts(path)
    truths = {
        int(label): BodyTruth(
            tuple(told["heights_mm"]), tuple(told["intact_mm"]), told["loss"], told["is_visible"]
        )
        for label, told in facts.pop("truths").items()
    }
    return BodyScan(**facts, **arrays, truths=truths)


def marked(slab: PhantomSlab, family: str, known: Collection[int] | None = None) -> BodyScan:
    """The layers of a slab's tiles, by the view of new models, with the bodies in the same pixels.

    `known`: labels of the bodies whose losses are known, of a real scan; None: all.
    """
    view = view_of(slab, SPINE_VIEW)
    layers = tile_layers(view.images_nhw, view.tile_index)
    rows, cols = layers.shape[2:]
    labels, share = [], []
    for tile in np.unique(view.tile_index):
        own = np.flatnonzero(view.tile_index == tile)
        middles = np.array([own[third][len(own[third]) // 2] for third in thirds(len(own))])
        read = labels_read(slab, view.slice_index[middles].astype(int), view.midline_mm)
        labels.append(_in_tile(read, slab.pixel_mm, view, middles[0], CELL_PX))
        fine = _in_tile(read, slab.pixel_mm, view, middles[0], 1 / FINE) > 0
        share.append(fine.reshape(-1, rows, FINE, cols, FINE).sum((2, 4)).astype(np.uint8))
    truths = {
        body.label: BodyTruth(
            (body.anterior_mm, body.middle_mm, body.posterior_mm),
            body.intact_mm,
            body.loss if known is None or body.label in known else None,
            body.is_visible,
        )
        for body in slab.vertebrae
    }
    return BodyScan(
        family=family,
        is_positive=slab.has_fracture,
        largest_loss=largest_loss(slab),
        layers=layers,
        tops_mm=tile_tops(view.tile_index, view.top_row_mm),
        labels=np.stack(labels),
        share=np.stack(share),
        truths=truths,
        is_all_marked=known is None,
    )


def _in_tile(
    labels: NDArray[np.uint8], pixel_mm: float, view: View, image: int, step_px: float
) -> NDArray[np.uint8]:
    """Labels (slices, rows, cols) of a slab at the middles of cells of `step_px` of an image's pixels."""
    at = []
    for n, start_mm in zip(
        view.images_nhw.shape[1:], (view.top_row_mm[image], view.left_col_mm[image]), strict=True
    ):
        middles_px = (np.arange(round(n / step_px)) + 0.5) * step_px
        at.append((middles_px * view.pixel_mm + float(start_mm)) / pixel_mm - 0.5)
    return nearest(labels, *at)
