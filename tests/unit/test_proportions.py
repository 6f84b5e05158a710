"""Shares with exact and score intervals, and the bound when nothing was seen."""

from __future__ import annotations

import pytest

from estimates.bounds import missing_bounds
from estimates.proportion import clopper_pearson, upper_bound, wilson
from estimates.result import Estimate


def percent(*numbers: float) -> tuple[float, ...]:
    return tuple(round(100 * number, 1) for number in numbers)


def test_clopper_pearson_of_the_published_recall() -> None:
    found = clopper_pearson(69, 81, name="recall", given="81 positive scans")
    assert percent(found.value, found.low, found.high) == (85.2, 75.6, 92.1)
    assert (found.name, found.method, found.numerator, found.denominator, found.given) == (
        "recall",
        "Clopper-Pearson",
        69,
        81,
        "81 positive scans",
    )


def test_clopper_pearson_at_both_ends() -> None:
    # by hand: the limit solves (1 − p)^48 = 0.025
    none, every = clopper_pearson(0, 48), clopper_pearson(48, 48)
    assert (none.low, every.high) == (0.0, 1.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 48))
    assert every.low == pytest.approx(0.025 ** (1 / 48))


def test_wilson_is_the_score_interval() -> None:
    # by hand: centre (k + z²/2)/(n + z²), half width z·√(k(n−k)/n + z²/4)/(n + z²)
    found, z = wilson(8, 10), 1.959963984540054
    centre, half = (8 + z**2 / 2) / (10 + z**2), z * (8 * 2 / 10 + z**2 / 4) ** 0.5 / (10 + z**2)
    assert [found.low, found.high] == pytest.approx([centre - half, centre + half])


def test_no_miss_among_300_reads_bounds_the_rate_at_one_percent() -> None:
    found = upper_bound(0, 300)
    assert round(100 * found.high, 2) == 0.99
    assert found.low == 0.0
    assert "one-sided" in found.method


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_counts_that_are_no_share(k: int, n: int) -> None:
    for method in (clopper_pearson, wilson, upper_bound):
        with pytest.raises(ValueError, match="share"):
            method(k, n)


def test_an_estimate_lies_inside_its_limits() -> None:
    with pytest.raises(ValueError, match="does not lie"):
        Estimate("share", 0.5, 0.6, 0.7, "", 1, 2, "")
    with pytest.raises(ValueError, match="does not lie"):
        Estimate("share", float("nan"), 0.0, 1.0, "", 0, 0, "")


def test_the_missing_are_counted_at_best_and_at_worst() -> None:
    found = missing_bounds(30, 100, 20, given="studies")
    values = [found.observed.value, found.best.value, found.worst.value]
    assert values == pytest.approx([0.3, 0.25, 50 / 120])
    assert found.best.low < found.best.value <= found.observed.value <= found.worst.value < found.worst.high
    assert "20 missing counted as none" in found.best.given
    assert missing_bounds(30, 100, 0).worst.high == missing_bounds(30, 100, 0).observed.high
