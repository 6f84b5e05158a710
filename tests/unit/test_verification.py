"""Accuracy and prevalence when only some were read: Begg-Greenes, weights, prediction-powered."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.prediction_powered import PoweredStratum, prediction_powered_share
from estimates.result import Estimate, Refused, TooFewEvents
from estimates.verification import VerifiedGroup, begg_greenes, weighted_share


def covers(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_begg_greenes_by_hand() -> None:
    # all 500 positives read (400 cases), 100 of 9500 negatives read (2 cases): 190 cases behind them
    sensitivity, specificity = begg_greenes([VerifiedGroup(500, 500, 400, 9500, 100, 2)])
    assert sensitivity.value == pytest.approx(400 / (400 + 190))
    assert specificity.value == pytest.approx((9500 - 190) / (9500 - 190 + 100))
    assert sensitivity.low < sensitivity.value < sensitivity.high
    naive = 400 / 402
    assert sensitivity.value < naive


def test_begg_greenes_is_plain_when_all_are_read() -> None:
    sensitivity, specificity = begg_greenes([VerifiedGroup(71, 71, 69, 58, 58, 12)])
    assert [sensitivity.value, specificity.value] == pytest.approx([69 / 81, 46 / 48])


def test_begg_greenes_corrects_within_groups() -> None:
    """Old positives are read more often; together they would give the wrong mix."""
    groups = [VerifiedGroup(100, 90, 81, 900, 90, 9), VerifiedGroup(100, 10, 2, 900, 10, 0)]
    sensitivity, _ = begg_greenes(groups)
    assert sensitivity.value == pytest.approx((90 + 20) / (90 + 20 + 90))
    with pytest.raises(Refused, match="no reads"):
        begg_greenes([VerifiedGroup(10, 5, 5, 100, 0, 0)])
    with pytest.raises(ValueError, match="cases of"):
        VerifiedGroup(10, 5, 6, 100, 0, 0)


def test_weights_give_back_what_the_drawing_took() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        is_old = rng.random(3_000) < 0.3
        event = rng.random(3_000) < np.where(is_old, 0.4, 0.1)
        chance = np.where(is_old, 0.5, 0.05)
        read = rng.random(3_000) < chance
        found = weighted_share(event[read], np.ones(read.sum()), chance[read])
        hits += covers(found, 0.3 * 0.4 + 0.7 * 0.1)
    assert 0.91 <= hits / 300 <= 0.98


def test_weights_are_refused_for_few_events() -> None:
    with pytest.raises(TooFewEvents, match="at least 10"):
        weighted_share([1] * 9 + [0] * 100, [1] * 109, [0.5] * 109)
    with pytest.raises(ValueError, match="probability"):
        weighted_share([1, 0], [1, 1], [0.0, 1.0])


def simulated(rng: np.random.Generator, n: int, m: int, right: float) -> PoweredStratum:
    truth = (rng.random(n + m) < 0.2).astype(float)
    answer = np.where(rng.random(n + m) < right, truth, 1 - truth)
    return PoweredStratum(truth[:n], answer[:n], answer[n:])


def test_prediction_powered_by_hand() -> None:
    """λ = 1 needs var(f) alike and endless others; here the formula itself, with its own λ."""
    rng = np.random.default_rng(2)
    one = simulated(rng, 200, 5_000, 0.95)
    found = prediction_powered_share([one])
    power = np.cov(one.truth, one.answer)[0, 1] / one.answer.var(ddof=1) / (1 + 200 / 5_000)
    by_hand = power * one.other_answers.mean() + (one.truth - power * one.answer).mean()
    assert found.value == pytest.approx(by_hand)


def test_a_good_reader_narrows_the_interval_and_a_useless_one_does_no_harm() -> None:
    rng = np.random.default_rng(3)
    good, useless = (prediction_powered_share([simulated(rng, 300, 9_000, p)]) for p in (0.97, 0.5))
    plain = 2 * 1.96 * (0.2 * 0.8 / 300) ** 0.5
    assert good.high - good.low < 0.6 * plain
    assert useless.high - useless.low == pytest.approx(plain, rel=0.15)


def test_prediction_powered_covers() -> None:
    rng = np.random.default_rng(4)
    hits = sum(
        covers(
            prediction_powered_share([simulated(rng, 200, 2_000, 0.9), simulated(rng, 100, 500, 0.8)]), 0.2
        )
        for _ in range(400)
    )
    assert 0.92 <= hits / 400 <= 0.98


def test_prediction_powered_is_refused_for_few_cases() -> None:
    few = PoweredStratum(np.r_[np.ones(5), np.zeros(200)], np.zeros(205), np.zeros(1000))
    with pytest.raises(TooFewEvents, match="at least 10 cases"):
        prediction_powered_share([few])
    with pytest.raises(ValueError, match="two readings"):
        prediction_powered_share(
            [PoweredStratum(np.r_[np.ones(20), np.zeros(20)], np.zeros(39), np.zeros(9))]
        )


def test_all_read_is_the_plain_mean() -> None:
    all_read = PoweredStratum(np.r_[np.ones(20), np.zeros(20)], np.zeros(40), np.zeros(0))
    assert prediction_powered_share([all_read]).value == 0.5
