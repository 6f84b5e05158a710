"""Finds the patient in full axial slices: skin on both sides, depth and spine, without table and arms. Pure.

Takes HU images and the patient coordinates of their pixels, returns one `BodySlice` each and one `Body`
for the scan. Coordinates are the patient's (LPS), mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tasks.rejected import SlabRejected

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector3 = NDArray[np.float64]

TISSUE_HU = -400.0  # half way between air and fat
COARSE_MM = 4.0  # pixel of the search for the body; its skin is then refined on the full slice
SHEET_MM = 8.0  # table shells and blankets are thinner, the chest wall is thicker
ARM_CONTACT_MM = (
    40.0  # an arm that touches the trunk over less than this is cut off; arms are 80-110 mm thick
)
# Narrower is a head, a neck or a leg. Chest breadth of adults: 5th percentile of women 233 mm at the nipples
# (NASA-STD-3000 vol. I, 3.3.1); heads are under 170 mm.
LEAST_TRUNK_MM = 180.0
TWIN_SHARE = 0.5  # a second part at least half as large as the largest: two legs
# Medians of the tissue lie between pure fat and muscle with contrast.
TISSUE_RANGE_HU = (-150.0, 150.0)
# Values that are no HU have tissue where bone should be: of real slices less than 5 % of the blocks are this dense.
DENSE_HU, MOST_DENSE = 500.0, 0.12
# A field this wide always shows air: lungs, bowel, or what is around the patient.
WIDE_FIELD_MM, AIR_BELOW_HU = 350.0, -500.0
# Bone for finding the vertebral column: from 200 HU on, all of it from 600 HU, so that enhanced blood counts little.
BONE_LOW_HU, BONE_FULL_HU = 200.0, 600.0
COLUMN_BOX_MM = (44.0, 56.0)  # lateral × depth of a vertebra with its arch
COLUMN_EDGE = 0.12  # of the trunk's width on either side where no spine is looked for
LEAST_COLUMN_BONE = 0.02  # mean bone in that box
COLUMN_SPREAD_MM = 15.0  # believed when half of the slices that see a column see it this near their median
COLUMN_FAR_MM = 25.0  # a column this far from the middle of the skin: an arm was counted, or a strong curve
COLUMN_FARTHEST_MM = 60.0  # an arm moves the middle by 50; farther out lie hips and shoulder blades


@dataclass(frozen=True, slots=True)
class PlanePose:
    """Where the pixels of one slice lie: position of the first one, steps in mm along u (lateral) and v."""

    origin: Vector3
    u_step: Vector3
    v_step: Vector3

    def place(self, u: NDArray[np.floating] | float, v: NDArray[np.floating] | float) -> Vector3:
        """Patient coordinates of pixel coordinates, (..., 3)."""
        u_part = np.multiply.outer(np.asarray(u, float), self.u_step)
        return np.asarray(self.origin + u_part + np.multiply.outer(np.asarray(v, float), self.v_step))


@dataclass(frozen=True, slots=True)
class BodySlice:
    """The trunk in one slice."""

    z_mm: float
    right_mm: float  # lowest x of the skin
    left_mm: float
    front_mm: float  # lowest y
    back_mm: float
    has_right_skin: bool  # inside what was reconstructed
    has_left_skin: bool
    has_twin: bool  # a second part of about its size: legs
    is_in_hu: bool  # values are spread as those of a body
    noise_hu: float  # standard deviation between neighbours in soft tissue; NaN when there is none
    column_x_mm: float  # of the bone column; NaN when none is found
    column_y_mm: float

    @property
    def is_complete(self) -> bool:
        return self.has_right_skin and self.has_left_skin

    @property
    def width_mm(self) -> float:
        return self.left_mm - self.right_mm

    @property
    def is_trunk(self) -> bool:
        """Not a head, neck or leg, as far as one slice tells."""
        return not self.has_twin and not (self.is_complete and self.width_mm < LEAST_TRUNK_MM)


def measure_slice(image_vu_hu: Image, pose: PlanePose) -> BodySlice | None:
    """Find the trunk in one full slice, (rows v, columns u) in HU. None when there is no tissue."""
    steps = (float(np.linalg.norm(pose.v_step)), float(np.linalg.norm(pose.u_step)))
    block = (_block_of(steps[0]), _block_of(steps[1]))
    half = np.ascontiguousarray(image_vu_hu[::2, ::2])  # every second pixel is enough to find a body
    coarse = block_mean(half, (block[0] // 2, block[1] // 2))
    found = find_trunk(coarse, (block[0] * steps[0], block[1] * steps[1]))
    if found is None:
        return None
    trunk, has_twin = found
    low, high = _lateral_edges(image_vu_hu, trunk, block)
    cut_low, cut_high = _cut_sides(coarse, trunk)
    x_low, x_high = pose.place(*low)[0], pose.place(*high)[0]
    if x_low > x_high:
        x_low, x_high, cut_low, cut_high = x_high, x_low, cut_high, cut_low
    y = _depth_of(trunk, block, pose)
    column = _bone_column(half, trunk, block, pose)
    return BodySlice(
        z_mm=float(pose.place(image_vu_hu.shape[1] / 2, image_vu_hu.shape[0] / 2)[2]),
        right_mm=float(x_low),
        left_mm=float(x_high),
        front_mm=float(y[0]),
        back_mm=float(y[1]),
        has_right_skin=not cut_low,
        has_left_skin=not cut_high,
        has_twin=has_twin,
        is_in_hu=is_in_hu(
            coarse, trunk, min(image_vu_hu.shape[0] * steps[0], image_vu_hu.shape[1] * steps[1])
        ),
        noise_hu=_noise(image_vu_hu, coarse, block),
        column_x_mm=column[0],
        column_y_mm=column[1],
    )


def is_in_hu(coarse: Image, trunk: Mask, field_mm: float) -> bool:
    """Whether a slice's values are spread as those of a body in HU (T32)."""
    tissue = coarse[trunk & (coarse > TISSUE_HU)]
    has_air = float(coarse.min()) < AIR_BELOW_HU or field_mm < WIDE_FIELD_MM
    in_range = TISSUE_RANGE_HU[0] <= float(np.median(tissue)) <= TISSUE_RANGE_HU[1]
    return has_air and in_range and float((tissue > DENSE_HU).mean()) < MOST_DENSE


