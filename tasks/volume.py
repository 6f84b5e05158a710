"""Where the voxels of a series lie in the patient, and the weights that resample them. Pure; reads no files.

All coordinates are the patient's (LPS): x grows to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.decode import AIR_HU
from tasks.plan import SeriesPlan

Float = NDArray[np.float64]
Weights = sparse.csr_array  # (n_target, n_source)

# In-plane axes that deviate less than this from the patient's are taken as parallel: 0.3 degrees, which moves
# a point 100 mm from the middle by 0.5 mm, a sixth of a slab slice.
PARALLEL_SINE = 0.005


@dataclass(frozen=True, slots=True)
class PlaneAxes:
    """The two pixel axes of a series, sorted by the patient: `u` across the image wanted, `v` down it."""

    u: Float  # (3,) direction in which the u index grows
    v: Float  # (3,)
    u_spacing_mm: float
    v_spacing_mm: float
    n_u: int
    n_v: int
    is_transposed: bool  # u is the row index of the stored image


def plane_axes(plan: SeriesPlan, across: int) -> PlaneAxes:
    """Sort the pixel axes of a plan so that `u` is the one nearer to patient axis `across` (0 x, 1 y)."""
    along_columns = np.asarray(plan.orientation[:3], float)
    along_rows = np.asarray(plan.orientation[3:], float)
    if abs(along_columns[across]) >= abs(along_rows[across]):
        return PlaneAxes(
            along_columns,
            along_rows,
            plan.column_spacing_mm,
            plan.row_spacing_mm,
            plan.columns,
            plan.rows,
            False,
        )
    return PlaneAxes(
        along_rows, along_columns, plan.row_spacing_mm, plan.column_spacing_mm, plan.rows, plan.columns, True
    )


def positions_mm(plan: SeriesPlan) -> Float:
    """Centres of the first pixels, (n_slices, 3), in the plan's order."""
    return np.asarray([item.position_mm for item in plan.slices], float)


def is_separable(axes: PlaneAxes) -> bool:
    """Whether one pixel axis lies along patient x, so that x can be averaged slice by slice."""
    return bool(max(abs(axes.u[1]), abs(axes.u[2]), abs(axes.v[0])) <= PARALLEL_SINE)


def box_weights(source_mm: Float, source_width_mm: float, target_mm: Float, target_width_mm: float) -> Float:
    """Share of each target box that each source box fills, (n_target, n_source); rows sum to 1 where covered."""
    reach = (source_width_mm + target_width_mm) / 2
    overlap = reach - np.abs(target_mm[:, None] - source_mm[None, :])
    return np.asarray(np.clip(overlap, 0, min(source_width_mm, target_width_mm)) / target_width_mm)


def line_weights(source_mm: Float, target_mm: Float, target_step_mm: float) -> sparse.csr_array:
    """Weights (n_target, n_source) that resample a line of samples at distinct positions, however uneven.

    Coarser than the target: linear interpolation. Finer: a triangle of the target's step, so that nothing
    aliases. Targets more than half a gap outside the samples get no weight (`resample` makes them air).
    """
    order = np.argsort(source_mm)
    rising = source_mm[order]
    if len(rising) == 1:
        near = np.abs(target_mm - rising[0]) <= target_step_mm / 2
        return sparse.csr_array(near[:, None].astype(np.float32))
    is_coarse = np.median(np.diff(rising)) >= 0.75 * target_step_mm
    rows, columns, values = (
        _interpolation(rising, target_mm) if is_coarse else _triangles(rising, target_mm, target_step_mm)
    )
    places = (rows, order[columns])
    return sparse.csr_array((values.astype(np.float32), places), shape=(len(target_mm), len(source_mm)))


def _interpolation(source_mm: Float, target_mm: Float) -> tuple[NDArray[np.intp], NDArray[np.intp], Float]:
    """(target, source, weight) of linear interpolation between neighbours."""
    last = len(source_mm) - 1
    right = np.clip(np.searchsorted(source_mm, target_mm, side="right"), 1, last)
    share = np.clip((target_mm - source_mm[right - 1]) / (source_mm[right] - source_mm[right - 1]), 0, 1)
    first_gap, last_gap = source_mm[1] - source_mm[0], source_mm[-1] - source_mm[-2]
    is_near = (target_mm >= source_mm[0] - first_gap / 2) & (target_mm <= source_mm[-1] + last_gap / 2)
    rows = np.flatnonzero(is_near)
    weights = np.concatenate([1 - share[rows], share[rows]])
    return np.concatenate([rows, rows]), np.concatenate([right[rows] - 1, right[rows]]), weights


def _triangles(
    source_mm: Float, target_mm: Float, step_mm: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Float]:
    """(target, source, weight) of a triangle of half-width one step around each target."""
    cell_mm = np.gradient(source_mm)
    dense = np.clip(1 - np.abs(target_mm[:, None] - source_mm[None, :]) / step_mm, 0, None) * cell_mm
    is_near = (target_mm >= source_mm[0] - step_mm / 2) & (target_mm <= source_mm[-1] + step_mm / 2)
    dense[~is_near] = 0
    rows, columns = np.nonzero(dense)
    return rows, columns, dense[rows, columns] / dense.sum(axis=1)[rows]


def resample(weights: sparse.csr_array | Float, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """`weights @ samples`; what the weights do not cover becomes air. (n_target, ...) from (n_source, ...)."""
    flat = samples.reshape(len(samples), -1)
    out = np.asarray(weights @ flat, np.float32)
    missing = 1 - np.asarray(weights.sum(axis=1), np.float32).ravel()
    uncovered = np.flatnonzero(missing > 1e-4)
    if uncovered.size:
        out[uncovered] += missing[uncovered, None] * np.float32(AIR_HU)
    return out.reshape(weights.shape[0], *samples.shape[1:])


def grid_mm(low_mm: float, high_mm: float, step_mm: float) -> Float:
    """Multiples of the step within low…high, so that two acquisitions of one patient share their grid."""
    first, last = np.ceil(low_mm / step_mm - 1e-3), np.floor(high_mm / step_mm + 1e-3)
    return np.asarray(np.arange(first, last + 1) * step_mm, float)
