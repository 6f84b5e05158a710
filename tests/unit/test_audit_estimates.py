"""Estimates from the four cells, by hand and against the golden numbers of the four-cell example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from estimates.audit_cells import AiResult, Cell, Definition, ReportResult
from estimates.audit_estimates import (
    Reader,
    missed_rate,
    predictive_value,
    prevalence,
    sensitivity,
    share_of_missed,
    specificity,
)
from estimates.audit_limits import Method, MonteCarlo
from estimates.audit_reads import AuditReads, CellReads
from estimates.bounds import audit_bounds
from estimates.proportion import clopper_pearson
from estimates.reader_error import reader_error_table
from estimates.result import Refused, TooFewEvents

STRICT, LENIENT = Definition.STRICT, Definition.LENIENT
FOUR = (
    Cell(AiResult.FLAGGED, ReportResult.FRACTURE),
    Cell(AiResult.FLAGGED, ReportResult.NOT_REPORTED),
    Cell(AiResult.NOT_FLAGGED, ReportResult.FRACTURE),
    Cell(AiResult.NOT_FLAGGED, ReportResult.NOT_REPORTED),
)
UNITS, SHARES, READS = (700, 300, 150, 8850), (0.98, 0.35, 0.70, 0.004), (50, 200, 50, 300)
TRUE_PREVALENCE, TRUE_MISSED = 0.09314, 0.15074  # 931.4 cases, 140.4 of them missed


def four(cases: Sequence[int], reads: Sequence[int] = READS, units: Sequence[int] = UNITS) -> AuditReads:
    rows = zip(FOUR, units, reads, cases, strict=True)
    return AuditReads(("any",), tuple(CellReads(cell, n, r, (int(k),)) for cell, n, r, k in rows))


def quick(method: Method = Method.SHARED, draws: int = 800, *, is_finite: bool = False) -> MonteCarlo:
    return MonteCarlo(method, is_finite, draws)


def test_values_are_the_design_weighted_ones() -> None:
    reads = four((49, 70, 35, 1))
    cases = [700 * 49 / 50, 300 * 70 / 200, 150 * 35 / 50, 8850 / 300]
    assert prevalence(reads).value == pytest.approx(sum(cases) / 10_000)
    assert missed_rate(reads, STRICT).value == pytest.approx((cases[1] + cases[3]) / sum(cases))
    assert sensitivity(reads, Reader.AI).value == pytest.approx((cases[0] + cases[1]) / sum(cases))
    assert sensitivity(reads, Reader.REPORTS, STRICT).value == pytest.approx(
        (cases[0] + cases[2]) / sum(cases)
    )
    healthy = [700 - cases[0], 300 - cases[1], 150 - cases[2], 8850 - cases[3]]
    assert specificity(reads, Reader.AI).value == pytest.approx((healthy[2] + healthy[3]) / sum(healthy))
    assert specificity(reads, Reader.REPORTS).value == pytest.approx((healthy[1] + healthy[3]) / sum(healthy))
    assert predictive_value(reads, Reader.AI).value == pytest.approx((cases[0] + cases[1]) / 1000)


def test_an_estimate_says_what_it_is_made_of() -> None:
    found = missed_rate(four((49, 70, 35, 1)), STRICT)
    assert found.numerator / found.denominator == pytest.approx(found.value)
    assert "600 reads standing for 10000 patient-days in 4 cells" in found.given
    assert "strict" in found.given
    assert "archives like this one" in found.method
    finite = missed_rate(four((49, 70, 35, 1)), STRICT, how=quick(is_finite=True))
    assert "this archive (finite population)" in finite.method


def test_golden_width_at_600_reads() -> None:
    """Prevalence to ± 0.7 points and the missed rate as 15.1 % ± 5.8, over samples of the example."""
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(2_000):
        k = rng.binomial(READS, SHARES)
        cases = np.array(UNITS) * k / np.array(READS)
        errors.append((cases.sum() / 10_000, cases[[1, 3]].sum() / cases.sum()))
    spread = 1.96 * np.std(errors, axis=0)
    assert spread[0] == pytest.approx(0.007, abs=0.001)
    assert spread[1] == pytest.approx(0.058, abs=0.006)


def test_golden_coverage_of_jeffreys_and_of_ours() -> None:
    """Jeffreys in each of the four cells: 96 % of the missed rates, 98 % of the prevalences."""
    rng, hits = np.random.default_rng(6), np.zeros(4)
    n = 300
    for _ in range(n):
        reads = four(rng.binomial(READS, SHARES).tolist())
        for i, method in enumerate((Method.JEFFREYS, Method.SHARED)):
            missed, common = (
                missed_rate(reads, STRICT, how=quick(method)),
                prevalence(reads, how=quick(method)),
            )
            hits[2 * i] += missed.low <= TRUE_MISSED <= missed.high
            hits[2 * i + 1] += common.low <= TRUE_PREVALENCE <= common.high
    tolerance = 3 * (0.95 * 0.05 / n) ** 0.5
    assert hits / n == pytest.approx([0.96, 0.98, 0.96, 0.97], abs=tolerance)


def test_the_bootstrap_of_patients_is_refused_where_it_fails() -> None:
    with pytest.raises(TooFewEvents, match="fewer than 10 events"):
        missed_rate(four((49, 70, 35, 1)), STRICT, how=quick(Method.BOOTSTRAP))


def test_the_bootstrap_agrees_where_every_cell_is_full() -> None:
    reads = four((490, 350, 350, 20), (500, 1000, 500, 5000), (7000, 3000, 1500, 88500))
    boot = missed_rate(reads, STRICT, how=quick(Method.BOOTSTRAP, 4_000))
    ours = missed_rate(reads, STRICT, how=quick(draws=4_000))
    assert (boot.low, boot.high) == pytest.approx((ours.low, ours.high), abs=0.01)


@pytest.mark.parametrize("method", [Method.SHARED, Method.MELDED, Method.JEFFREYS])
def test_no_case_among_the_double_negatives_is_not_no_case(method: Method) -> None:
    found = missed_rate(four((49, 70, 35, 0)), STRICT, how=quick(method, 4_000))
    assert found.value == pytest.approx(105 / 896)
    assert found.high > TRUE_MISSED


def test_one_cell_is_a_plain_share() -> None:
    """One cell alone: SHARED is Jeffreys' interval, MELDED that of Clopper and Pearson."""
    reads = AuditReads(("any",), (CellReads(FOUR[1], 10_000, 60, (7,)),))
    exact = clopper_pearson(7, 60)
    melded = prevalence(reads, how=quick(Method.MELDED, 60_000))
    assert (melded.low, melded.high) == pytest.approx((exact.low, exact.high), abs=0.003)
    ours, jeffreys = (prevalence(reads, how=quick(m, 60_000)) for m in (Method.SHARED, Method.JEFFREYS))
    assert (ours.low, ours.high) == pytest.approx((jeffreys.low, jeffreys.high), abs=0.003)


