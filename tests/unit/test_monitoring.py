"""The p-chart, the CUSUM and the drift of the input, with golden run lengths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp

from estimates.drift import ks_drift
from estimates.monitor import BernoulliCusum, average_run_length, p_chart
from estimates.result import Refused


@pytest.mark.parametrize(("height", "alarms", "delay"), [(5.0, 23_960, 516), (5.25, 30_980, 547)])
def test_golden_run_lengths(height: float, alarms: int, delay: int) -> None:
    cusum = BernoulliCusum(0.058, 0.09, height)
    assert average_run_length(cusum, 0.058) == pytest.approx(alarms, rel=0.002)
    assert average_run_length(cusum, 0.09) == pytest.approx(delay, rel=0.002)


def test_run_length_is_that_of_a_simulation() -> None:
    cusum = BernoulliCusum(0.1, 0.3, 2.0)
    rng, lengths = np.random.default_rng(0), []
    for _ in range(1_500):
        path = cusum.path(rng.random(3_000) < 0.1)
        lengths.append(int(np.argmax(path >= cusum.height)) + 1)
    assert average_run_length(cusum, 0.1) == pytest.approx(np.mean(lengths), rel=0.08)


def test_the_path_is_the_recursion() -> None:
    cusum = BernoulliCusum(0.1, 0.3, 2.0)
    flags = np.random.default_rng(1).random(500) < 0.2
    value, by_hand = 0.0, []
    for flag in flags:
        value = max(0.0, value + (cusum.step_up if flag else -cusum.step_down))
        by_hand.append(value)
    assert cusum.path(flags) == pytest.approx(by_hand)


def test_a_cusum_needs_a_rise() -> None:
    for bad in ((0.1, 0.1, 2.0), (0.0, 0.2, 2.0), (0.1, 0.2, 0.0)):
        with pytest.raises(ValueError, match="CUSUM"):
            BernoulliCusum(*bad)


def test_p_chart_has_exact_limits() -> None:
    points = p_chart([0, 12, 300], [12, 12, 3_000], 0.058)
    assert [point.is_outside for point in points] == [False, True, True]
    for point in points:
        assert binom.cdf(point.low - 1, point.n, 0.058) <= 0.00135
        assert binom.sf(point.high, point.n, 0.058) <= 0.00135
    assert points[0].low == 0
    with pytest.raises(ValueError, match="flags of"):
        p_chart([3], [2], 0.1)


def test_drift_is_seen_and_sameness_is_not() -> None:
    rng = np.random.default_rng(2)
    reference = np.round(rng.normal(size=500), 1)  # with ties
    same, moved = np.round(rng.normal(size=80), 1), np.round(rng.normal(0.8, 1, 80), 1)
    assert not ks_drift(reference, same).is_drift
    found = ks_drift(reference, moved)
    assert found.is_drift
    assert found.p_value == 0.001  # none of 999 shuffles reaches it
    assert found.distance == pytest.approx(float(ks_2samp(reference, moved, method="asymp").statistic))


def test_false_alarms_of_drift_are_as_many_as_asked_for() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(
        ks_drift(
            rng.integers(0, 9, 100), rng.integers(0, 9, 40), false_alarm=0.1, permutations=199, seed=i
        ).is_drift
        for i in range(150)
    )
    assert alarms / 150 < 0.17  # 0.1 and three standard errors


def test_drift_of_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="at least 20"):
        ks_drift(np.zeros(100), np.zeros(5))
    with pytest.raises(ValueError, match="missing value"):
        ks_drift(np.r_[np.zeros(30), np.nan], np.zeros(30))
