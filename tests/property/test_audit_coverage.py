"""The intervals of an audit hold the truth as often as they say: `make coverage` in small.

A share of n hospitals may lie three standard errors outside the range that 5,000 of them have to meet.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are not installed

from benchmarks.audit_hospitals import CELLS, audited_hospital
from benchmarks.coverage import KINDS, QUANTITIES, READS, Coverage, audit_reads, coverage
from estimates.audit_cells import AiResult, Cell, Definition, ReportResult
from estimates.audit_design import allocate, planned_shares
from estimates.audit_estimates import missed_rate, prevalence
from estimates.audit_limits import Method, MonteCarlo
from estimates.audit_reads import AuditReads, CellReads

N_HOSPITALS = 120
TESTED = [kind for kind in KINDS if kind.wanted and not (kind.method is Method.MELDED and kind.is_finite)]


@pytest.fixture(scope="module")
def rows() -> list[Coverage]:
    return coverage(N_HOSPITALS, TESTED)


def slack(share: float, n: int) -> float:
    return float(3 * (share * (1 - share) / n) ** 0.5)


@pytest.mark.slow
def test_every_quantity_is_covered(rows: list[Coverage]) -> None:
    assert len(rows) == len(TESTED) * len(QUANTITIES)
    for row in rows:
        assert row.kind.wanted
        low, high = row.kind.wanted
        assert low - slack(low, row.n) <= row.share <= high + slack(high, row.n), (
            row.kind.name,
            row.quantity,
        )


@pytest.mark.slow
def test_cells_without_an_event_are_among_them(rows: list[Coverage]) -> None:
    """Where the bootstrap fails: audits that saw none of the cases of some cell."""
    empty = [row for row in rows if row.kind.method is Method.SHARED]
    assert min(row.n_empty for row in empty) > N_HOSPITALS / 5
    for row in empty:
        assert row.share_of_empty >= 0.935 - slack(0.935, row.n_empty), (row.kind.name, row.quantity)


@pytest.mark.slow
def test_both_tails_are_used(rows: list[Coverage]) -> None:
    """All quantities together: neither side of the approximate limits is missed far more often than the other."""
    shared = [row for row in rows if row.kind.method is Method.SHARED]
    total = sum(row.n for row in shared)
    for missed in (sum(row.n_below for row in shared), sum(row.n_above for row in shared)):
        assert 0.01 <= missed / total <= 0.05


# Shares of cases in the three score strata of the double negatives, lowest scores first.
DOUBLE_NEGATIVES = {
    "ordered": (0.001, 0.003, 0.03),
    "the score says nothing": (0.004, 0.004, 0.004),
    "hardly any": (0.0004, 0.0004, 0.0004),
    "all in the highest": (0.0, 0.0, 0.03),
    "all in the lowest, against the order": (0.008, 0.0, 0.0),
}


@pytest.mark.parametrize("case", DOUBLE_NEGATIVES)
def test_one_hospital_at_a_time_is_covered_too(case: str) -> None:
    """Not only the average over hospitals: the missed rate of the four-cell example, wherever its missed cases lie."""
    cells = [
        Cell(AiResult.FLAGGED, ReportResult.FRACTURE),
        Cell(AiResult.FLAGGED, ReportResult.NOT_REPORTED),
        Cell(AiResult.NOT_FLAGGED, ReportResult.FRACTURE),
        *(Cell(AiResult.NOT_FLAGGED, ReportResult.NOT_REPORTED, i) for i in range(3)),
    ]
    units, shares = (700, 300, 150, 5310, 2655, 885), (0.98, 0.35, 0.70, *DOUBLE_NEGATIVES[case])
    n_read = allocate(cells, units, planned_shares(cells), READS)
    cases = np.array(units) * np.array(shares)
    truth = cases[[1, 3, 4, 5]].sum() / cases.sum()
    rng, hits, n = np.random.default_rng(11), 0, 200
    for _ in range(n):
        drawn = rng.binomial(n_read, shares).tolist()
        rows = zip(cells, units, n_read, drawn, strict=True)
        reads = AuditReads(("any",), tuple(CellReads(c, u, r, (k,)) for c, u, r, k in rows))
        found = missed_rate(reads, Definition.STRICT, how=MonteCarlo(draws=500))
        hits += found.low <= truth <= found.high
    assert hits / n >= 0.935 - slack(0.935, n)


def test_a_small_archive_that_is_mostly_read_is_covered_as_its_source_too() -> None:
    """How many scans of each cell a source gave is chance: hardly any of it is left where most scans were read."""
    how, hits, n = MonteCarlo(draws=500), 0, 200
    for seed in range(n):
        hospital = audited_hospital(np.random.default_rng([7, seed]), 300, units=(400, 401))
        found = prevalence(audit_reads(hospital), how=how)
        truth = (hospital.source_units * hospital.true_share).sum() / hospital.source_units.sum()
        hits += found.low <= truth <= found.high
    assert hits / n >= 0.935 - slack(0.935, n)


def test_a_hospital_is_drawn_as_it_says() -> None:
    found = audited_hospital(np.random.default_rng(1), READS)
    again = audited_hospital(np.random.default_rng(1), READS)
    assert (found.cases_read == again.cases_read).all()
    assert found.n_read.sum() == READS
    assert (found.cases_read <= found.n_read).all()
    assert (found.n_read <= found.n_units).all()
    assert (found.archive_cases <= found.n_units).all()
    reads = audit_reads(found)
    assert len(reads.cells) == np.count_nonzero(found.n_units) <= len(CELLS)


def test_truths_are_worked_out_apart_from_the_estimates() -> None:
    """With every unit read, each estimate is its truth: the two ways to write a quantity agree."""
    found = audited_hospital(np.random.default_rng(2), READS)
    share = found.archive_share
    everything = replace(found, n_read=found.n_units, cases_read=found.archive_cases)
    for quantity in QUANTITIES:
        truth = quantity.truth(found.n_units.astype(float), share)
        assert quantity.estimator(audit_reads(everything), MonteCarlo(draws=50)).value == pytest.approx(
            truth
        ), quantity.name
