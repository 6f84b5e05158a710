"""Shares of groups that cut across the cells of an audit, and age-standardised ones."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.audit_cells import AiResult, Cell, ReportResult
from estimates.audit_domains import share_of_labels, standardised_from_reads
from estimates.audit_estimates import prevalence
from estimates.audit_limits import MonteCarlo
from estimates.audit_reads import AuditReads, CellReads
from estimates.result import Refused
from estimates.verification import VerifiedGroup, begg_greenes

FLAGGED = Cell(AiResult.FLAGGED, ReportResult.NOT_REPORTED)
OTHERS = Cell(AiResult.NOT_FLAGGED, ReportResult.NOT_REPORTED)
LABELS = ("young: case", "young: none", "old: case", "old: none")
BANDS = [LABELS[:2], LABELS[2:]]
HOW = MonteCarlo(draws=4000)
READS = AuditReads(
    LABELS,
    (CellReads(FLAGGED, 200, 50, (10, 15, 20, 5)), CellReads(OTHERS, 1000, 40, (1, 24, 2, 13))),
)


def test_the_share_of_a_group_is_a_ratio_of_weighted_reads() -> None:
    found = share_of_labels(READS, ("old: case",), ("old: none",), name="share", how=HOW)
    # 4 units a flagged read, 25 another.
    assert found.numerator == pytest.approx(20 * 4 + 2 * 25)
    assert found.denominator == pytest.approx(25 * 4 + 15 * 25)
    assert found.value == pytest.approx(130 / 475)
    assert found.low < found.value < found.high


def test_all_groups_together_are_the_prevalence() -> None:
    cases, others = (LABELS[0], LABELS[2]), (LABELS[1], LABELS[3])
    whole = share_of_labels(READS, cases, others, name="share", how=HOW)
    only_cases = AuditReads(
        ("case",),
        tuple(CellReads(c.cell, c.n_units, c.n_read, (c.cases[0] + c.cases[2],)) for c in READS.cells),
    )
    plain = prevalence(only_cases, how=HOW)
    assert whole.value == pytest.approx(plain.value)
    assert whole.low == pytest.approx(plain.low, abs=0.02)
    assert whole.high == pytest.approx(plain.high, abs=0.02)


def test_a_group_without_a_read_is_refused() -> None:
    empty = AuditReads(LABELS, (CellReads(FLAGGED, 200, 50, (10, 40, 0, 0)),))
    with pytest.raises(Refused, match="nothing to divide by"):
        share_of_labels(empty, ("old: case",), ("old: none",), name="share", how=HOW)
    with pytest.raises(Refused, match="choose wider bands"):
        standardised_from_reads(empty, BANDS, (0.5, 0.5), how=HOW)


def test_standardising_weighs_the_bands() -> None:
    young, old = (10 * 4 + 25) / (25 * 4 + 25 * 25), 130 / 475
    found = standardised_from_reads(READS, BANDS, (0.7, 0.3), how=HOW)
    assert found.value == pytest.approx(0.7 * young + 0.3 * old)
    assert found.low < found.value < found.high
    only_old = standardised_from_reads(READS, BANDS, (0.0, 1.0), how=HOW)
    plain = share_of_labels(READS, ("old: case",), ("old: none",), name="share", how=HOW)
    assert only_old.value == pytest.approx(plain.value)
    assert only_old.low == pytest.approx(plain.low, abs=0.03)
    assert only_old.high == pytest.approx(plain.high, abs=0.03)


def test_standardised_limits_hold_the_truth() -> None:
    """Two cells, two bands, 60 reads each; 300 archives: not far from 95 %."""
    rng = np.random.default_rng(1)
    shares = np.array([[0.2, 0.2, 0.4, 0.2], [0.03, 0.57, 0.06, 0.34]])
    units = np.array([300.0, 2000.0])
    weighted = units @ shares
    truth = 0.6 * weighted[0] / weighted[:2].sum() + 0.4 * weighted[2] / weighted[2:].sum()
    n_held = 0
    for seed in range(300):
        drawn = [rng.multinomial(60, row) for row in shares]
        cells = [
            CellReads(c, int(n), 60, tuple(map(int, k)))
            for c, n, k in zip((FLAGGED, OTHERS), units, drawn, strict=True)
        ]
        how = MonteCarlo(draws=400, seed=seed)
        found = standardised_from_reads(AuditReads(LABELS, tuple(cells)), BANDS, (0.6, 0.4), how=how)
        n_held += found.low <= truth <= found.high
    assert 0.91 <= n_held / 300 <= 0.99


def test_groups_on_one_side_only_are_strata() -> None:
    """Strata that hold negatives only: Begg-Greenes is then the weighted ratio itself, without a warning."""
    groups = [VerifiedGroup(200, 50, 30, 0, 0, 0), VerifiedGroup(0, 0, 0, 1000, 40, 3)]
    sensitivity, specificity = begg_greenes(groups, how=HOW)
    assert sensitivity.value == pytest.approx(120 / (120 + 75))
    assert specificity.value == pytest.approx(925 / (925 + 80))
