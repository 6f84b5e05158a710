"""Intervals by resampling patients: as wide as they should be, and the same as plain ones without clusters."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.clustered import DISJOINT_PATIENTS, auc_by_patient, ratio_by_patient
from estimates.proportion import clopper_pearson, wilson
from estimates.result import Refused
from estimates.roc import auc


def test_one_scan_per_patient_gives_the_plain_interval() -> None:
    flags = np.r_[np.ones(60), np.zeros(240)]
    found, plain = ratio_by_patient(flags, np.ones(300)), wilson(60, 300)
    assert found.value == 0.2
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_repeated_scans_add_nothing() -> None:
    """Ten scans of each patient, all alike, are worth one: the interval does not shrink."""
    flags = np.r_[np.ones(60), np.zeros(240)]
    once, tenfold = ratio_by_patient(flags, np.ones(300)), ratio_by_patient(10 * flags, np.full(300, 10))
    assert (tenfold.low, tenfold.high) == (once.low, once.high)
    assert tenfold.denominator == 3000


def test_area_by_patient_is_the_area_and_knows_clusters() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + truth, 1)  # with ties
    single = auc_by_patient(scores, truth, np.arange(200))
    plain = auc(scores[truth], scores[~truth])
    assert single.value == pytest.approx(plain.value)
    assert (single.low, single.high) == pytest.approx((plain.low, plain.high), abs=0.02)
    doubled = auc_by_patient(np.tile(scores, 3), np.tile(truth, 3), np.tile(np.arange(200), 3))
    assert doubled.value == pytest.approx(plain.value)
    assert doubled.high - doubled.low == pytest.approx(single.high - single.low, abs=0.01)


def test_patients_may_be_named_by_text() -> None:
    truth, patients = [False, True] * 20, [f"p{i // 2}" for i in range(40)]
    found = auc_by_patient([0.1, 0.9, 0.85, 0.8] * 10, truth, patients)
    assert found.value == 0.75
    assert "20 patients" in found.method
    perfect = auc_by_patient([0.1, 0.9, 0.2, 0.8] * 10, truth, patients)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(
        0.025 ** (1 / 10)
    )  # of twenty patients ten pairs have nobody in common


def test_equal_scores_have_the_width_of_the_patients() -> None:
    """A vote of zero everywhere, one patient scanned twice: each resample has the area 0.5."""
    truth = np.r_[np.ones(31, bool), np.zeros(30, bool)]
    found = auc_by_patient(np.zeros(61), truth, np.r_[0, np.arange(60)])
    wide = clopper_pearson(15, 30)
    assert (found.value, found.low, found.high) == (0.5, wide.low, wide.high)
    assert found.method == DISJOINT_PATIENTS


def test_too_few_are_refused() -> None:
    with pytest.raises(Refused, match="at least two"):
        ratio_by_patient([1], [2])
    with pytest.raises(Refused, match="one class"):
        auc_by_patient([0.9, 0.1, 0.2], [True, False, False], [1, 2, 3])
    with pytest.raises(ValueError, match="above zero"):
        ratio_by_patient([1, 0], [2, 0])
