"""What came back from the readers: cases by class in each cell, and which of them an estimate counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimates.audit_cells import Cell
from estimates.result import FloatArray, Refused

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True)
class CellReads:
    """One cell: units in the frame, units with a verdict, and how many of those are cases of each class.

    A unit that the readers could not judge has no verdict: it is not in `n_read`, and the page says how many.
    """

    cell: Cell
    n_units: int
    n_read: int
    cases: tuple[int, ...]

    def __post_init__(self) -> None:
        if min(self.cases, default=0) < 0 or not sum(self.cases) <= self.n_read <= self.n_units:
            raise ValueError(f"{sum(self.cases)} cases, {self.n_read} reads, {self.n_units} units")


@dataclass(frozen=True)
class AuditReads:
    """All cells with their reads. `classes` names the places of `CellReads.cases`, such as the Genant grades."""

    classes: tuple[str, ...]
    cells: tuple[CellReads, ...]

    def __post_init__(self) -> None:
        if len({row.cell for row in self.cells}) != len(self.cells):
            raise ValueError("a cell is there twice")
        if any(len(row.cases) != len(self.classes) for row in self.cells):
            raise ValueError("each cell needs one count for each class of cases")

    @property
    def n_units(self) -> FloatArray:
        return np.array([row.n_units for row in self.cells], dtype=np.float64)

    @property
    def n_read(self) -> FloatArray:
        return np.array([row.n_read for row in self.cells], dtype=np.float64)

    def cases(self, classes: tuple[str, ...] | None = None) -> FloatArray:
        """Cases per cell, of the named classes or of all. ValueError for a class that does not exist."""
        wanted = self.classes if classes is None else classes
        unknown = [name for name in wanted if name not in self.classes]
        if unknown:
            raise ValueError(f"no class of cases is called {', '.join(unknown)}")
        places = [self.classes.index(name) for name in wanted]
        return np.array([sum(row.cases[i] for i in places) for row in self.cells], dtype=np.float64)


@dataclass(frozen=True)
class CellRatio:
    """A/(A + B), with A and B sums of N·(events/n) over cells: the form of every estimate of an audit.

    All arrays have one value per cell. `a` and `b` are events among the `n` reads, zero outside `in_a` and `in_b`.
    `is_whole`: every read of a cell is an event of A or of B (cases and non-cases); there is no third kind.
    """

    n_units: FloatArray
    n: FloatArray
    a: FloatArray
    b: FloatArray
    in_a: BoolArray
    in_b: BoolArray
    is_whole: bool = False

    def __post_init__(self) -> None:
        used = self.in_a | self.in_b
        if (self.n[used & (self.n_units > 0)] == 0).any():
            raise Refused("a cell has units but no reads: read some, or leave it out and give its bounds")
        if not (self.a.sum() + self.b.sum()) > 0:
            raise Refused("no read counts towards this ratio: nothing to divide by")

    @property
    def weights(self) -> FloatArray:
        """Units per read, N/n; zero in a cell without units."""
        return np.divide(self.n_units, self.n, out=np.zeros_like(self.n), where=self.n > 0)

    @property
    def numerator(self) -> float:
        return float((self.weights * self.a).sum())

    @property
    def denominator(self) -> float:
        return float((self.weights * (self.a + self.b)).sum())


def cell_ratio(
    reads: AuditReads,
    a: FloatArray,
    in_a: BoolArray,
    b: FloatArray,
    in_b: BoolArray,
    *,
    is_whole: bool = False,
) -> CellRatio:
    """Events `a` counted in the cells `in_a` only, `b` in `in_b` only; other cells are left out."""
    used = in_a | in_b
    zero = np.zeros(int(used.sum()))
    return CellRatio(
        reads.n_units[used],
        reads.n_read[used],
        np.where(in_a[used], a[used], zero),
        np.where(in_b[used], b[used], zero),
        in_a[used],
        in_b[used],
        is_whole,
    )
