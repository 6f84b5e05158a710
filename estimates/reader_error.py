"""What if the readers err too: the audit's shares under assumed errors of the readings. A sensitivity analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from estimates.audit_cells import Definition
from estimates.audit_reads import AuditReads
from estimates.result import FloatArray, Refused


@dataclass(frozen=True)
class ReaderErrorRow:
    """The two shares under one assumption about the readers. None: the readings contradict the assumption."""

    reader_sensitivity: float
    reader_specificity: float
    prevalence: float | None
    missed_rate: float | None


def reader_error_table(
    reads: AuditReads,
    definition: Definition,
    sensitivities: Sequence[float],
    specificities: Sequence[float],
    classes: tuple[str, ...] | None = None,
) -> tuple[ReaderErrorRow, ...]:
    """Prevalence and missed rate if the readers had these errors, one row per pair, sensitivities outermost.

    In each cell p becomes (p + Sp − 1)/(Se + Sp − 1), clipped to [0, 1] (Rogan & Gladen 1978); the same error in
    every cell. No limits: the readers' true error is an assumption. A specificity that would make more false cases
    than cases were found is contradicted by the readings and gives None.
    """
    units, read, cases = reads.n_units, reads.n_read, reads.cases(classes)
    if (read[units > 0] == 0).any():
        raise Refused("a cell has units but no reads: leave it out and give its bounds")
    found = np.divide(cases, read, out=np.zeros_like(read), where=read > 0)
    with_report = np.array([row.cell.has_report for row in reads.cells], dtype=bool)
    missed = with_report & ~np.array([row.cell.is_reported(definition) for row in reads.cells], dtype=bool)
    return tuple(
        _row(units, found, with_report, missed, (se, sp)) for se in sensitivities for sp in specificities
    )


def _row(
    units: FloatArray,
    found: FloatArray,
    with_report: np.ndarray,
    missed: np.ndarray,
    error: tuple[float, float],
) -> ReaderErrorRow:
    se, sp = error
    if se + sp <= 1:
        raise ValueError("a reader with sensitivity + specificity of at most 1 tells nothing")
    if units @ found < (1 - sp) * units.sum():
        return ReaderErrorRow(se, sp, None, None)
    cases = units * np.clip((found + sp - 1) / (se + sp - 1), 0, 1)
    of_all = float(cases[with_report].sum())
    rate = float(cases[missed].sum()) / of_all if of_all > 0 else None
    return ReaderErrorRow(se, sp, float(cases.sum() / units.sum()), rate)
