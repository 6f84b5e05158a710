"""Finds slices that cannot stand where they stand: blank, unlike both neighbours, on another scale. Pure.

Takes a stack in HU (slices along the first axis, in order), returns numbers, or refuses it (`check_slices`). A file
whose codestream was damaged decodes without an error (T31); an export that failed may leave constant slices, or some
with another intercept (T32): no header tells of any. What damages less than a slice as a whole is not seen here.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.rejected import SlabRejected

Image = NDArray[np.float32]

BLANK_RANGE_HU = 1.0  # even air has noise over several HU, or the edge of the table
# How much more a slice may differ from the mean of its neighbours than the median slice of its scan does, and the
# least such difference. Measured: in 2 real scans at most 1.5 times, in 8 simulated ones 2.3 times.
TORN_RATIO, LEAST_TORN_HU = 4.0, 60.0
# Neighbours that are alike but for a step that most points make: no anatomy does that, another intercept does.
STEP_HU, STEP_SHARE, ALIKE = 250.0, 0.75, 0.5
_POINTS = 4096  # of each slice that are compared


def check_slices(stack_hu: Image) -> None:
    """Raises SlabRejected: `blank_slices` for constant ones among others, `qc_hu_range` for ones on another scale."""
    if n_blank := blank_inside(stack_hu):
        raise SlabRejected("blank_slices", measured=n_blank)
    if steps_of_scale(stack_hu):
        raise SlabRejected("qc_hu_range")


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


def steps_of_scale(stack_hu: Image) -> int:
    """How often the values of the next slice are those of the one before, all higher or all lower by as much."""
    some = _some(stack_hu).reshape(len(stack_hu), -1)
    n_found = 0
    for before, after in pairwise(some):
        step = after - before
        if max((step > STEP_HU).mean(), (step < -STEP_HU).mean()) > STEP_SHARE:
            n_found += _correlation(before, after) > ALIKE
    return n_found


def _correlation(a: Image, b: Image) -> float:
    """Pearson's; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _some(stack_hu: Image) -> Image:
    """About _POINTS of each slice."""
    step = max(1, round((stack_hu[0].size / _POINTS) ** 0.5)) if len(stack_hu) else 1
    return stack_hu[:, ::step, ::step]


def _away_from_neighbours(stack_hu: Image) -> NDArray[np.float32]:
    """Mean absolute difference of each inner slice from the mean of its neighbours, HU."""
    some = _some(stack_hu)
    triples = zip(some, some[1:], some[2:], strict=False)
    return np.asarray([np.abs(b - (a + c) / 2).mean() for a, b, c in triples], np.float32)
