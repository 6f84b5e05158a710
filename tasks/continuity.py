"""Finds slices that cannot stand where they stand: blank ones, and ones unlike both neighbours. Pure.

Takes a stack in HU (slices along the first axis, in order), returns numbers. A file whose codestream was damaged
decodes without an error (T31), and an export that failed may leave constant slices (T32): no header tells of either.
What damages less than a slice as a whole is not seen here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

BLANK_RANGE_HU = 1.0  # even air has noise over several HU, or the edge of the table
# How much more a slice may differ from the mean of its neighbours than the median slice of its scan does, and the
# least such difference. Measured: in 2 real scans at most 1.5 times, in 8 simulated ones 2.3 times.
TORN_RATIO, LEAST_TORN_HU = 4.0, 60.0
_POINTS = 4096  # of each slice that are compared


def blank_inside(stack_hu: Image) -> int:
    """Number of slices that are constant in their middle, with others before and behind them."""
    n_rows = stack_hu.shape[1]
    middle = stack_hu[:, n_rows // 4 : n_rows - n_rows // 4]  # the edge may lie outside the field of view
    flat = middle.reshape(len(stack_hu), -1)
    seen = np.flatnonzero(flat.max(axis=1) - flat.min(axis=1) > BLANK_RANGE_HU)
    return int(seen[-1] - seen[0] + 1 - seen.size) if seen.size else 0


def torn_slices(stack_hu: Image) -> NDArray[np.intp]:
    """Indices of the slices that differ from the mean of both neighbours far more than is usual in this stack."""
    away_hu = _away_from_neighbours(stack_hu)
    if not away_hu.size:
        return np.zeros(0, np.intp)
    limit_hu = max(LEAST_TORN_HU, TORN_RATIO * float(np.median(away_hu)))
    return np.flatnonzero(away_hu > limit_hu) + 1


def _away_from_neighbours(stack_hu: Image) -> NDArray[np.float32]:
    """Mean absolute difference of each inner slice from the mean of its neighbours, HU."""
    step = max(1, round((stack_hu[0].size / _POINTS) ** 0.5)) if len(stack_hu) else 1
    some = stack_hu[:, ::step, ::step]
    triples = zip(some, some[1:], some[2:], strict=False)
    return np.asarray([np.abs(b - (a + c) / 2).mean() for a, b, c in triples], np.float32)
