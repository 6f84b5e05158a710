"""Takes one slab and a recipe, returns the images that a model reads; reads no files.

A slab is `slab_xzy_hu`, (n_slices, rows, cols) in HU: slices from the patient's right to left, rows from head
to foot, columns from front to back, square pixels in plane. Its slices lie evenly around its middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.config import ViewRecipe
from tasks.midline import find_midline_mm, straighten

AIR_HU = -1024.0
# Bone, for finding the spine only: nothing below counts, all of it counts from the upper end on. Osteoporotic
# trabecular bone may be under 100 HU, but the cortex of a 3 mm slice stays above.
BONE_LOW_HU, BONE_FULL_HU = 120.0, 300.0
# A vertebral body is 25-40 mm deep; the spinous processes behind it fill the window.
SPINE_WINDOW_MM = 50.0
# Bone in one row beyond this many mm adds nothing: a hip or a full bowel must not outweigh a long column.
ROW_BONE_CAP_MM = 10.0
# The processes behind the bodies pull the window back by about this much (24 simulated spines: 10-30 mm).
BODIES_IN_FRONT_MM = 20.0
# How far (one sigma) the spine of one stretch may lie from the whole column's: kyphosis and lordosis.
STRAY_MM = 70.0
# Slices that the place of the bodies is looked for in.
LEAST_SLICES = 5
# Stretches of the spine whose depth is looked for by itself, for the midline.
STRETCH_MM = 160.0
# Pixels of `whole_view` where the recipe has no size of its own.
WHOLE_PIXEL_MM = 1.25
# The window's middle, in mm, is at the middle of the body's depth when no bone is found.
MIN_BONE_SCORE = 0.02


@dataclass(frozen=True)
class View:
    """The images of one scan, from head to foot by tile and, within a tile, from right to left by slice."""

    images_nhw: NDArray[np.uint8]  # (n, tile_rows, tile_cols), the HU window as 0…255
    slice_index: NDArray[np.int16]  # (n,) which slice of the slab
    tile_index: NDArray[np.int16]  # (n,) which tile down the spine
    top_row_mm: NDArray[np.float32]  # (n,) of the image's upper edge, from the slab's upper edge
    left_col_mm: NDArray[np.float32]  # (n,) of its front edge, from the slab's front edge; negative: padding
    pixel_mm: float  # side of one pixel
    # (rows of the slab,) how far to the patient's left of its place in the slab a slice is read; None: it is read there
    midline_mm: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Corner:
    """Upper front corner of a tile, in mm from the slab's; negative: padding."""

    top_mm: float
    left_mm: float


def make_view(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    *,
    pixel_mm: float,
    slice_spacing_mm: float,
    lateral_extent_mm: float | None,
    recipe: ViewRecipe,
) -> View:
    """Cut one slab into the images that `recipe` asks for. ValueError on an empty slab or no pixel size."""
    _check(slab_xzy_hu, pixel_mm, slice_spacing_mm)
    midline_mm = midline_of(slab_xzy_hu, pixel_mm, slice_spacing_mm, recipe)
    n_left_out = 0  # on either side: what no view reads
    if midline_mm is not None:
        n_left_out = _beyond(len(slab_xzy_hu), slice_spacing_mm, recipe.max_half_mm)
        kept = np.arange(n_left_out, len(slab_xzy_hu) - n_left_out)
        slab_xzy_hu = slices_read(slab_xzy_hu, kept, midline_mm, slice_spacing_mm)
    frame = _whole_frame if recipe.kind == "whole" else _tile_frame
    out_mm, corners = frame(slab_xzy_hu, pixel_mm, recipe)
    slices = central_slices(len(slab_xzy_hu), slice_spacing_mm, lateral_extent_mm, recipe, len(corners))
    chosen = slab_xzy_hu[slices].astype(np.float32)
    tiles = [_cut_tile(chosen, corner, pixel_mm, out_mm, recipe) for corner in corners]
    n_slices, n_tiles = len(slices), len(corners)
    return View(
        images_nhw=to_window(np.concatenate(tiles), recipe),
        slice_index=np.tile(slices + n_left_out, n_tiles).astype(np.int16),
        tile_index=np.repeat(np.arange(n_tiles), n_slices).astype(np.int16),
        top_row_mm=np.repeat(np.array([c.top_mm for c in corners], np.float32), n_slices),
        left_col_mm=np.repeat(np.array([c.left_mm for c in corners], np.float32), n_slices),
        pixel_mm=out_mm,
        midline_mm=midline_mm,
    )


