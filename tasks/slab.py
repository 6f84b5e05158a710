"""Takes one `SeriesPlan` and a source, returns one `Slab`: the middle of the patient as sagittal slices.

Axial stacks are resampled: 21 slices of 3 mm mean over ±30 mm, 0.8 mm pixels, rows from head to foot, columns from
front to back, slices from the patient's right to left. Native sagittal series keep their own slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks import volume
from tasks.body import BodySlice, find_body, median_of, sampled_indices
from tasks.decode import AIR_HU, FrameReader, Image, PixelSource, SlabRejected, Window
from tasks.plan import SeriesPlan
from warehouse.records import SlabRecord

STORAGE_RECIPE = "sag21-3mm-0p8mm-j2k10"


@dataclass(frozen=True, slots=True)
class SlabRecipe:
    """What a slab is to be. Another recipe needs another name."""

    name: str = STORAGE_RECIPE
    pixel_mm: float = 0.8
    slice_mm: float = 3.0  # thickness and distance of the slices
    half_width_mm: float = 30.0  # first and last slice centre from the middle
    margin_mm: float = 12.0  # air kept in front of and behind the body
    n_body_slices: int = 9  # full slices that are looked at to find the body

    @property
    def n_slices(self) -> int:
        return 2 * round(self.half_width_mm / self.slice_mm) + 1


DEFAULT_RECIPE = SlabRecipe()


@dataclass(frozen=True, slots=True)
class Slab:
    """The slab of one series and where it lies."""

    slab_xzy_hu: NDArray[np.int16]  # (n_slices, rows, columns): right → left, head → foot, front → back
    record: SlabRecord


def build_slab(plan: SeriesPlan, source: PixelSource, *, recipe: SlabRecipe = DEFAULT_RECIPE) -> Slab:
    """Read a series and return its slab. Raises SlabRejected with a reason code, or OSError."""
    reader = FrameReader(plan, source)
    axes = volume.plane_axes(plan, across=0)
    position = volume.positions_mm(plan)
    body = [_body_of(reader, plan, axes, k) for k in sampled_indices(len(plan.slices), recipe.n_body_slices)]
    found = [item for item in body if item is not None]
    if not found:
        raise SlabRejected("qc_hu_range")
    middle = median_of([(item.left_mm + item.right_mm) / 2 for item in found])
    extent = median_of([item.left_mm - item.right_mm for item in found])
    front = min(item.front_mm for item in found) - recipe.margin_mm
    back = max(item.back_mm for item in found) + recipe.margin_mm
    y_mm = volume.grid_mm(front, back, recipe.pixel_mm)
    z_mm = volume.grid_mm(position[:, 2].min(), position[:, 2].max(), recipe.pixel_mm)[::-1]
    stack = _middle_columns(reader, plan, axes, position, middle, y_mm, recipe)
    order = np.argsort(position[:, 2])
    weights = volume.line_weights(position[order, 2], z_mm, recipe.pixel_mm)
    flat = stack[order].reshape(len(order), -1)
    slab = (weights @ flat).reshape(len(z_mm), recipe.n_slices, len(y_mm)).transpose(1, 0, 2)
    record = SlabRecord(
        plan.series_key,
        plan.series_revision,
        recipe.name,
        recipe.n_slices,
        len(z_mm),
        len(y_mm),
        recipe.pixel_mm,
        recipe.slice_mm,
        middle,
        float(z_mm[0]),
        float(y_mm[0]),
        extent,
        "skin",
        None,
        None,
        False,
    )
    return Slab(np.rint(slab).astype(np.int16), record)


def _body_of(reader: FrameReader, plan: SeriesPlan, axes: volume.PlaneAxes, index: int) -> BodySlice | None:
    image = reader.read_hu(plan.slices[index])
    image = image.T if axes.is_transposed else image
    found = find_body(image, (axes.v_spacing_mm, axes.u_spacing_mm))
    if found is None:
        return None
    mask, block = found
    v, u = np.nonzero(mask)
    origin = np.asarray(plan.slices[index].position_mm)
    x = origin[0] + (u + 0.5) * block[1] * axes.u_spacing_mm * axes.u[0]
    y = origin[1] + (v + 0.5) * block[0] * axes.v_spacing_mm * axes.v[1]
    return BodySlice(float(x.min()), float(x.max()), float(y.min()), float(y.max()), True, True, 0.0)


def _middle_columns(
    reader: FrameReader,
    plan: SeriesPlan,
    axes: volume.PlaneAxes,
    position: volume.Float,
    middle_mm: float,
    y_mm: volume.Float,
    recipe: SlabRecipe,
) -> NDArray[np.float32]:
    """Every slice reduced to the slab's x and y, (n_slices_read, n_slab_slices, columns)."""
    x_mm = middle_mm + (np.arange(recipe.n_slices) - recipe.n_slices // 2) * recipe.slice_mm
    out = np.empty((len(plan.slices), len(x_mm), len(y_mm)), np.float32)
    u_mm = position[0, 0] + np.arange(axes.n_u) * axes.u_spacing_mm * axes.u[0]
    weights = volume.box_weights(u_mm, axes.u_spacing_mm, x_mm, recipe.slice_mm).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=0))
    first, end = int(used[0]), int(used[-1]) + 1
    rest = (1 - weights.sum(axis=1)) * AIR_HU
    weights = weights[:, first:end]
    v_mm = position[0, 1] + np.arange(axes.n_v) * axes.v_spacing_mm * axes.v[1]
    order = np.argsort(v_mm)
    to_y = volume.line_weights(v_mm[order], y_mm, recipe.pixel_mm)
    for k, item in enumerate(plan.slices):
        window = (
            Window(0, plan.rows, first, end)
            if not axes.is_transposed
            else Window(first, end, 0, plan.columns)
        )
        image: Image = reader.read_hu(item, window)
        image = image.T if axes.is_transposed else image
        reduced = weights @ image.T + rest[:, None]
        out[k] = (to_y @ reduced[:, order].T).T
    return out
