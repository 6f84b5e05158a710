"""Finds the bone column in sagittal images: how many millimetres of spine a slab shows. Pure.

Rule: in blocks of 4 mm, the 60 mm deep window that holds the most bone is followed from head to foot (it may move by
one block a row). A row shows spine when that window holds at least 6 mm of bone; gaps up to one vertebra and its
disc are closed. It asks little on purpose: an osteoporotic body is hardly denser than its disc, its cortex and
arch are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float64]
Bone = NDArray[np.float32]

BLOCK_MM = 4.0
BONE_LOW_HU, BONE_FULL_HU = (
    120.0,
    200.0,
)  # trabecular bone without osteoporosis: 120 HU and more (Pickhardt 2013)
WINDOW_MM = 60.0  # depth of a lumbar vertebra with its arch and part of the spinous process
ROW_CAP_MM = 25.0  # more bone in a row counts no more: a hip or an enhanced heart must not outweigh a column
LEAST_BONE_MM = 6.0  # in a row: one spinous process, or the two cortices of a body
CLOSED_GAP_MM = 36.0  # the height of a lumbar vertebra and its disc
REAR_FROM, REAR_FULL = 0.25, 0.45  # of the body's depth, from the front: sternum and heart lie before it
METAL_HU = 2500.0  # cortical bone stays under 2000 HU
METAL_MM3 = 300.0  # a screw; a clip is smaller
TISSUE_HU = -400.0


def bone_blocks(images_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float) -> Bone:
    """Share of bone in blocks of about 4 mm, the largest over the slices given, (rows, columns) of blocks.

    Only every second pixel is looked at. Bone in the front quarter of the body counts nothing.
    """
    half = images_xzy_hu[:, ::2, ::2]
    step = max(1, round(BLOCK_MM / pixel_mm / 2))
    rows, columns = half.shape[1] // step, half.shape[2] // step
    if not rows or not columns:
        return np.zeros((rows, columns), np.float32)
    cut = half[:, : rows * step, : columns * step].astype(np.float32)
    share = np.clip((cut - BONE_LOW_HU) * (1 / (BONE_FULL_HU - BONE_LOW_HU)), 0, 1)
    bone = share.reshape(-1, rows, step, columns, step).mean(axis=(2, 4)).max(axis=0)
    return np.asarray(bone * _rear(cut[len(cut) // 2], step, columns), np.float32)


def _rear(image: NDArray[np.float32], step: int, n_columns: int) -> NDArray[np.float32]:
    """Weight of each column of blocks by its depth in the body: 0 at the front, 1 from the middle on."""
    tissue = (image > TISSUE_HU).mean(axis=0)[: n_columns * step : step]
    inside = np.flatnonzero(tissue > 0.25)
    if inside.size < 2:
        return np.ones(n_columns, np.float32)
    depth = (np.arange(n_columns) - inside[0]) / (inside[-1] - inside[0])
    return np.asarray(np.clip((depth - REAR_FROM) / (REAR_FULL - REAR_FROM), 0, 1), np.float32)


def block_mm_of(pixel_mm: float) -> float:
    """Side of the blocks of `bone_blocks`."""
    return max(1, round(BLOCK_MM / pixel_mm / 2)) * 2 * pixel_mm


def column_bone_mm(bone: Bone, block_mm: float) -> Float:
    """Bone in the followed window, mm for each row of blocks."""
    if not bone.size:
        return np.zeros(bone.shape[0])
    width = max(1, round(WINDOW_MM / block_mm))
    in_window = (
        ndimage.uniform_filter1d(bone.astype(float), width, axis=1, mode="constant") * width * block_mm
    )
    gain = np.minimum(in_window, ROW_CAP_MM)
    best = gain.copy()
    for row in range(1, len(best)):
        before = np.pad(best[row - 1], 1, constant_values=-np.inf)
        best[row] += np.maximum(np.maximum(before[:-2], before[1:-1]), before[2:])
    return _followed(best, in_window)


def _followed(best: Float, in_window: Float) -> Float:
    """Walk the best path back from the last row."""
    out = np.empty(len(best))
    column = int(best[-1].argmax())
    for row in range(len(best) - 1, -1, -1):
        first = max(0, column - 1)
        column = first + int(best[row, first : column + 2].argmax()) if row < len(best) - 1 else column
        out[row] = in_window[row, column]
    return out


def spine_rows(
    images_xzy_hu: NDArray[np.floating] | NDArray[np.integer], pixel_mm: float
) -> NDArray[np.bool_]:
    """For each row of the images: whether it shows spine."""
    block_mm = block_mm_of(pixel_mm)
    bone = column_bone_mm(bone_blocks(images_xzy_hu, pixel_mm), block_mm)
    has_bone = bone >= LEAST_BONE_MM
    gap = round(CLOSED_GAP_MM / block_mm)
    padded = np.pad(has_bone, gap)
    closed = ndimage.binary_closing(padded, np.ones(gap + 1))[gap : gap + len(has_bone)]
    rows = np.repeat(closed, round(block_mm / pixel_mm))
    return np.pad(rows, (0, max(0, images_xzy_hu.shape[1] - len(rows))))[: images_xzy_hu.shape[1]]


def spine_mm(
    is_spine: NDArray[np.bool_], z_mm: Float, trunk_z: Sequence[float], other_z: Sequence[float]
) -> float:
    """Length of the spine rows, counted where the nearest slice looked at shows a trunk (no head, no legs)."""
    counted = is_spine
    if other_z:
        to_trunk = np.abs(z_mm[:, None] - np.asarray(trunk_z)[None, :]).min(axis=1)
        to_other = np.abs(z_mm[:, None] - np.asarray(other_z)[None, :]).min(axis=1)
        counted = is_spine & (to_trunk <= to_other)
    step = abs(float(z_mm[1] - z_mm[0])) if len(z_mm) > 1 else 0.0
    return round(float(counted.sum() * step), 1)


def has_metal(slab_xzy_hu: NDArray[np.int16], voxel_mm3: float) -> bool:
    """Whether more than a clip's volume is denser than any bone."""
    return bool(np.count_nonzero(slab_xzy_hu >= METAL_HU) * voxel_mm3 >= METAL_MM3)
