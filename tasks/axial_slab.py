"""Resamples an axial stack, however it was acquired, to the sagittal slices of a slab.

Takes a plan, its reader and a recipe, returns the voxels and the place of the first one. Where the pixel axes run
along the patient's, x is averaged slice by slice as it is read (a tilted gantry included); else the needed part of
the stack is held in memory and sampled point by point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from tasks import volume
from tasks.body import Body, BodySlice, PlanePose, judge_body, measure_slice, sampled_indices
from tasks.continuity import check_slices, torn_slices
from tasks.decode import AIR_HU, FrameReader, Image, Window
from tasks.plan import SeriesPlan
from tasks.recipe import SlabRecipe
from tasks.rejected import SlabRejected
from tasks.volume import Float, PlaneAxes

MAX_LENGTH_MM = 2500.0  # of a slab: the longest tables; more is a broken position
MAX_DEPTH_MM = 1000.0
OBLIQUE_STEPS = 3  # points across one slab slice where it is sampled point by point
MAX_OBLIQUE_BYTES = 2 << 30  # of the part of the stack that is then held in memory


@dataclass(frozen=True, slots=True)
class Grid:
    """Centres of the slab's voxels, patient coordinates (LPS)."""

    x_mm: Float  # rising: right to left
    y_mm: Float  # rising: front to back
    z_mm: Float  # falling: head to foot


def resample_axial(plan: SeriesPlan, reader: FrameReader, recipe: SlabRecipe) -> tuple[Image, Grid, Body]:
    """The slab of an axial plan: float32 HU (x, z, y), its grid, and what was seen of the body."""
    axes = volume.plane_axes(plan, across=0)
    position = volume.positions_mm(plan)
    body = _look_at_body(plan, reader, axes, recipe)
    grid = _grid_of(position, axes, body, recipe)
    if volume.is_separable(axes):
        stack = _read_averaged(plan, reader, axes, grid, recipe)
        slab = _along_z(stack, axes, position, grid, recipe)
    else:
        sampler = _PointSampler(plan, axes)
        stack = sampler.read(reader, grid)
        slab = _sample_all(sampler, stack, grid, recipe)
    check_slices(stack)
    return slab, grid, replace(body, n_torn_slices=len(torn_slices(stack)))


def _look_at_body(plan: SeriesPlan, reader: FrameReader, axes: PlaneAxes, recipe: SlabRecipe) -> Body:
    looked_at: list[BodySlice | None] = []
    z_mm: list[float] = []
    for index in sampled_indices(len(plan.slices), recipe.n_body_slices):
        item = plan.slices[index]
        image = reader.read_hu(item)
        u_step, v_step = axes.u * axes.u_spacing_mm, axes.v * axes.v_spacing_mm
        pose = PlanePose(np.asarray(item.position_mm, float), u_step, v_step)
        looked_at.append(measure_slice(image.T if axes.is_transposed else image, pose))
        z_mm.append(float(pose.place(axes.n_u / 2, axes.n_v / 2)[2]))
    return judge_body(looked_at, z_mm)


def _grid_of(position: Float, axes: PlaneAxes, body: Body, recipe: SlabRecipe) -> Grid:
    y_mm = volume.grid_mm(body.front_mm - recipe.margin_mm, body.back_mm + recipe.margin_mm, recipe.pixel_mm)
    # The stack's height over the slab's middle. A tilted stack is a parallelogram: its corners lie higher.
    across = axes.v * axes.v_spacing_mm * (axes.n_v - 1) / 2
    middle_z = position[:, 2] + across[2] + axes.u[2] * axes.u_spacing_mm * (axes.n_u - 1) / 2
    z_mm = volume.grid_mm(float(middle_z.min()), float(middle_z.max()), recipe.pixel_mm)[::-1]
    if np.ptp(z_mm) > MAX_LENGTH_MM or np.ptp(y_mm) > MAX_DEPTH_MM or not len(z_mm):
        raise SlabRejected("dims")
    steps = np.arange(recipe.n_slices) - recipe.n_slices // 2
    return Grid(np.asarray(body.middle_x_mm + steps * recipe.slice_mm, float), y_mm, z_mm)


def _read_averaged(
    plan: SeriesPlan, reader: FrameReader, axes: PlaneAxes, grid: Grid, recipe: SlabRecipe
) -> Image:
    """Average x and interpolate y while reading: (slices, y, x)."""
    position = volume.positions_mm(plan)
    weights = _InPlaneWeights(axes, grid, recipe)
    stack = np.empty((len(plan.slices), len(grid.y_mm), len(grid.x_mm)), np.float32)
    for k, item in enumerate(plan.slices):
        window, to_x, to_y = weights.of(position[k])
        image = reader.read_hu(item, window)
        image = image.T if axes.is_transposed else image  # (v, u)
        stack[k] = volume.resample(to_y, volume.resample(to_x, image.T).T)
    return stack