def _block_of(step_mm: float) -> int:
    """Pixels of a coarse block: even, about COARSE_MM."""
    return max(2, 2 * round(COARSE_MM / step_mm / 2))


def block_mean(image: Image, block: tuple[int, int]) -> Image:
    """Mean over blocks of pixels; a rest at the lower and right edge is left out."""
    rows, columns = image.shape[0] // block[0] * block[0], image.shape[1] // block[1] * block[1]
    cut = image[:rows, :columns]
    by_row = sum(cut[first :: block[0]] for first in range(block[0]))  # faster than a mean over axes
    by_both = sum(np.asarray(by_row)[:, first :: block[1]] for first in range(block[1]))
    return np.asarray(by_both, np.float32) / np.float32(block[0] * block[1])


def _depth_of(trunk: Mask, block: tuple[int, int], pose: PlanePose) -> tuple[float, float]:
    """Lowest and highest y of the trunk's blocks."""
    rows, columns = np.nonzero(trunk)
    y = (rows * block[0]) * pose.v_step[1] + (columns * block[1]) * pose.u_step[1] + pose.origin[1]
    return float(y.min()), float(y.max())


def find_trunk(coarse: Image, pixel_mm: tuple[float, float]) -> tuple[Mask, bool] | None:
    """The largest part without thin sheets and arms, holes filled, and whether it has a twin of its size."""
    size = min(pixel_mm)
    thin, arm = max(1, round(SHEET_MM / 2 / size)), max(1, round(ARM_CONTACT_MM / 2 / size))
    whole = _largest(ndimage.binary_opening(_framed(coarse > TISSUE_HU, 0), iterations=thin))
    if whole is None:
        return None
    filled = ndimage.binary_fill_holes(whole[0])
    eroded = ndimage.binary_erosion(_framed(filled, arm, mode="edge"), iterations=arm)[arm:-arm, arm:-arm]
    core = _largest(eroded)
    if core is None:  # a limb thinner than the opening: it stays as it is
        return filled, whole[1]
    trunk = ndimage.binary_dilation(core[0], iterations=arm) & filled
    return trunk, whole[1] or core[1]


def _framed(mask: Mask, width: int, mode: str = "constant") -> Mask:
    return np.pad(mask, width, mode=mode) if width else mask  # type: ignore[call-overload]


def _largest(mask: Mask) -> tuple[Mask, bool] | None:
    labels, n_found = ndimage.label(mask)
    if n_found == 0:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = np.sort(sizes)
    return np.asarray(labels == sizes.argmax()), bool(order[-2] >= TWIN_SHARE * order[-1])