def test_all_read_leaves_nothing_open_about_this_archive() -> None:
    reads = four((49, 70, 35, 1), READS, READS)
    for method in (Method.SHARED, Method.MELDED, Method.JEFFREYS):
        found = missed_rate(reads, STRICT, how=quick(method, is_finite=True))
        assert (found.low, found.high) == pytest.approx((found.value, found.value))
    assert (
        missed_rate(reads, STRICT, how=quick()).high > 71 / 155 + 0.02
    )  # archives like it are another matter


def test_ambiguous_reports_part_the_two_definitions() -> None:
    cells = (
        CellReads(Cell(AiResult.FLAGGED, ReportResult.FRACTURE), 100, 50, (50,)),
        CellReads(Cell(AiResult.FLAGGED, ReportResult.AMBIGUOUS), 100, 50, (25,)),
        CellReads(Cell(AiResult.FLAGGED, ReportResult.NOT_REPORTED), 100, 50, (25,)),
        CellReads(Cell(AiResult.FLAGGED, ReportResult.NO_REPORT), 1000, 50, (50,)),
    )
    reads = AuditReads(("any",), cells)
    assert missed_rate(reads, STRICT).value == pytest.approx(100 / 200)
    assert missed_rate(reads, LENIENT).value == pytest.approx(
        50 / 200
    )  # no report: nothing was missed by one
    assert prevalence(reads).value == pytest.approx(1200 / 1300)