def from_middle_mm(n_slices: int, slice_spacing_mm: float) -> NDArray[np.float64]:
    """How far each slice lies from the slab's middle, on whichever side."""
    return np.asarray(np.abs(np.arange(n_slices) - (n_slices - 1) / 2) * slice_spacing_mm, np.float64)


def _beyond(n_slices: int, slice_spacing_mm: float, half_mm: float) -> int:
    """How many of the outer slices, on either side, lie farther from the middle than `half_mm`; five stay at least."""
    offset_mm = from_middle_mm(n_slices, slice_spacing_mm)
    return min(int((offset_mm > half_mm + 1e-6).sum()) // 2, max(0, (n_slices - LEAST_SLICES) // 2))


def midline_of(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    pixel_mm: float,
    slice_spacing_mm: float,
    recipe: ViewRecipe,
) -> NDArray[np.float32] | None:
    """(rows,) how far to the left a recipe's slices are read, None where they stay in the middle."""
    if not recipe.midline:
        return None
    column_mm = spine_column_mm(slab_xzy_hu, pixel_mm)
    return find_midline_mm(slab_xzy_hu, pixel_mm, slice_spacing_mm, column_mm, recipe.midline)


def slices_read(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    slices: Sequence[int] | NDArray[np.integer],
    midline_mm: NDArray[np.float32] | None,
    slice_spacing_mm: float,
) -> NDArray[np.floating] | NDArray[np.integer]:
    """Slices of a slab (n, rows, cols) as a view reads them: along its midline, where it follows one."""
    if midline_mm is None:
        return np.asarray(slab_xzy_hu[np.asarray(slices)])
    return straighten(slab_xzy_hu, np.asarray(slices), midline_mm, slice_spacing_mm)


def whole_view(
    slices_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    pixel_mm: float,
    slice_spacing_mm: float,
    recipe: ViewRecipe,
) -> View:
    """All of some slices in one image each, over the whole coverage, at the recipe's pixel size: for training."""
    out_mm = recipe.pixel_mm or WHOLE_PIXEL_MM
    rows, cols = (math.ceil(n * pixel_mm / out_mm) for n in slices_xzy_hu.shape[1:])
    whole = replace(
        recipe,
        kind="tiles",
        midline="",  # the slices follow it already
        pixel_mm=out_mm,
        tile_rows=rows,
        tile_cols=cols,
        fallback_half_mm=math.inf,
        min_slices=len(slices_xzy_hu),
    )
    return make_view(
        slices_xzy_hu,
        pixel_mm=pixel_mm,
        slice_spacing_mm=slice_spacing_mm,
        lateral_extent_mm=None,
        recipe=whole,
    )


def _cut_tile(
    slices_xzy_hu: NDArray[np.float32], corner: Corner, pixel_mm: float, out_mm: float, recipe: ViewRecipe
) -> NDArray[np.float32]:
    step = out_mm / pixel_mm
    rows = _resample(slices_xzy_hu, 1, corner.top_mm / pixel_mm, step, recipe.tile_rows)
    return _resample(rows, 2, corner.left_mm / pixel_mm, step, recipe.tile_cols)


def to_window(image_hu: NDArray[np.floating], recipe: ViewRecipe) -> NDArray[np.uint8]:
    """HU of any shape → 0…255 over the recipe's window, rounded to nearest."""
    scaled = (image_hu - recipe.hu_low) * (255.0 / (recipe.hu_high - recipe.hu_low))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def central_slices(
    n_slices: int,
    slice_spacing_mm: float,
    lateral_extent_mm: float | None,
    recipe: ViewRecipe,
    n_tiles: int = 1,
) -> NDArray[np.intp]:
    """Indices of the slices a model reads, first to last: those whose middle is in the central share.

    Without a lateral extent: within the recipe's fallback of the slab's middle. Never empty.
    """
    half_mm = recipe.fallback_half_mm
    if lateral_extent_mm is not None:
        half_mm = lateral_extent_mm * recipe.central_share / 2
        half_mm = min(max(half_mm, recipe.min_half_mm), recipe.max_half_mm)
    offset_mm = from_middle_mm(n_slices, slice_spacing_mm)
    room = max(recipe.max_images // n_tiles, recipe.min_slices)
    n_wanted = min(max(int((offset_mm <= half_mm + 1e-6).sum()), 1), room)
    return np.sort(np.argsort(offset_mm, kind="stable")[:n_wanted])


def find_spine_col_mm(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer],
    pixel_mm: float,
    tops_mm: Sequence[float] = (0.0,),
    height_mm: float = math.inf,
) -> list[float]:
    """Distance of the bodies from the slab's front edge, for each stretch of `height_mm` from `tops_mm` on.

    The spine is the window of 50 mm in which the most rows hold bone; long beats thick, so that a hip, a full
    bowel, a calcified aorta or the table do not win. Within a stretch it is looked for near where the whole
    column has it. Without bone: the middle of the slab.
    """
    held = _bone_in_window(_bone_per_pixel(slab_xzy_hu), pixel_mm)  # (rows, cols), 0…1
    whole = held.mean(axis=0)
    if whole.max(initial=0.0) < MIN_BONE_SCORE:
        return [slab_xzy_hu.shape[2] * pixel_mm / 2 for _ in tops_mm]
    where_mm = (np.arange(len(whole), dtype=np.float64) + 0.5) * pixel_mm
    nearness = np.asarray(np.exp(-0.5 * ((where_mm - _peak(whole, where_mm)) / STRAY_MM) ** 2), np.float64)
    found = []
    for top_mm in tops_mm:
        rows = held[max(0, round(top_mm / pixel_mm)) :][: max(1, round(min(height_mm, 1e6) / pixel_mm))]
        score = rows.mean(axis=0)
        has_bone = score.max(initial=0.0) >= MIN_BONE_SCORE
        found.append(_peak(score * nearness if has_bone else whole, where_mm) - BODIES_IN_FRONT_MM)
    return found


def spine_column_mm(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float
) -> NDArray[np.float64]:
    """(rows,) how far the bodies lie from the slab's front edge, from overlapping stretches down the spine."""
    height_mm = slab_xzy_hu.shape[1] * pixel_mm
    tops = np.arange(0.0, max(height_mm - STRETCH_MM, 0.0) + 1e-6, STRETCH_MM / 4)
    found = find_spine_col_mm(slab_xzy_hu, pixel_mm, [float(top) for top in tops], STRETCH_MM)
    rows_mm = (np.arange(slab_xzy_hu.shape[1]) + 0.5) * pixel_mm
    return np.asarray(np.interp(rows_mm, tops + min(STRETCH_MM, height_mm) / 2, found), np.float64)


def _peak(score: NDArray[np.float64], where_mm: NDArray[np.float64]) -> float:
    """The middle of the highest plateau."""
    return float(where_mm[score >= score.max() * 0.98].mean())


def _bone_in_window(bone: NDArray[np.float32], pixel_mm: float) -> NDArray[np.float64]:
    """Bone within 50 mm around each column, row by row, as a share of the most that counts."""
    width = max(1, round(SPINE_WINDOW_MM / pixel_mm))
    padded = np.pad(bone, ((0, 0), (width // 2 + 1, width - width // 2 - 1)))
    sums = np.cumsum(padded, axis=1, dtype=np.float64)
    in_window_mm = (sums[:, width:] - sums[:, :-width]) * pixel_mm  # (rows, cols)
    return np.asarray(np.minimum(in_window_mm, ROW_BONE_CAP_MM) / ROW_BONE_CAP_MM)


def _bone_per_pixel(slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float32]:
    middle = len(slab_xzy_hu) // 2
    near = slab_xzy_hu[max(0, middle - LEAST_SLICES // 2) : middle + LEAST_SLICES // 2 + 1].astype(np.float32)
    bone = np.clip((near - BONE_LOW_HU) / (BONE_FULL_HU - BONE_LOW_HU), 0, 1)
    return np.asarray(bone.mean(axis=0), np.float32)


def _check(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float, slice_spacing_mm: float
) -> None:
    if slab_xzy_hu.ndim != 3 or 0 in slab_xzy_hu.shape:
        raise ValueError("a slab has slices, rows and columns, and none of them is empty")
    if not (math.isfinite(pixel_mm) and pixel_mm > 0 and math.isfinite(slice_spacing_mm)):
        raise ValueError("pixel size and slice spacing are positive millimetres")
    if slice_spacing_mm <= 0:
        raise ValueError("pixel size and slice spacing are positive millimetres")


def _whole_frame(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float, recipe: ViewRecipe
) -> tuple[float, list[Corner]]:
    """The whole coverage in one square, padded on the shorter side, never stretched."""
    height_mm, depth_mm = (size * pixel_mm for size in slab_xzy_hu.shape[1:])
    side_mm = max(height_mm, depth_mm)
    return side_mm / recipe.tile_rows, [Corner((height_mm - side_mm) / 2, (depth_mm - side_mm) / 2)]


def _tile_frame(
    slab_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float, recipe: ViewRecipe
) -> tuple[float, list[Corner]]:
    """Overlapping tiles of one pixel size down the spine, evenly spaced, each around its own spine."""
    if recipe.pixel_mm is None:
        raise ValueError("a tiled view needs a pixel size")
    tile_mm = recipe.tile_rows * recipe.pixel_mm
    spare_mm = slab_xzy_hu.shape[1] * pixel_mm - tile_mm
    tops = [spare_mm / 2]  # centred, where one tile holds it all
    if spare_mm > 0:
        n_tiles = math.ceil(spare_mm / (recipe.tile_stride * recipe.pixel_mm)) + 1
        n_tiles = min(n_tiles, max(2, recipe.max_images // recipe.min_slices))
        tops = [float(top) for top in np.linspace(0, spare_mm, n_tiles)]
    middles = find_spine_col_mm(slab_xzy_hu, pixel_mm, tops, tile_mm)
    half_mm = recipe.tile_cols * recipe.pixel_mm / 2
    return recipe.pixel_mm, [Corner(top, col - half_mm) for top, col in zip(tops, middles, strict=True)]


def _resample(
    volume: NDArray[np.float32], axis: int, start: float, step: float, n_out: int
) -> NDArray[np.float32]:
    """Sample `axis` at pixels of `step` old pixels from `start` on, through a triangle wide enough.

    The triangle reaches one new pixel to each side (one old one when enlarging), so that nothing aliases.
    Outside is air. Sums run in a fixed order: one slab gives the same bytes whatever the thread count.
    """
    half = max(step, 1.0)
    centre = start + (np.arange(n_out) + 0.5) * step - 0.5  # in old pixel indices
    first = np.floor(centre - half).astype(np.int64) + 1
    n_taps = math.ceil(2 * half)
    weights = np.stack([half - np.abs(first + k - centre) for k in range(n_taps)]).clip(min=0)
    weights = (weights / weights.sum(axis=0)).astype(np.float32)  # (taps, n_out)
    moved = np.moveaxis(volume, axis, 0)
    shape = (n_out, *(1 for _ in moved.shape[1:]))
    total = np.zeros((n_out, *moved.shape[1:]), np.float32)
    for k in range(n_taps):
        index = first + k
        inside = (index >= 0) & (index < len(moved))
        rows = moved[index.clip(0, len(moved) - 1)]
        rows[~inside] = AIR_HU
        total += weights[k].reshape(shape) * rows
    return np.moveaxis(total, 0, axis)
