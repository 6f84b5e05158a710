"""Small pictures of stored slabs: one sagittal slice in the window of bone, as PNG. No name and no text in them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from estimates.reader_study import ReadScan
from models.config import VIEW_RECIPES
from tasks.jpeg2000 import SlabFileError, read_slab
from tasks.shard_work import kept_slab_path
from tasks.view import midline_of, slices_read

LOW_HU, HIGH_HU = -200.0, 1000.0  # of the published window
REDUCE = 1  # half of the stored resolution: 1.6 mm a pixel
MOST_PICTURES = 200  # about 30 kB each: more would make a page that no browser likes


def slab_png(path: Path, slice_index: int, view_recipe: str | None = None) -> bytes:
    """One slice of a slab as that view reads it, head up and front to the left. Raises SlabFileError, OSError."""
    slab = read_slab(path, reduce=REDUCE)
    hu, spacing_mm = slab.slab_xzy_hu, slab.record.slice_spacing_mm
    recipe = VIEW_RECIPES.get(view_recipe or "")
    midline_mm = midline_of(hu, slab.record.pixel_mm, spacing_mm, recipe) if recipe else None
    [image] = slices_read(hu, [min(slice_index, len(hu) - 1)], midline_mm, spacing_mm)
    grey = np.clip((image - LOW_HU) / (HIGH_HU - LOW_HU) * 255, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def thumbnails_of(scans: Iterable[ReadScan], slab_directory: Path) -> dict[str, bytes]:
    """Study → picture, of the first ones that have a slab."""
    found: dict[str, bytes] = {}
    for scan in scans:
        if scan.series is None or scan.slice_index is None or len(found) >= MOST_PICTURES:
            continue
        try:
            found[scan.study_key] = slab_png(
                kept_slab_path(slab_directory, *scan.series), scan.slice_index, scan.view_recipe
            )
        except (SlabFileError, OSError):
            continue  # the page says that there is none
    return found