def _lateral_edges(
    image: Image, trunk: Mask, block: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Skin at the lowest and highest u, as (u, v) in pixels, to a fraction of a pixel."""
    low = _one_edge(image, trunk, block)
    u, v = _one_edge(image[:, ::-1], _flipped(trunk, image.shape[1], block[1]), block)
    return low, (image.shape[1] - 1 - u, v)


def _flipped(trunk: Mask, n_columns: int, step: int) -> Mask:
    """The coarse mask of the mirrored image: its blocks begin at the other end, a rest of pixels apart."""
    rest = n_columns - trunk.shape[1] * step
    return trunk[:, ::-1] if rest * 2 < step else np.pad(trunk[:, ::-1], ((0, 0), (1, 0)))[:, :-1]


def _one_edge(image: Image, trunk: Mask, block: tuple[int, int]) -> tuple[float, float]:
    """Lowest u of the skin: where the profile from inside falls below tissue, near the lowest coarse column."""
    first = int(np.flatnonzero(trunk.any(axis=0))[0])
    rows = np.flatnonzero(trunk[:, first : first + 2].any(axis=1))
    v = (rows[:, None] * block[0] + np.arange(block[0])).ravel()
    inside, outside = min((first + 3) * block[1], image.shape[1] - 1), max((first - 2) * block[1], 0)
    profile = image[v, outside : inside + 1][:, ::-1]  # from inside outwards
    is_air = profile < TISSUE_HU
    step = is_air.argmax(axis=1)
    usable = np.flatnonzero(is_air.any(axis=1) & (step > 0))
    if usable.size == 0:
        return float(first * block[1]), float(np.median(v))
    step, v = step[usable], v[usable]
    last_in, first_out = profile[usable, step - 1], profile[usable, step]
    depth = step - 1 + (last_in - TISSUE_HU) / np.maximum(last_in - first_out, 1e-3)
    # The outermost tenth of the rows: the single outermost one is noise or a fold of cloth.
    edge = float(np.quantile(depth, 0.9))
    return inside - edge, float(np.median(v[depth >= edge - 1e-6]))


def _cut_sides(coarse: Image, trunk: Mask) -> tuple[bool, bool]:
    """Whether the trunk leaves what was reconstructed at low u and at high u."""
    n_v, n_u = trunk.shape
    columns = np.flatnonzero(trunk.any(axis=0))
    corners = coarse[[0, 0, -1, -1], [0, -1, 0, -1]]
    if (corners <= -1023.5).all():  # no signal there: the scanner filled in what lies outside its circle
        v, u = np.arange(n_v)[:, None] - (n_v - 1) / 2, np.arange(n_u)[None, :] - (n_u - 1) / 2
        touching = trunk & (v * v + u * u > (min(n_v, n_u) / 2 - 1.5) ** 2)
    else:
        touching = np.zeros_like(trunk)
    low = columns[0] == 0 or bool(touching[:, columns[0] : columns[0] + 2].any())
    high = columns[-1] == n_u - 1 or bool(touching[:, columns[-1] - 1 : columns[-1] + 1].any())
    return low, high


def _noise(image: Image, coarse: Image, block: tuple[int, int]) -> float:
    """Robust standard deviation between neighbouring pixels in blocks of muscle and organs."""
    rows, columns = np.nonzero((coarse > 0) & (coarse < 100))
    if len(rows) < 50:
        return float("nan")
    v, u = rows * block[0] + block[0] // 2, columns * block[1] + block[1] // 2
    step = image[v, u] - image[v, np.minimum(u + 1, image.shape[1] - 1)]
    return float(1.4826 * np.median(np.abs(step)) / np.sqrt(2))


def _bone_column(half: Image, trunk: Mask, block: tuple[int, int], pose: PlanePose) -> tuple[float, float]:
    """(x, y) of the vertebra: most bone in a vertebra's box, in the rear of the trunk; NaN without bone."""
    share = np.clip((half - BONE_LOW_HU) * (1 / (BONE_FULL_HU - BONE_LOW_HU)), 0, 1)
    bone = np.where(trunk, block_mean(share, (block[0] // 2, block[1] // 2)), 0)
    n_v = trunk.shape[0]
    # The depth axis is v, or u in a decubitus-like pose of a slice that was not sorted by `plane_axes`.
    y = pose.origin[1] + np.arange(n_v) * block[0] * pose.v_step[1]
    inside = y[trunk.any(axis=1)]
    depth = (y - inside.min()) / max(float(np.ptp(inside)), 1.0)
    rear = np.clip((depth - 0.5) / 0.3, 0, 1)[:, None].astype(np.float32)  # heart and aorta lie before it
    steps = np.linalg.norm(pose.v_step) * block[0], np.linalg.norm(pose.u_step) * block[1]
    box = (max(1, round(COLUMN_BOX_MM[1] / steps[0])), max(1, round(COLUMN_BOX_MM[0] / steps[1])))
    columns = np.flatnonzero(trunk.any(axis=0))
    edge = round(COLUMN_EDGE * len(columns))  # humerus and ribs lie there
    bone[:, : columns[0] + edge] = 0
    bone[:, columns[-1] + 1 - edge :] = 0
    weighted = bone * rear
    score = ndimage.uniform_filter(weighted, box, mode="constant")
    if score.max() < LEAST_COLUMN_BONE:
        return float("nan"), float("nan")
    v, u = (int(place) for place in np.unravel_index(score.argmax(), score.shape))
    first_v, first_u = max(0, v - box[0] // 2), max(0, u - box[1] // 2)
    near = weighted[first_v : v + box[0] // 2 + 1, first_u : u + box[1] // 2 + 1]
    u_mean = (first_u + float(near.sum(axis=0) @ np.arange(near.shape[1])) / float(near.sum()) + 0.5) * block[
        1
    ]
    v_mean = (first_v + float(near.sum(axis=1) @ np.arange(near.shape[0])) / float(near.sum()) + 0.5) * block[
        0
    ]
    place = pose.place(u_mean - 0.5, v_mean - 0.5)
    return float(place[0]), float(place[1])


@dataclass(frozen=True, slots=True)
class Body:
    """Where the patient lies, from all slices looked at."""

    middle_x_mm: float
    lateral_extent_mm: float | None  # skin to skin; None when not seen on both sides
    midline_method: str  # skin | canal
    front_mm: float
    back_mm: float
    noise_hu: float
    trunk_z_mm: tuple[float, ...]  # of the slices that show a trunk
    other_z_mm: tuple[float, ...]  # of those that show a head, a neck, legs or nothing
    n_torn_slices: int = 0  # of all slices: unlike both neighbours


def judge_body(slices: Sequence[BodySlice | None], z_mm: Sequence[float]) -> Body:
    """One verdict from the slices looked at; `z_mm` is the place of each of them.

    Raises SlabRejected: `qc_hu_range`, `not_evaluable:no_spine` (no trunk), `not_evaluable:fov` (no middle).
    """
    found = [item for item in slices if item is not None]
    if not found:  # nothing but air
        raise SlabRejected("qc_hu_range")
    trunk = [item for item in found if item.is_trunk]
    if not trunk:
        raise SlabRejected("not_evaluable:no_spine")
    seen = [place for place, item in enumerate(slices) if item is not None]
    n_air_inside = seen[-1] - seen[0] + 1 - len(seen)  # tissue of another intercept looks like that
    if 2 * sum(item.is_in_hu for item in trunk) <= len(trunk) + n_air_inside:
        raise SlabRejected("qc_hu_range")
    middle, extent, method = _middle_of(trunk)
    is_trunk = [item is not None and item.is_trunk for item in slices]
    return Body(
        middle_x_mm=middle,
        lateral_extent_mm=extent,
        midline_method=method,
        front_mm=min(item.front_mm for item in trunk),
        back_mm=max(item.back_mm for item in trunk),
        noise_hu=median_of([item.noise_hu for item in trunk]),
        trunk_z_mm=tuple(z for z, is_one in zip(z_mm, is_trunk, strict=True) if is_one),
        other_z_mm=tuple(z for z, is_one in zip(z_mm, is_trunk, strict=True) if not is_one),
    )


def _middle_of(trunk: Sequence[BodySlice]) -> tuple[float, float | None, str]:
    """(middle x, lateral extent or None, method): by skin, else by the bone column, else rejected."""
    complete = [item for item in trunk if item.is_complete]
    column = median_of([item.column_x_mm for item in trunk])
    spread = median_of([abs(item.column_x_mm - column) for item in trunk])
    has_column = np.isfinite(column) and spread <= COLUMN_SPREAD_MM
    if len(complete) * 3 >= len(trunk):
        middle = median_of([(item.left_mm + item.right_mm) / 2 for item in complete])
        extent = median_of([item.width_mm for item in complete])
        # One slice through a hip with more bone than a porous spine was enough before, and the slab showed the hip.
        n_near = sum(abs(item.column_x_mm - column) <= COLUMN_SPREAD_MM for item in trunk)
        if 2 * n_near >= len(trunk) and COLUMN_FAR_MM < abs(column - middle) <= COLUMN_FARTHEST_MM:
            return column, extent, "canal"
        return middle, extent, "skin"
    if has_column:
        return column, None, "canal"
    raise SlabRejected("not_evaluable:fov")


def sampled_indices(n_slices: int, n_wanted: int) -> list[int]:
    """Evenly spread slices, the same ones counted from either end."""
    n_wanted = min(n_wanted, n_slices)
    places = (np.arange(n_wanted // 2) + 0.5) * n_slices / n_wanted - 0.5
    low = [int(np.floor(place + 1e-9)) for place in places]
    middle = [n_slices // 2] if n_wanted % 2 else []
    return low + middle + [n_slices - 1 - index for index in reversed(low)]


def median_of(values: Sequence[float]) -> float:
    """Median without NaN as a plain float; NaN when nothing is left."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(np.asarray(known))) if known else float("nan")
