"""What holds for every count: limits inside [0, 1] around the value, order, symmetry, naive answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from estimates.audit_cells import AiResult, Cell, Definition, ReportResult
from estimates.audit_design import allocate, planned_shares
from estimates.audit_estimates import Reader, missed_rate, prevalence, sensitivity, specificity
from estimates.audit_limits import Method, MonteCarlo
from estimates.audit_reads import AuditReads, CellReads
from estimates.capture import chapman
from estimates.clustered import auc_by_patient
from estimates.prior import shifted_probability
from estimates.proportion import clopper_pearson, upper_bound, wilson
from estimates.result import Refused
from estimates.roc import auc
from estimates.rogan_gladen import Accuracy, AccuracySource, lang_reiczigel
from estimates.standard import fay_feuer

CELLS = tuple(Cell(ai, report) for ai in AiResult for report in ReportResult)


@st.composite
def shares(draw: st.DrawFn, largest: int = 400) -> tuple[int, int]:
    n = draw(st.integers(1, largest))
    return draw(st.integers(0, n)), n


@st.composite
def audits(draw: st.DrawFn) -> AuditReads:
    cells = draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=6, unique=True))
    rows = []
    for cell in cells:
        n_units = draw(st.integers(1, 500))
        n_read = draw(st.integers(1, min(n_units, 40)))
        rows.append(CellReads(cell, n_units, n_read, (draw(st.integers(0, n_read)),)))
    return AuditReads(("any",), tuple(rows))


@given(shares())
def test_limits_hold_the_value_and_stay_inside(counts: tuple[int, int]) -> None:
    for found in (clopper_pearson(*counts), wilson(*counts), upper_bound(*counts)):
        assert 0 <= found.low <= found.value <= found.high <= 1


@given(shares())
def test_exact_limits_are_where_the_binomial_tail_is_025(counts: tuple[int, int]) -> None:
    k, n = counts
    found = clopper_pearson(k, n)
    if k > 0:
        assert binom.sf(k - 1, n, found.low) == pytest.approx(0.025, rel=1e-6)
    if k < n:
        assert binom.cdf(k, n, found.high) == pytest.approx(0.025, rel=1e-6)


@given(shares())
def test_limits_rise_with_the_count_and_mirror(counts: tuple[int, int]) -> None:
    k, n = counts
    here, mirror = clopper_pearson(k, n), clopper_pearson(n - k, n)
    assert [here.low, here.high] == pytest.approx([1 - mirror.high, 1 - mirror.low])
    if k < n:
        more = clopper_pearson(k + 1, n)
        assert more.low > here.low or here.low == 0
        assert more.high > here.high or more.high == 1


@given(shares(100), shares(100), shares(2_000))
def test_lang_reiczigel_stays_inside_and_rises_with_the_flags(
    positive: tuple[int, int], negative: tuple[int, int], flags: tuple[int, int]
) -> None:
    try:
        known = Accuracy(*positive, *negative, AccuracySource.EXTERNAL_HUMAN_READ, "drawn")
        found = lang_reiczigel(*flags, known)
        assert 0 <= found.estimate.low <= found.estimate.value <= found.estimate.high <= 1
        if flags[0] < flags[1]:
            assert lang_reiczigel(flags[0] + 1, flags[1], known).raw_value > found.raw_value
    except Refused:
        plain = positive[0] / positive[1] + negative[0] / negative[1]
        shrunken = (positive[0] + 1) / (positive[1] + 2) + (negative[0] + 1) / (negative[1] + 2)
        assert min(plain, shrunken) <= 1 + 1e-12  # a coin, or a set too small to tell it from one


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=8))
@example([(1, 1.0, 0.537109375), (119, 1.0, 1.0)])  # everybody: their weights sum to a little more than 1
def test_fay_feuer_holds_the_weighted_rate(bands: list[tuple[int, float, float]]) -> None:
    n = [size for size, _, _ in bands]
    events = [int(size * share) for size, share, _ in bands]
    weights = np.array([weight for _, _, weight in bands])
    weights /= weights.sum()
    found = fay_feuer(events, n, weights.tolist())
    assert found.value == pytest.approx(sum(w * k / m for w, k, m in zip(weights, events, n, strict=True)))
    assert 0 <= found.low <= found.value <= found.high


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 80))
def test_chapman_never_finds_fewer_than_were_seen(a: int, b: int, both: int) -> None:
    both = min(a, b, both)
    found = chapman(a, b, both)
    seen = a + b - both
    assert seen <= found.low + 1e-9 <= found.value + 2e-9 <= found.high + 3e-9


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_prior_shift_goes_back(probability: float, here: float, there: float) -> None:
    back = shifted_probability(shifted_probability([probability], here, there), there, here)
    assert back[0] == pytest.approx(probability)


@settings(deadline=None, max_examples=60)
@given(audits(), st.sampled_from([Method.SHARED, Method.MELDED, Method.JEFFREYS]), st.booleans())
def test_audit_limits_hold_the_naive_value(reads: AuditReads, method: Method, is_finite: bool) -> None:
    how = MonteCarlo(method, is_finite, draws=200)
    total = sum(row.n_units * row.cases[0] / row.n_read for row in reads.cells)
    found = prevalence(reads, how=how)
    assert found.value == pytest.approx(total / sum(row.n_units for row in reads.cells))
    assert 0 <= found.low <= found.value <= found.high <= 1
    with_report = [row for row in reads.cells if row.cell.has_report]
    cases = {row.cell: row.n_units * row.cases[0] / row.n_read for row in with_report}
    if sum(cases.values()) == 0:
        with pytest.raises(Refused):
            missed_rate(reads, Definition.STRICT, how=how)
        return
    missed = missed_rate(reads, Definition.STRICT, how=how)
    by_hand = sum(v for c, v in cases.items() if c.report is not ReportResult.FRACTURE)
    assert missed.value == pytest.approx(by_hand / sum(cases.values()))
    assert 0 <= missed.low <= missed.value <= missed.high <= 1
    reported = sensitivity(reads, Reader.REPORTS, Definition.STRICT, how=how)
    assert reported.value == pytest.approx(1 - missed.value)
    assert missed_rate(reads, Definition.LENIENT, how=how).value <= missed.value + 1e-12


@settings(deadline=None, max_examples=40)
@given(audits())
def test_the_conservative_limits_hold_the_others(reads: AuditReads) -> None:
    """Up to the error of the Monte Carlo."""
    melded, jeffreys = (
        prevalence(reads, how=MonteCarlo(method, draws=4_000)) for method in (Method.MELDED, Method.JEFFREYS)
    )
    slack = 0.02
    assert melded.low <= jeffreys.low + slack
    assert melded.high >= jeffreys.high - slack


@settings(deadline=None, max_examples=40)
@given(audits())
def test_healthy_and_cases_mirror_each_other(reads: AuditReads) -> None:
    """Specificity is the sensitivity of the opposite answer for the opposite truth."""
    turned = {AiResult.FLAGGED: AiResult.NOT_FLAGGED, AiResult.NOT_FLAGGED: AiResult.FLAGGED}
    mirrored = AuditReads(
        ("any",),
        tuple(
            CellReads(
                Cell(turned.get(row.cell.ai, row.cell.ai), row.cell.report),
                row.n_units,
                row.n_read,
                (row.n_read - row.cases[0],),
            )
            for row in reads.cells
        ),
    )
    try:
        assert specificity(reads, Reader.AI).value == pytest.approx(sensitivity(mirrored, Reader.AI).value)
    except Refused:
        with pytest.raises(Refused):
            sensitivity(mirrored, Reader.AI)


@given(
    st.lists(st.integers(1, 20_000), min_size=1, max_size=len(CELLS)),
    st.integers(1, 30),
    st.integers(0, 2_000),
)
def test_allocation_keeps_its_limits(sizes: list[int], least: int, more: int) -> None:
    cells = CELLS[: len(sizes)]
    needed = sum(min(size, least) for size in sizes)
    reads = allocate(cells, sizes, planned_shares(cells), needed + more, min_reads=least)
    assert sum(reads) == min(needed + more, sum(sizes))
    assert all(min(size, least) <= n <= size for n, size in zip(reads, sizes, strict=True))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 9)), min_size=20, max_size=60))
def test_area_by_patient_is_the_plain_area(scans: list[tuple[int, bool, int]]) -> None:
    scores, truth, patients = (np.array(column) for column in zip(*scans, strict=True))
    try:
        found = auc_by_patient(scores, truth, patients)
    except (Refused, ValueError):
        return  # one class is missing, or nearly
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(scores[truth], scores[~truth])]
    assert (
        found.value
        == pytest.approx(np.mean(pairs))
        == pytest.approx(auc(scores[truth], scores[~truth]).value)
    )
    assert found.low <= found.value <= found.high