class _InPlaneWeights:
    """Weights and window of one slice; computed again only where the position in plane changes."""

    def __init__(self, axes: PlaneAxes, grid: Grid, recipe: SlabRecipe) -> None:
        self._axes, self._grid, self._recipe = axes, grid, recipe
        self._known: dict[tuple[float, float], tuple[Window, Float, volume.Weights]] = {}

    def of(self, position: Float) -> tuple[Window, Float, volume.Weights]:
        """(window, to_x, to_y) for a slice whose first pixel lies at `position`."""
        key = (round(float(position[0]), 3), round(float(position[1]), 3))
        if key not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            self._known[key] = self._compute(position)
        return self._known[key]

    def _compute(self, position: Float) -> tuple[Window, Float, volume.Weights]:
        axes, grid = self._axes, self._grid
        x_mm = position[0] + np.arange(axes.n_u) * axes.u_spacing_mm * axes.u[0]
        y_mm = position[1] + np.arange(axes.n_v) * axes.v_spacing_mm * axes.v[1]
        to_x = volume.box_weights(x_mm, axes.u_spacing_mm, grid.x_mm, self._recipe.slice_mm)
        to_y = volume.line_weights(y_mm, grid.y_mm, self._recipe.pixel_mm)
        u = np.flatnonzero(to_x.any(axis=0))
        v = np.unique(to_y.indices)
        if not u.size or not v.size:
            raise SlabRejected("not_evaluable:fov")
        (u0, u1), (v0, v1) = (int(u[0]), int(u[-1]) + 1), (int(v[0]), int(v[-1]) + 1)
        window = Window(u0, u1, v0, v1) if axes.is_transposed else Window(v0, v1, u0, u1)
        return window, to_x[:, u0:u1].astype(np.float32), to_y[:, v0:v1]


def _along_z(stack: Image, axes: PlaneAxes, position: Float, grid: Grid, recipe: SlabRecipe) -> Image:
    """(slices, y, x) → (x, z, y), along the true positions.

    In a tilted stack z depends on y: each y has its own targets.
    """
    z_per_y = axes.v[2] / axes.v[1]
    at_y0 = position[:, 2] - z_per_y * position[:, 1]  # z where the slice's plane meets y = 0
    if abs(z_per_y) * np.ptp(grid.y_mm) < 0.05 * recipe.pixel_mm:
        targets = grid.z_mm - z_per_y * float(grid.y_mm.mean())
        slab = volume.resample(volume.line_weights(at_y0, targets, recipe.pixel_mm), stack)
        return np.asarray(slab.transpose(2, 0, 1))
    slab = np.empty((len(grid.x_mm), len(grid.z_mm), len(grid.y_mm)), np.float32)
    for column, y_mm in enumerate(grid.y_mm):
        weights = volume.line_weights(at_y0, grid.z_mm - z_per_y * y_mm, recipe.pixel_mm)
        slab[:, :, column] = volume.resample(weights, stack[:, column]).T
    return slab


def _sample_all(sampler: _PointSampler, stack: Image, grid: Grid, recipe: SlabRecipe) -> Image:
    """Sample the stack at every point of the slab: axes turned against the patient's in any direction."""
    offsets = (np.arange(OBLIQUE_STEPS) - OBLIQUE_STEPS // 2) * recipe.slice_mm / OBLIQUE_STEPS
    slab = np.empty((len(grid.x_mm), len(grid.z_mm), len(grid.y_mm)), np.float32)
    for i, x_mm in enumerate(grid.x_mm):
        planes = [sampler.sample(stack, x_mm + offset, grid) for offset in offsets]
        slab[i] = np.mean(planes, axis=0)
    return slab


class _PointSampler:
    """Patient coordinates → (slice, v, u) indices of a stack, and values there."""

    def __init__(self, plan: SeriesPlan, axes: PlaneAxes) -> None:
        self._plan, self._axes = plan, axes
        self._position = volume.positions_mm(plan)
        self._normal = np.asarray(plan.normal)
        self._along = self._position @ self._normal  # ascending through the plan
        self._first = (0, 0)  # v, u of the part that was read

    def indices(self, x_mm: float, grid: Grid) -> tuple[Float, Float, Float]:
        """(slice, v, u) index of every (z, y) at one x."""
        z, y = np.meshgrid(grid.z_mm, grid.y_mm, indexing="ij")
        point = np.stack([np.full_like(z, x_mm), y, z], axis=-1)
        places = np.arange(len(self._along), dtype=float)
        k = np.interp(point @ self._normal, self._along, places, left=-1e6, right=1e6)
        origin = np.stack([np.interp(k, places, self._position[:, axis]) for axis in range(3)], axis=-1)
        away = point - origin
        return k, away @ self._axes.v / self._axes.v_spacing_mm, away @ self._axes.u / self._axes.u_spacing_mm

    def read(self, reader: FrameReader, grid: Grid) -> Image:
        """The part of the stack that the slab needs, (slices, v, u)."""
        ends = [self.indices(float(x), grid) for x in (grid.x_mm[0] - 2, grid.x_mm[-1] + 2)]
        bounds = []
        for axis, size in ((1, self._axes.n_v), (2, self._axes.n_u)):
            seen = np.concatenate([end[axis][np.abs(end[0]) < 1e6].ravel() for end in ends])
            if not seen.size or seen.max() < 0 or seen.min() > size - 1:
                raise SlabRejected("not_evaluable:fov")
            bounds += [max(0, int(seen.min()) - 1), min(size, int(seen.max()) + 3)]
        v0, v1, u0, u1 = bounds
        if (v1 - v0) * (u1 - u0) * len(self._along) * 4 > MAX_OBLIQUE_BYTES:
            raise SlabRejected("dims")
        self._first = (v0, u0)
        window = Window(u0, u1, v0, v1) if self._axes.is_transposed else Window(v0, v1, u0, u1)
        images = [reader.read_hu(item, window) for item in self._plan.slices]
        return np.stack([image.T if self._axes.is_transposed else image for image in images])

    def sample(self, stack: Image, x_mm: float, grid: Grid) -> Image:
        """Values of every (z, y) at one x, trilinear; air outside."""
        k, v, u = self.indices(x_mm, grid)
        points = np.stack([k, v - self._first[0], u - self._first[1]])
        return np.asarray(
            ndimage.map_coordinates(stack, points, order=1, mode="constant", cval=AIR_HU), np.float32
        )
