"""The published table comes out of its counts again, with the right denominator for each measure."""

from __future__ import annotations

import pytest

from estimates.agreement import mcnemar_exact
from estimates.evaluation import Counts, evaluation_table, f1

# tp, fn, fp, tn; then accuracy, precision, recall, specificity, F1; then the right limits of recall, specificity
# and precision. Mao 2025, doi 10.12677/csa.2025.1510264, checked.
PUBLISHED = {
    "reports": ((66, 15, 0, 48), (88.4, 100.0, 81.5, 100.0, 89.8), (71.3, 89.2, 92.6, 100, 94.6, 100)),
    "max": ((71, 10, 14, 34), (81.4, 83.5, 87.7, 70.8, 85.5), (78.5, 93.9, 55.9, 83.0, 73.9, 90.7)),
    "mean": ((68, 13, 3, 45), (87.6, 95.8, 84.0, 93.8, 89.5), (74.1, 91.2, 82.8, 98.7, 88.1, 99.1)),
    "vote": ((68, 13, 2, 46), (88.4, 97.1, 84.0, 95.8, 90.1), (74.1, 91.2, 85.7, 99.5, 90.1, 99.7)),
    "lstm": ((69, 12, 2, 46), (89.1, 97.2, 85.2, 95.8, 90.8), (75.6, 92.1, 85.7, 99.5, 90.2, 99.7)),
}
PRINTED_PRECISION = 0.1 + 1e-9


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_published_table_comes_from_its_counts(row: str) -> None:
    counts, values, limits = PUBLISHED[row]
    table = evaluation_table(Counts(*counts))
    assert table.precision
    assert table.recall
    assert table.specificity
    assert table.f1
    measures = (table.accuracy, table.precision, table.recall, table.specificity, table.f1)
    assert [100 * m.value for m in measures] == pytest.approx(values, abs=PRINTED_PRECISION)
    found = [100 * x for m in (table.recall, table.specificity, table.precision) for x in (m.low, m.high)]
    assert found == pytest.approx(limits, abs=PRINTED_PRECISION)


def test_each_measure_has_its_own_denominator() -> None:
    table = evaluation_table(Counts(69, 12, 2, 46))
    measures = (table.accuracy, table.precision, table.recall, table.specificity)
    assert [m.denominator for m in measures if m] == [129, 71, 81, 48]


def test_f1_has_a_bootstrap_interval() -> None:
    found = f1(Counts(69, 12, 2, 46))
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == pytest.approx((85.5, 95.0), abs=0.35)
    assert "bootstrap" in found.method


def test_f1_without_an_error_has_exact_limits() -> None:
    """No resample differs from the sample; yet nobody knows that the next scan is right too."""
    found = f1(Counts(30, 0, 0, 40))
    share = 0.025 ** (1 / 30)  # lower limit of 30 of 30
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(2 * share / (1 + share))
    assert "Clopper-Pearson" in found.method
    assert (found.numerator, found.denominator) == (60, 60)
    assert f1(Counts(1, 0, 0, 0)).low == pytest.approx(0.05 / 1.025)
    assert "bootstrap" in f1(Counts(30, 1, 0, 40)).method


def test_a_measure_without_denominator_is_none() -> None:
    table = evaluation_table(Counts(0, 0, 0, 7))
    assert (table.precision, table.recall, table.f1) == (None, None, None)
    assert table.specificity
    assert table.specificity.value == 1


def test_no_arrangement_tells_the_lstm_from_the_reports() -> None:
    """Reports 66/81 and 48/48, LSTM 69/81 and 46/48: 114 against 115 right, whatever the overlap."""
    smallest = min(mcnemar_exact(b, b + 1).p_value for b in range(14))
    assert smallest > 0.9
    # even among positives alone, where they differ by three
    assert min(mcnemar_exact(b, b + 3).p_value for b in range(13)) >= 0.25


def test_counts_are_refused_when_they_are_none() -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        Counts(0, 0, 0, 0)
    with pytest.raises(ValueError, match="no evaluation"):
        Counts(1, -1, 0, 0)
