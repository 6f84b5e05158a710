"""How many units of each cell are read, and which ones: fixed, with the seed, before any reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from estimates.audit_cells import AiResult, Cell, Definition, Frame, ReportResult
from estimates.result import FloatArray, IntArray

# Shares of true cases that a first audit plans with, before anything is read. They set how precise it gets, never
# what it estimates: 4-cell example of Se 0.85 and Sp 0.96 at a prevalence near 10 %, rounded towards one half.
PLANNED_SHARE = {
    (AiResult.FLAGGED, ReportResult.FRACTURE): 0.95,
    (AiResult.FLAGGED, ReportResult.AMBIGUOUS): 0.7,
    (AiResult.FLAGGED, ReportResult.NOT_REPORTED): 0.4,
    (AiResult.FLAGGED, ReportResult.NO_REPORT): 0.5,
    (AiResult.NOT_FLAGGED, ReportResult.FRACTURE): 0.7,
    (AiResult.NOT_FLAGGED, ReportResult.AMBIGUOUS): 0.3,
    (AiResult.NOT_FLAGGED, ReportResult.NOT_REPORTED): 0.01,
    (AiResult.NOT_FLAGGED, ReportResult.NO_REPORT): 0.02,
    (AiResult.NOT_SCORED, ReportResult.FRACTURE): 0.8,
    (AiResult.NOT_SCORED, ReportResult.AMBIGUOUS): 0.5,
    (AiResult.NOT_SCORED, ReportResult.NOT_REPORTED): 0.05,
    (AiResult.NOT_SCORED, ReportResult.NO_REPORT): 0.1,
}
# A cell with fewer reads has an interval wider than half of [0, 1]; smaller cells are read whole.
MIN_READS = 20
_ORDER_STREAM = 1_000_003  # seeds the order of reading; no cell has this number


@dataclass(frozen=True)
class DesignCell:
    """One row of the stored design: how many units there are, how many are read, and the share planned with."""

    cell: Cell
    n_units: int
    n_reads: int
    planned_share: float

    @property
    def fraction(self) -> float:
        return self.n_reads / self.n_units


@dataclass(frozen=True)
class AuditDesign:
    """Stored before any reading; together with the frame it gives the sample again."""

    seed: int
    edges: tuple[float, ...]
    cells: tuple[DesignCell, ...]

    @property
    def n_reads(self) -> int:
        return sum(row.n_reads for row in self.cells)


def plan_audit(
    frame: Frame,
    reads: int,
    seed: int,
    *,
    planned: Mapping[Cell, float] | None = None,
    min_reads: int = MIN_READS,
) -> AuditDesign:
    """The design for a number of reads. `planned` overrides the planned share of single cells (a pilot's, say)."""
    shares = planned_shares(frame.cells, planned)
    n_reads = allocate(frame.cells, frame.sizes, shares, reads, min_reads=min_reads)
    rows = zip(frame.cells, frame.sizes, n_reads, shares, strict=True)
    return AuditDesign(seed, frame.edges, tuple(DesignCell(*row) for row in rows))


def planned_shares(cells: Sequence[Cell], planned: Mapping[Cell, float] | None = None) -> list[float]:
    given = planned or {}
    return [given.get(cell, PLANNED_SHARE[(cell.ai, cell.report)]) for cell in cells]


def allocate(
    cells: Sequence[Cell],
    sizes: Sequence[int],
    shares: Sequence[float],
    reads: int,
    *,
    min_reads: int = MIN_READS,
) -> tuple[int, ...]:
    """Reads per cell: n ∝ N·√(p(1−p))·|influence|, at least `min_reads`, at most all units; sums to `reads`.

    Neyman 1934 for two targets at once, the number of cases (relative error) and the missed rate (absolute): a cell's
    influence is √(1 + g²)/T, with T the planned cases and g = 1 − m in a cell without, m in one with a reported
    fracture, 0 without a report. ValueError when `reads` does not reach the minimum of every cell.
    """
    size, share = np.asarray(sizes, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    low = np.minimum(size, min_reads)
    if low.sum() > reads:
        raise ValueError(f"{len(cells)} cells need at least {int(low.sum())} reads; {reads} were asked for")
    wanted = size * np.sqrt(share * (1 - share)) * _influence(cells, size, share)
    return _rounded(_shared_out(wanted, low, size, float(min(reads, size.sum()))), low, size)


def _influence(cells: Sequence[Cell], size: FloatArray, share: FloatArray) -> FloatArray:
    """How much an error in a cell's share moves the two targets, up to a factor common to all cells."""
    cases = size * share
    has_report = np.array([cell.has_report for cell in cells])
    missed = np.array([cell.has_report and not cell.is_reported(Definition.LENIENT) for cell in cells])
    rate = cases[missed].sum() / max(cases[has_report].sum(), 1e-12)
    moves = np.where(missed, 1 - rate, np.where(has_report, rate, 0.0))
    return np.asarray(np.sqrt(1 + moves**2))


def _shared_out(wanted: FloatArray, low: FloatArray, high: FloatArray, total: float) -> FloatArray:
    """c·wanted between low and high, with the c for which it sums to `total`. Bisection on log c."""
    wanted = np.maximum(wanted, 1e-12)
    below, above = -60.0, 60.0
    for _ in range(100):
        middle = (below + above) / 2
        if np.clip(np.exp(middle) * wanted, low, high).sum() < total:
            below = middle
        else:
            above = middle
    return np.asarray(np.clip(np.exp(above) * wanted, low, high))


def _rounded(exact: FloatArray, low: FloatArray, high: FloatArray) -> tuple[int, ...]:
    """Whole reads with the same sum: rounded down, the rest to the largest remainders that have room."""
    total = round(float(exact.sum()))
    reads = np.maximum(np.floor(exact + 1e-9), low)
    room = np.argsort(-(exact - reads), kind="stable")
    for i in [*room, *room]:
        if reads.sum() >= total:
            break
        reads[i] += reads[i] < high[i]
    return tuple(int(value) for value in reads)


@dataclass(frozen=True)
class DrawnSample:
    """What is read, in the order of reading: place of each unit in the frame, and the place of its cell."""

    units: IntArray
    cell_of: IntArray


def draw_sample(unit_ids: Sequence[str], frame: Frame, design: AuditDesign) -> DrawnSample:
    """A simple random sample of every cell, then one shuffled reading list that does not show the cells.

    Depends on the seed, the ids and the cells, never on the order in which the units came. ValueError when the
    frame is not the one that was designed for.
    """
    if len(set(unit_ids)) != len(unit_ids):
        raise ValueError("a unit is in the frame twice")
    planned = {row.cell: row for row in design.cells}
    if tuple(planned) != frame.cells or [row.n_units for row in design.cells] != list(frame.sizes):
        raise ValueError("the frame changed after the design was stored: plan a new audit")
    ids = np.asarray(unit_ids)
    drawn = []
    for place, cell in enumerate(frame.cells):
        members = np.flatnonzero(frame.cell_of == place)
        members = members[np.argsort(ids[members], kind="stable")]
        rng = np.random.default_rng([design.seed, place])
        drawn.append(rng.choice(members, planned[cell].n_reads, replace=False))
    units = np.concatenate(drawn)
    units = units[np.argsort(ids[units], kind="stable")]
    units = np.random.default_rng([design.seed, _ORDER_STREAM]).permutation(units)
    return DrawnSample(units, frame.cell_of[units])
