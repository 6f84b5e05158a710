"""Hospitals simulated at the level of counts: a truth, an archive drawn from it, an audit drawn from the archive.

No image and no report text: units with a truth, a score and a report statement, so that thousands of audits take
minutes. The ranges below are wide on purpose; no estimate is tuned to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimates.audit_cells import STRATA_EDGES, AiResult, Cell, ReportResult
from estimates.audit_design import allocate, planned_shares

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

AI, REPORTS = list(AiResult), list(ReportResult)
N_STRATA = len(STRATA_EDGES) + 1
SPLIT = (AiResult.NOT_FLAGGED, ReportResult.NOT_REPORTED)
CELLS = tuple(
    Cell(ai, report, stratum)
    for ai in AI
    for report in REPORTS
    for stratum in range(N_STRATA if (ai, report) == SPLIT else 1)
)
_FIRST = np.array([[CELLS.index(Cell(ai, report)) for report in REPORTS] for ai in AI])

UNITS = (3_000, 30_000)  # patient-days, drawn on the log scale
PREVALENCE = (0.02, 0.35)  # published: 17-24 %
GRADE_SHARES = (0.35, 0.40, 0.25)  # Genant 1, 2, 3 among cases
REPORT_SENSITIVITY = (0.08, 0.70)  # grade 2; published: 40-92 % missing from the report
REPORT_BY_GRADE = (0.4, 1.0, 1.4)
REPORT_FALSE = (0.0, 0.01)
AI_DISTANCE = (0.8, 3.2)  # of the means of scores, in standard deviations: AUC 0.71-0.99 at grade 2
AI_BY_GRADE = (-0.8, 0.0, 0.6)
AI_THRESHOLD = (1.0, 2.2)  # specificity 84-99 %


@dataclass(frozen=True)
class AuditedHospital:
    """Counts per cell of `CELLS`, of the archive and its audit, and what the archive was drawn from."""

    source_units: FloatArray  # the source's cells, in units of the archive's size
    true_share: FloatArray  # of cases, in the source
    n_units: IntArray
    archive_cases: IntArray
    n_read: IntArray
    cases_read: IntArray

    @property
    def archive_share(self) -> FloatArray:
        """Share of cases in the archive itself, zero in a cell without units."""
        return np.asarray(self.archive_cases / np.maximum(self.n_units, 1))

    @property
    def has_cell_without_event(self) -> bool:
        """Some cell holds cases of which the audit saw none."""
        return bool(((self.cases_read == 0) & (self.archive_cases > 0)).any())


def audited_hospital(rng: np.random.Generator, reads: int, units: tuple[int, int] = UNITS) -> AuditedHospital:
    """One hospital, its archive and an audit of `reads` readings with the shares planned by default."""
    source, cases = _counts(rng, units)
    true_share = cases / np.maximum(source, 1)
    n_units = rng.multinomial(source.sum(), source / source.sum())
    archive = rng.binomial(n_units, true_share)
    n_read = np.zeros_like(n_units)
    used = np.flatnonzero(n_units)
    cells = [CELLS[i] for i in used]
    n_read[used] = allocate(cells, n_units[used].tolist(), planned_shares(cells), reads)
    drawn = rng.hypergeometric(archive, n_units - archive, n_read)
    return AuditedHospital(source.astype(np.float64), true_share, n_units, archive, n_read, drawn)


def _counts(rng: np.random.Generator, units: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """Units and cases per cell, from single units with a grade, a score and a report."""
    n = int(np.exp(rng.uniform(*np.log(units))))
    is_case = rng.random(n) < rng.uniform(*PREVALENCE)
    grade = rng.choice(3, n, p=GRADE_SHARES)
    report = _reports(rng, is_case, grade)
    score = rng.normal(size=n) + is_case * (rng.uniform(*AI_DISTANCE) + np.array(AI_BY_GRADE)[grade])
    is_scored = rng.random(n) < rng.uniform(0.85, 0.99)
    ai = np.where(is_scored, np.where(score > rng.uniform(*AI_THRESHOLD), 0, 1), 2)
    is_split = (ai == AI.index(SPLIT[0])) & (report == REPORTS.index(SPLIT[1]))
    edges = np.quantile(score[is_split], STRATA_EDGES, method="higher")
    cell = _FIRST[ai, report] + np.where(is_split, np.searchsorted(edges, score, side="right"), 0)
    count = len(CELLS)
    return np.bincount(cell, minlength=count), np.bincount(cell[is_case], minlength=count)


def _reports(rng: np.random.Generator, is_case: np.ndarray, grade: IntArray) -> IntArray:
    """Place in `REPORTS` of each unit's statement; severe fractures are reported more often, by humans as by the AI."""
    of_case = np.clip(rng.uniform(*REPORT_SENSITIVITY) * np.array(REPORT_BY_GRADE)[grade], 0, 0.97)
    chance = np.where(is_case, of_case, rng.uniform(*REPORT_FALSE))
    is_mentioned = rng.random(len(is_case)) < chance
    is_ambiguous = rng.random(len(is_case)) < np.where(is_case, rng.uniform(0.1, 0.4), 0.6)
    has_report = rng.random(len(is_case)) < rng.uniform(0.95, 1.0)
    said = np.where(is_mentioned, np.where(is_ambiguous, 1, 0), 2)
    return np.where(has_report, said, REPORTS.index(ReportResult.NO_REPORT))
