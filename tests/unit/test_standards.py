"""Age standards and the two standardised estimates."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.result import Refused
from estimates.rogan_gladen import Accuracy, AccuracySource
from estimates.standard import SOURCES, age_standard, fay_feuer, standardised_prevalence, truncated

TO_2000 = Accuracy(850, 1000, 1920, 2000, AccuracySource.EXTERNAL_HUMAN_READ, "a large set")


def test_fay_feuer_golden() -> None:
    found = fay_feuer((2, 5, 9, 14), (900, 1200, 1500, 1100), (0.3, 0.3, 0.25, 0.15))
    assert (round(found.value, 5), round(found.low, 5), round(found.high, 5)) == (0.00533, 0.00351, 0.00795)
    assert (found.numerator, found.denominator) == (30, 4700)


def test_fay_feuer_without_events_has_an_upper_limit() -> None:
    found = fay_feuer((0, 0), (100, 100), (0.5, 0.5))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.689 / 200, rel=1e-3)  # Poisson, 0 of 200


def test_fay_feuer_of_one_band_is_garwoods_exact_poisson() -> None:
    found = fay_feuer((10,), (1000,), (1.0,))
    assert (found.low, found.high) == pytest.approx((0.004795, 0.018390), rel=1e-3)


@pytest.mark.parametrize("name", SOURCES)
def test_standards_sum_to_one_and_cut_to_ages(name: str) -> None:
    standard = age_standard(name)
    assert sum(standard.weights) == pytest.approx(1)
    cut = truncated(standard, (50, 60, 70, 80))
    assert sum(cut.weights) == pytest.approx(1)
    assert cut.ages == "50 years and over"
    older = sum(w for a, w in zip(standard.from_ages, standard.weights, strict=True) if a >= 50)
    fifties = standard.weights[10] + standard.weights[11]
    assert cut.weights[0] == pytest.approx(fifties / older)


def test_weights_of_the_sources() -> None:
    who, europe = age_standard("who-2000-2025"), age_standard("europe-2013")
    assert who.weights[10] == pytest.approx(5.37 / 100.035)
    assert europe.weights[10] == pytest.approx(0.07)
    # published totals of the censuses: 1,332,810,869 and 1,409,778,724 persons
    assert age_standard("china-2010").weights[10] == pytest.approx(78_753_171 / 1_332_810_869)
    assert age_standard("china-2020").weights[10] == pytest.approx(121_164_296 / 1_409_778_724)


def test_bands_must_fit_the_standard() -> None:
    for ages in ((52, 60), (60, 50), ()):
        with pytest.raises(ValueError, match="bands must rise"):
            truncated(age_standard("europe-2013"), ages)
    with pytest.raises(ValueError, match="no standard population"):
        age_standard("mars")


def test_an_empty_band_is_refused_not_skipped() -> None:
    with pytest.raises(Refused, match="nobody"):
        fay_feuer((2, 0), (900, 0), (0.5, 0.5))
    assert fay_feuer((2, 0), (900, 0), (1.0, 0.0)).value == pytest.approx(2 / 900)


def test_corrected_standardised_prevalence() -> None:
    n, share = np.array([4000, 4000, 2000]), np.array([0.05, 0.15, 0.30])
    flagged = np.round(n * (share * 0.85 + (1 - share) * 0.04)).astype(int)
    weights = (0.5, 0.3, 0.2)
    found = standardised_prevalence(flagged.tolist(), n.tolist(), weights, TO_2000)
    assert found.value == pytest.approx(float(share @ weights), abs=0.002)
    raw = fay_feuer(flagged.tolist(), n.tolist(), weights)
    assert (
        found.high - found.low > raw.high - raw.low
    )  # it holds the error of sensitivity and specificity too
    assert found.low <= found.value <= found.high
