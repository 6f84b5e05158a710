"""Bands of age-standardised shares: the same for every archive, refused where nobody is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from audit_page_numbers import BASIS

from estimates.audit_numbers import REFUSED, SHOWN, Number, StratumRow
from flows.audit_prevalence import band_of, prevalence_numbers, standard_bands

N = 100
FLAGGED = {"50-59": 5, "60-69": 10, "70-79": 30, "80-89": 60}


def stratum(dimension: str, category: str, n: int, n_flagged: int) -> StratumRow:
    return StratumRow(dimension, category, True, n, n_flagged, n - n_flagged, 0, 0, 0, 0, 0, n)


def standardised(bands: dict[str, int], from_age: int = 50) -> Number:
    strata = [stratum("all", "all", N * len(bands), sum(bands.values()))]
    strata += [stratum("age", band, N, n) for band, n in bands.items()]
    numbers = prevalence_numbers(strata, replace(BASIS, from_age_years=from_age), None)
    return next(number for number in numbers if number.quantity == "flagged share, age-standardised")


def test_a_band_without_anybody_is_refused_and_not_given_to_its_neighbour() -> None:
    whole = standardised(FLAGGED)
    assert (whole.status, whole.value) == (SHOWN, pytest.approx(0.147, abs=0.001))
    for band in FLAGGED:
        found = standardised({name: n for name, n in FLAGGED.items() if name != band})
        assert (found.status, found.value) == (REFUSED, None), band
        assert "nobody" in found.note


def test_bands_follow_from_the_lowest_age() -> None:
    assert standard_bands(50) == (50, 60, 70, 80)
    assert standard_bands(65) == (65, 70, 80)
    assert standard_bands(20) == (20, 50, 60, 70, 80)
    assert standard_bands(85) == (85,)
    assert band_of("60-69", standard_bands(65)) == 65
    assert band_of("under 50", standard_bands(20)) == 20
    assert band_of("90 and over", standard_bands(50)) == 80
    assert band_of("unknown", standard_bands(50)) is None
    assert standardised({"70-79": 30, "80-89": 60}, from_age=70).status == SHOWN
