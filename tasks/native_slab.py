"""Takes a native sagittal series as it is: its own slices around the spine's midline, on square 0.8 mm pixels.

Returns the voxels and the place of the first one. Nothing is stretched and no slice is made up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks import volume
from tasks.body import block_mean, find_trunk, is_in_hu, sampled_indices
from tasks.continuity import check_slices
from tasks.decode import FrameReader, Image
from tasks.plan import SeriesPlan
from tasks.recipe import SlabRecipe
from tasks.rejected import SlabRejected
from tasks.spine import ROW_CAP_MM, block_mm_of, bone_blocks, column_bone_mm
from tasks.volume import Float

LEAST_SLICES = 5  # kept near the midline where there are that many (method.md)
NEAR_MM = 10.0
MOST_LOOKED_AT = 41  # slices read to find the midline
# Slices with at least this share of the most bone show the vertebral bodies.
COLUMN_SHARE = 0.6
MAX_SIDE_MM = 2500.0
COARSE_MM = 4.0
# The trunk of a thin adult is deeper than this (chest depth, 5th percentile of women: 174 mm, NASA-STD-3000); a
# knee or a neck is not.
LEAST_DEPTH_MM = 150.0


@dataclass(frozen=True, slots=True)
class NativeStack:
    """The slices kept, with the place of the first voxel and what was seen."""

    slab_xzy_hu: Image
    x_mm: Float  # of the middle of each slice, rising: right to left
    y_mm: Float  # of the columns
    z_mm: Float  # of the rows, falling
    slice_spacing_mm: float


def resample_native(plan: SeriesPlan, reader: FrameReader, recipe: SlabRecipe) -> NativeStack:
    """The slab of a sagittal plan. Raises SlabRejected, OSError."""
    axes = volume.plane_axes(plan, across=1)
    sheet = _Sheet(plan, axes, recipe)
    order = np.argsort(sheet.x_mm, kind="stable")  # right to left
    looked_at = [int(order[k]) for k in sampled_indices(len(order), MOST_LOOKED_AT)]
    images = {index: sheet.resampled(reader, index) for index in looked_at}
    midline = _midline_of(images, sheet.x_mm, recipe.pixel_mm)
    spacing = plan.slice_spacing_mm or plan.slice_thickness_mm or recipe.slice_mm
    kept = order[choose_slices(sheet.x_mm[order], midline, spacing, recipe.half_width_mm)]
    stack = np.stack([images[k] if k in images else sheet.resampled(reader, int(k)) for k in kept])
    check_slices(stack)
    columns = _body_columns(stack[len(stack) // 2], recipe)
    return NativeStack(
        stack[:, :, columns], sheet.x_mm[kept], sheet.y_mm[columns], sheet.z_mm, float(spacing)
    )


class _Sheet:
    """The common grid of all slices: in-plane axes of the images themselves, turned to front → back, head → foot."""

    def __init__(self, plan: SeriesPlan, axes: volume.PlaneAxes, recipe: SlabRecipe) -> None:
        self._plan, self._axes, self._recipe = plan, axes, recipe
        position = volume.positions_mm(plan)
        centre = (
            axes.u * axes.u_spacing_mm * (axes.n_u - 1) / 2 + axes.v * axes.v_spacing_mm * (axes.n_v - 1) / 2
        )
        self.x_mm: Float = (position + centre)[:, 0]
        back = axes.u * np.sign(axes.u[1])  # unit vectors in plane: to the back, to the head
        head = axes.v * np.sign(axes.v[2])
        origin = position[len(position) // 2]
        self._first_y = origin[1] + (position - origin) @ back
        self._first_z = origin[2] + (position - origin) @ head
        self._u_steps = np.arange(axes.n_u) * axes.u_spacing_mm * np.sign(axes.u[1])
        self._v_steps = np.arange(axes.n_v) * axes.v_spacing_mm * np.sign(axes.v[2])
        self.y_mm = self._grid(self._first_y, self._u_steps)
        self.z_mm = self._grid(self._first_z, self._v_steps)[::-1]

    def _grid(self, first_mm: Float, steps_mm: Float) -> Float:
        low, high = first_mm.min() + steps_mm.min(), first_mm.max() + steps_mm.max()
        if high - low > MAX_SIDE_MM:
            raise SlabRejected("dims")
        return volume.grid_mm(float(low), float(high), self._recipe.pixel_mm)

    def resampled(self, reader: FrameReader, index: int) -> Image:
        """One slice on the common grid, (rows, columns)."""
        image = reader.read_hu(self._plan.slices[index])
        image = image.T if self._axes.is_transposed else image
        step = self._recipe.pixel_mm
        to_z = volume.line_weights(self._first_z[index] + self._v_steps, self.z_mm, step)
        to_y = volume.line_weights(self._first_y[index] + self._u_steps, self.y_mm, step)
        return volume.resample(to_y, volume.resample(to_z, image).T).T


def _midline_of(images: dict[int, Image], x_mm: Float, pixel_mm: float) -> float:
    """x of the middle of the slices with the most bone in their column; the middle of all without bone."""
    places = np.asarray([x_mm[index] for index in images])
    block_mm = block_mm_of(pixel_mm)
    amount = np.asarray(
        [
            np.minimum(column_bone_mm(bone_blocks(image[None], pixel_mm), block_mm), ROW_CAP_MM).sum()
            for image in images.values()
        ]
    )
    if amount.max() <= 0:
        return float(np.median(places))
    return float(np.median(places[amount >= COLUMN_SHARE * amount.max()]))


def choose_slices(
    x_mm: Float, midline_mm: float, spacing_mm: float, half_width_mm: float
) -> NDArray[np.intp]:
    """Indices of the slices kept: evenly around the one nearest to the midline, within half_width_mm.

    At least the five nearest ones, where there are that many within 10 mm, even if that is uneven.
    """
    away = np.abs(x_mm - midline_mm)
    middle = int(away.argmin())
    reach = min(middle, len(x_mm) - 1 - middle, int(half_width_mm / max(spacing_mm, 0.1) + 1e-6))
    even = np.arange(middle - reach, middle + reach + 1)
    near = np.flatnonzero(away <= NEAR_MM)
    if len(even) >= LEAST_SLICES or len(near) <= len(even):
        return even
    return np.sort(near[np.argsort(away[near], kind="stable")[:LEAST_SLICES]])


def _body_columns(image: Image, recipe: SlabRecipe) -> slice:
    """The columns of the body with the recipe's margin. SlabRejected when there is none, or no trunk."""
    step = max(1, round(COARSE_MM / recipe.pixel_mm))
    coarse = block_mean(image, (step, step))
    found = find_trunk(coarse, (step * recipe.pixel_mm, step * recipe.pixel_mm)) if coarse.size else None
    if found is None:
        raise SlabRejected("qc_hu_range")
    trunk = found[0]
    if not is_in_hu(coarse, trunk, recipe.pixel_mm * min(image.shape)):
        raise SlabRejected("qc_hu_range")
    depth_mm = trunk.sum(axis=1)[trunk.any(axis=1)] * step * recipe.pixel_mm
    columns = np.flatnonzero(trunk.any(axis=0))
    is_whole = columns[0] > 0 and columns[-1] < trunk.shape[1] - 1  # skin in front and behind
    if is_whole and np.quantile(depth_mm, 0.75) < LEAST_DEPTH_MM:
        raise SlabRejected("not_evaluable:no_spine")
    margin = round(recipe.margin_mm / recipe.pixel_mm)
    first, end = max(0, columns[0] * step - margin), min(image.shape[1], (columns[-1] + 1) * step + margin)
    return slice(int(first), int(end))
