"""The slabs of a cohort as training sees them: read from the warehouse's files, cut by the model's own view.

Never reads the archive. A slab that cannot be read is counted, not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.process_pool import map_in_order
from models.config import ViewRecipe
from models.dataset import SequenceScan, TrainingScan
from tasks.jpeg2000 import SlabFileError, read_slab
from tasks.shard_work import kept_slab_path
from tasks.slab import Slab, view_of
from tasks.view import View, central_slices, find_spine_col_mm, slices_read, whole_view

# Slices kept for the extractor: the central ones (about 0.2 MB each in memory, over a chest and abdomen).
EXTRACTOR_SLICES = 5
CENTRE_EVERY_MM = 20.0  # where along the spine its middle is looked for
POOL_CHUNK = 4


@dataclass(frozen=True, slots=True)
class SlabOrder:
    """One slab to be read."""

    patient_key: str
    is_case: bool
    path: Path
    view: ViewRecipe
    is_for_extractor: bool


@dataclass(frozen=True, slots=True)
class CohortImages:
    """What training reads of one scan."""

    sequence: SequenceScan
    training: TrainingScan | None  # None unless it was asked for


def slab_order(
    directory: Path,
    series: tuple[str, str],
    who: tuple[str, bool],
    view: ViewRecipe,
    *,
    is_for_extractor: bool,
) -> SlabOrder:
    """`series`: key and revision; `who`: patient and whether a case."""
    return SlabOrder(*who, kept_slab_path(directory, *series), view, is_for_extractor)


def read_images(orders: Sequence[SlabOrder], workers: int) -> Iterator[CohortImages | None]:
    """Read and cut the slabs, in order, in `workers` processes; None where a file is no slab any more."""
    return map_in_order(read_one, orders, workers, chunksize=POOL_CHUNK)


def read_one(order: SlabOrder) -> CohortImages | None:
    """Read and cut one slab."""
    try:
        slab = read_slab(order.path)
        view = view_of(slab, order.view)
    except (SlabFileError, OSError, ValueError):
        return None
    name = order.patient_key
    training = _training_scan(slab, order, view) if order.is_for_extractor else None
    return CohortImages(SequenceScan.of(name, order.is_case, view), training)


def _training_scan(slab: Slab, order: SlabOrder, view: View) -> TrainingScan:
    """The central slices over the whole coverage at the view's pixel size, and where the spine is in them."""
    if order.view.kind == "whole":
        images = view.images_nhw
        centres = np.full(images.shape[1], images.shape[2] / 2, np.float32)
    else:
        images, centres = _columns(slab, order.view, view.midline_mm)
    return TrainingScan(order.patient_key, order.is_case, images, centres)


def _columns(
    slab: Slab, recipe: ViewRecipe, midline_mm: NDArray[np.float32] | None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """images (slices, rows, cols) and the column of the spine's middle in each row, in pixels."""
    record = slab.record
    wanted = replace(recipe, min_slices=EXTRACTOR_SLICES, max_bytes=0)
    chosen = central_slices(record.n_slices, record.slice_spacing_mm, record.lateral_extent_mm, wanted)[
        :EXTRACTOR_SLICES
    ]
    near = slices_read(slab.slab_xzy_hu, chosen, midline_mm, record.slice_spacing_mm)
    images = whole_view(near, record.pixel_mm, record.slice_spacing_mm, recipe)
    pixel_mm, rows = images.pixel_mm, images.images_nhw.shape[1]
    tile_mm = recipe.tile_rows * pixel_mm
    at_mm = np.arange(0.0, rows * pixel_mm, CENTRE_EVERY_MM)
    found_mm = find_spine_col_mm(near, record.pixel_mm, [at - tile_mm / 2 for at in at_mm], tile_mm)
    at_row_mm = (np.arange(rows) + 0.5) * pixel_mm
    middle_mm = np.interp(at_row_mm, at_mm, found_mm) - float(images.left_col_mm[0])
    return images.images_nhw, (middle_mm / pixel_mm).astype(np.float32)
