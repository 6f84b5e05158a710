"""Curves of an evaluation against naive answers, and the table where patients repeat."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.clustered_table import table_of_scans
from estimates.curves import (
    average_precision,
    brier_score,
    decision_curve,
    precision_recall_curve,
    reliability,
    roc_curve,
)
from estimates.proportion import clopper_pearson
from estimates.roc import auc

RNG = np.random.default_rng(5)
TRUTH = RNG.random(300) < 0.4
SCORES = np.round(np.clip(0.35 + 0.25 * TRUTH + 0.2 * RNG.normal(size=300), 0.001, 0.999), 2)  # with ties


def test_the_area_under_the_drawn_curve_is_the_area_that_is_told() -> None:
    curve = roc_curve(SCORES, TRUTH)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auc(SCORES[TRUTH], SCORES[~TRUTH]).value)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


def test_every_point_is_a_threshold() -> None:
    roc, precision = roc_curve(SCORES, TRUTH), precision_recall_curve(SCORES, TRUTH)
    for place, threshold in enumerate(sorted(set(SCORES), reverse=True), start=1):
        flagged = threshold <= SCORES
        assert roc.y[place] == pytest.approx((flagged & TRUTH).sum() / TRUTH.sum())
        assert roc.x[place] == pytest.approx((flagged & ~TRUTH).sum() / (~TRUTH).sum())
        assert precision.x[place] == pytest.approx(roc.y[place])
        assert precision.y[place] == pytest.approx((flagged & TRUTH).sum() / flagged.sum())


def test_average_precision_by_hand() -> None:
    assert average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx((1 + 2 / 3) / 2)


def test_reliability_bins_hold_all_scans_once() -> None:
    bins = reliability(SCORES, TRUTH)
    assert sum(one.n for one in bins) == 300
    assert sum(one.observed.numerator for one in bins) == TRUTH.sum()
    assert [one.mean_probability for one in bins] == sorted(one.mean_probability for one in bins)
    assert brier_score([0.25, 1], [False, True]) == pytest.approx(0.03125)


def test_net_benefit_by_hand() -> None:
    curve = decision_curve([0.9, 0.6, 0.1, 0.1], [True, False, True, False], lowest=0.5, highest=0.5)
    assert curve.model[0] == pytest.approx(1 / 4 - 1 / 4)
    assert curve.everybody[0] == pytest.approx(0.0)


def test_repeated_patients_widen_nothing_that_only_repeats() -> None:
    """Each patient three times: as wide as with each patient once."""
    said = SCORES > 0.5
    patients = np.arange(300)
    once = table_of_scans(said, TRUTH, patients)
    thrice = table_of_scans(np.tile(said, 3), np.tile(TRUTH, 3), np.tile(patients, 3))
    for name in ("accuracy", "precision", "recall", "specificity", "f1"):
        single, repeated = getattr(once, name), getattr(thrice, name)
        assert repeated.value == pytest.approx(single.value)
        assert "patients" in repeated.method
        assert (repeated.high - repeated.low) == pytest.approx(single.high - single.low, rel=0.2)
    assert "Clopper-Pearson" in once.recall.method


def test_patients_who_are_all_half_right_have_an_interval() -> None:
    said, truth = np.tile([True, False], 10), np.ones(20, bool)
    recall = table_of_scans(said, truth, np.repeat(np.arange(10), 2)).recall
    assert recall is not None
    exact = clopper_pearson(5, 10)
    assert (recall.value, recall.low, recall.high) == (0.5, exact.low, exact.high)
    assert recall.method == "Clopper-Pearson over 10 patients"


def test_one_patient_is_one_however_many_scans() -> None:
    recall = table_of_scans([True, True, False], np.ones(3, bool), ["a", "a", "a"]).recall
    assert recall is not None
    assert (recall.low, recall.high) == (0.0, 1.0)


def test_without_spread_between_patients_the_interval_is_exact_over_patients() -> None:
    table = table_of_scans([True] * 4, [True] * 4, ["a", "a", "b", "b"])
    assert table.recall is not None
    assert (table.recall.value, table.recall.high) == (1, 1)
    assert table.recall.low == pytest.approx(0.025**0.5)  # of two patients, not of four scans
    assert table.specificity is None
    assert table.f1 is not None
    assert table.f1.low == pytest.approx(2 * table.recall.low / (1 + table.recall.low))
    assert table.f1.method == "Clopper-Pearson of TP / (TP + FP + FN) over 2 patients"