def test_grades_and_silence_among_the_missed() -> None:
    cells = (
        CellReads(FOUR[0], 700, 50, (10, 20, 18, 0)),
        CellReads(FOUR[1], 300, 200, (30, 20, 10, 10)),
        CellReads(FOUR[3], 8850, 300, (1, 0, 0, 0)),
    )
    reads = AuditReads(("grade 1", "grade 2", "grade 3", "treated"), cells)
    classes = ("grade 1", "grade 2", "grade 3")
    by_hand = (300 * 60 / 200 + 8850 / 300) / (300 * 60 / 200 + 8850 / 300 + 700 * 48 / 50)
    assert missed_rate(reads, STRICT, classes).value == pytest.approx(by_hand)
    parts = [share_of_missed(reads, (name,), STRICT) for name in reads.classes]
    assert sum(part.value for part in parts) == pytest.approx(1)
    assert parts[0].value == pytest.approx((45 + 29.5) / (105 + 29.5))
    assert parts[2].low < parts[2].value < parts[2].high
    assert missed_rate(reads, STRICT, ("grade 3",)).value == pytest.approx(15 / (15 + 252))
    with pytest.raises(ValueError, match="grade 9"):
        missed_rate(reads, STRICT, ("grade 9",))


def test_a_cell_without_reads_is_refused() -> None:
    unread = AuditReads(("any",), (*four((49, 70, 35, 1)).cells[:3], CellReads(FOUR[3], 8850, 0, (0,))))
    for estimate in (prevalence, lambda r: missed_rate(r, STRICT)):
        with pytest.raises(Refused, match="no reads"):
            estimate(unread)


def test_no_case_at_all_has_no_missed_rate() -> None:
    with pytest.raises(Refused, match="nothing to divide by"):
        missed_rate(four((0, 0, 0, 0)), STRICT)
    none = prevalence(four((0, 0, 0, 0)))
    assert none.value == none.low == 0
    assert 0.001 < none.high < 0.02


def test_impossible_counts_are_errors() -> None:
    with pytest.raises(ValueError, match="cases"):
        CellReads(FOUR[0], 10, 11, (0,))
    with pytest.raises(ValueError, match="cases"):
        CellReads(FOUR[0], 10, 5, (3, 3))
    with pytest.raises(ValueError, match="twice"):
        AuditReads(("any",), (CellReads(FOUR[0], 9, 5, (3,)), CellReads(FOUR[0], 9, 5, (3,))))
    with pytest.raises(ValueError, match="one count for each"):
        AuditReads(("a", "b"), (CellReads(FOUR[0], 9, 5, (3,)),))


def test_readers_errors_move_the_shares() -> None:
    reads = four((49, 70, 35, 3))
    perfect, deaf, loose, contradicted = (
        reader_error_table(reads, STRICT, (se,), (sp,))[0]
        for se, sp in ((1.0, 1.0), (0.8, 1.0), (1.0, 0.99), (1.0, 0.5))
    )
    assert perfect.prevalence == pytest.approx(prevalence(reads).value)
    assert perfect.missed_rate == pytest.approx(missed_rate(reads, STRICT).value)
    assert deaf.prevalence
    assert loose.missed_rate
    assert perfect.missed_rate
    assert deaf.prevalence > prevalence(reads).value
    assert loose.missed_rate < perfect.missed_rate  # the big cell loses its cases first
    assert (contradicted.prevalence, contradicted.missed_rate) == (None, None)
    assert len(reader_error_table(reads, STRICT, (0.8, 0.9), (0.98, 0.99, 1.0))) == 6
    with pytest.raises(ValueError, match="tells nothing"):
        reader_error_table(reads, STRICT, (0.4,), (0.6,))


def test_what_nobody_scored_is_bounded() -> None:
    reads = four((49, 70, 35, 1))
    unread = [
        (Cell(AiResult.NOT_SCORED, ReportResult.NOT_REPORTED), 400),
        (Cell(AiResult.NOT_SCORED, ReportResult.FRACTURE), 100),
    ]
    cases, missed = 686 + 105 + 105 + 29.5, 105 + 29.5
    common = audit_bounds(reads, unread, lambda r: prevalence(r, how=quick()))
    assert common.observed.value == pytest.approx(cases / 10_000)
    assert (common.lowest.value, common.highest.value) == pytest.approx(
        (cases / 10_500, (cases + 500) / 10_500)
    )
    rate = audit_bounds(reads, unread, lambda r: missed_rate(r, STRICT, how=quick()))
    assert rate.lowest.value == pytest.approx(missed / (cases + 100))
    assert rate.highest.value == pytest.approx((missed + 400) / (cases + 400))
    assert rate.lowest.low < rate.observed.low < rate.observed.high < rate.highest.high
    assert "500 units that nobody read" in rate.highest.given
    with pytest.raises(ValueError, match="13 cells"):
        audit_bounds(reads, unread[:1] * 13, prevalence)
