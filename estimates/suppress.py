"""Small cells out of a published table, and enough others that the margins do not give them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from estimates.result import FloatArray, IntArray

SMALLEST_SHOWN = 5  # counts of 1 to 4 point at single patients
TOP_AGE = (
    90  # older ages are pooled in exports, as in the HIPAA safe-harbour rule, 45 CFR 164.514(b)(2)(i)(C)
)


@dataclass(frozen=True)
class SuppressedTable:
    """The table with its margins in the last row and column (or place); `is_shown` is False for a hidden count."""

    counts: IntArray
    is_shown: np.ndarray

    def cells(self) -> list[int | None]:
        """Row by row, None where hidden."""
        shown = zip(self.counts.ravel().tolist(), self.is_shown.ravel().tolist(), strict=True)
        return [int(count) if visible else None for count, visible in shown]


def suppress_one_way(
    counts: Sequence[int], *, smallest_shown: int = SMALLEST_SHOWN, width: int | None = None
) -> SuppressedTable:
    """Counts and their total, appended last. See `suppress_two_way` for what is hidden."""
    values = np.asarray([*counts, sum(counts)], dtype=np.int64)
    equations = np.ones((1, len(values)))
    equations[0, -1] = -1
    return _suppress(values, equations, smallest_shown, width)


def suppress_two_way(
    counts: ArrayLike, *, smallest_shown: int = SMALLEST_SHOWN, width: int | None = None
) -> SuppressedTable:
    """Counts (rows, columns) with margins appended: hides each cell from 1 to `smallest_shown` − 1, margins as well.

    Then further cells are hidden until nobody who adds up what is shown can say any hidden cell to within `width`
    (default: `smallest_shown`): the range of values that agrees with the shown ones, by linear programming, is at
    least that wide. Zeros are shown. The smallest cells that help are hidden first, inner ones before margins.
    """
    inner = np.asarray(counts, dtype=np.int64)
    if inner.ndim != 2 or inner.size == 0 or inner.min() < 0:
        raise ValueError("a table of counts has rows and columns, and no negative number")
    table = np.block([[inner, inner.sum(axis=1, keepdims=True)], [inner.sum(axis=0), np.int64(inner.sum())]])
    return _suppress(table, _margin_equations(*table.shape), smallest_shown, width)


def suppress_linked(
    counts: ArrayLike, equations: ArrayLike, *, smallest_shown: int = SMALLEST_SHOWN, width: int | None = None
) -> SuppressedTable:
    """Counts (n,) that hang together by any sums: tables of the same patients with common margins, as one.

    `equations` (m, n): each row is a sum of counts (1) less its total (−1), zero for the counts given, else ValueError.
    What is hidden is as in `suppress_two_way`, smallest parts before totals.
    """
    values = np.asarray(counts, dtype=np.int64)
    system = np.asarray(equations, dtype=np.float64).reshape(-1, len(values))
    if (values < 0).any() or (system @ values != 0).any():
        raise ValueError("counts are not negative, and their sums are their totals")
    return _suppress(values, system, smallest_shown, width)


def pooled_age(age_years: ArrayLike, top: int = TOP_AGE) -> FloatArray:
    """Ages with all from `top` on set to `top`; missing ages (NaN) stay missing."""
    return np.asarray(np.minimum(np.asarray(age_years, dtype=np.float64), top))


def feasible_range(table: SuppressedTable, place: int) -> tuple[float, float]:
    """Least and largest value of a hidden cell that agrees with all that is shown; `place` counts row by row."""
    values = table.counts.ravel()
    shape = table.counts.shape
    equations = _margin_equations(*shape) if len(shape) == 2 else np.r_[np.ones(len(values) - 1), -1.0][None]
    return _range(values, ~table.is_shown.ravel(), equations, place)


def _margin_equations(n_rows: int, n_columns: int) -> FloatArray:
    """(equations, cells): inner cells minus their margin are zero, for every row and every column, margins too."""
    rows = np.kron(np.eye(n_rows), np.r_[np.ones(n_columns - 1), -1.0])
    columns = np.kron(np.r_[np.ones(n_rows - 1), -1.0], np.eye(n_columns))
    return np.asarray(np.vstack([rows, columns]))


def _suppress(
    table: IntArray, equations: FloatArray, smallest_shown: int, width: int | None
) -> SuppressedTable:
    values, needed = table.ravel(), smallest_shown if width is None else width
    hidden = (values > 0) & (values < smallest_shown)
    checked: set[int] = set()
    while True:
        open_cells = [int(i) for i in np.flatnonzero(hidden) if i not in checked]
        if not open_cells:
            break
        low, high = _range(values, hidden, equations, open_cells[0])
        if high - low >= needed or not _hide_one_more(values, hidden, equations, open_cells[0]):
            checked.add(open_cells[0])  # hiding more cells only widens a range: once wide, always wide
    return SuppressedTable(table, ~hidden.reshape(table.shape))


def _hide_one_more(values: IntArray, hidden: np.ndarray, equations: FloatArray, place: int) -> bool:
    """Hide the next cell that shares an equation with the hidden ones linked to `place`; False when none is left."""
    n_hidden = ((equations != 0) & hidden).sum(axis=1)
    for equation in sorted(_linked(hidden, equations, place), key=lambda row: int(n_hidden[row])):
        members = np.flatnonzero((equations[equation] != 0) & ~hidden & (values > 0))
        if len(members):
            margins = (equations[:, members] < 0).sum(axis=0)  # 0: inner cell, 1: margin, 2: total
            order = np.lexsort((values[members], margins))
            hidden[members[order[0]]] = True
            return True
    return False


def _linked(hidden: np.ndarray, equations: FloatArray, place: int) -> list[int]:
    """Equations reached from a cell through hidden cells, its own first."""
    found, fresh = [], [int(row) for row in np.flatnonzero(equations[:, place])]
    while fresh:
        found += fresh
        cells = np.flatnonzero((equations[found] != 0).any(axis=0) & hidden)
        reached = np.flatnonzero((equations[:, cells] != 0).any(axis=1))
        fresh = [int(row) for row in reached if row not in found]
    return found


def _range(values: IntArray, hidden: np.ndarray, equations: FloatArray, place: int) -> tuple[float, float]:
    """Limits of one hidden cell under the equations, each hidden one at least 1 (zeros are shown)."""
    places = np.flatnonzero(hidden)
    left = equations[:, places]
    right = -(equations[:, ~hidden] @ values[~hidden])
    aim = (places == place).astype(np.float64)
    return _extreme(aim, left, right), -_extreme(-aim, left, right)


def _extreme(aim: FloatArray, left: FloatArray, right: FloatArray) -> float:
    found = linprog(aim, A_eq=left, b_eq=right, bounds=(1, None), method="highs")
    if found.status == 3:  # unbounded: the margin is hidden too
        return float("-inf")
    if found.status != 0:
        raise ArithmeticError(f"no range of a hidden cell: {found.message}")
    return float(found.fun)
