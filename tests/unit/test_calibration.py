"""What a score means: the logistic line of a read sample, its design weights, thresholds, and the prior shift."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from estimates.calibration import (
    Calibration,
    fit_platt,
    kept_threshold,
    threshold_for_share,
    threshold_for_weighted_specificity,
)
from estimates.prior import prior_shift_logits


def sample(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true calibration is logistic(0.6 x − 3)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, n)
    return logits, rng.random(n) < Calibration(0.6, -3.0).probability(logits)


def test_the_line_is_that_of_a_weighted_logistic_regression() -> None:
    logits, is_case = sample(20_000)
    weights = np.where(logits > 1, 1.0, 7.0)
    fitted = fit_platt(logits, is_case, weights)
    n_positive, n_negative = (
        weights[is_case == side].sum() * len(weights) / weights.sum() for side in (True, False)
    )
    target = np.where(is_case, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    oracle = GLM(target, design, family=Binomial(), var_weights=weights).fit(cov_type="HC0")
    assert [fitted.calibration.slope, fitted.calibration.intercept] == pytest.approx(oracle.params, rel=1e-5)
    assert [fitted.slope_se, fitted.intercept_se] == pytest.approx(oracle.bse, rel=1e-3)
    assert [fitted.calibration.slope, fitted.calibration.intercept] == pytest.approx([0.6, -3.0], abs=0.15)
    assert fitted.mean_predicted == pytest.approx(fitted.share_observed, abs=1e-3)


def test_design_weights_undo_a_sample_that_over_draws_high_scores() -> None:
    logits, is_case = sample(200_000, seed=2)
    rng = np.random.default_rng(3)
    drawn_share = np.where(logits > 3, 0.05, 0.005)
    drawn = rng.random(len(logits)) < drawn_share
    weighted = fit_platt(logits[drawn], is_case[drawn], 1 / drawn_share[drawn])
    assert weighted.share_observed == pytest.approx(is_case.mean(), rel=0.15)
    assert fit_platt(logits[drawn], is_case[drawn]).share_observed > 1.5 * is_case.mean()


def test_a_sample_that_cannot_carry_it_is_refused() -> None:
    logits, is_case = sample(100)
    with pytest.raises(ValueError, match="read more"):
        fit_platt(logits, is_case & (np.cumsum(is_case) < 10))
    logits, is_case = sample(2000)
    with pytest.raises(ValueError, match="do not rise"):
        fit_platt(-logits, is_case)
    separated = fit_platt(np.repeat([-2.0, 2.0], 50), np.repeat([False, True], 50))
    assert 0 < separated.calibration.slope < 10


def test_thresholds_keep_what_their_rule_says() -> None:
    probabilities = np.array([0.1, 0.2, 0.2, 0.4, 0.9])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 6.0])
    found = threshold_for_weighted_specificity(probabilities, weights, 0.4)
    assert (found, weights[probabilities < found].sum()) == (pytest.approx(0.9), 4)
    with pytest.raises(ValueError, match="no threshold"):
        threshold_for_weighted_specificity(np.array([1.0]), np.array([1.0]), 0.9)
    for share, n_flagged in ((1.0, 5), (0.6, 2), (0.4, 2), (0.2, 1), (0.1, 0)):  # a tie is not cut in two
        assert np.sum(probabilities >= threshold_for_share(probabilities, share)) == n_flagged


def test_prior_shift_golden_value() -> None:
    """The published training set, 713 of 1432, at a prevalence of 2 %."""
    shift = prior_shift_logits(713 / 1432, 0.02)
    assert shift == pytest.approx(-3.88, abs=0.005)
    assert float(Calibration(1.0, shift).probability(0.0)) == pytest.approx(0.020, abs=0.0005)
    assert Calibration(2.0, shift).logit_at(0.5) == pytest.approx(-shift / 2)


def test_the_same_scans_stay_flagged_whatever_works_the_probability_out() -> None:
    """numpy's tanh, and the database's 1 / (1 + exp(−x)): thresholds lie on scans' own probabilities, or far out."""
    chance = np.random.default_rng(7)
    for _ in range(300):
        logits = chance.normal(0, 3, 40)
        old, new = (Calibration(*chance.uniform((0.3, -3.0), (2.0, 3.0)).tolist()) for _ in range(2))
        threshold = threshold_for_share(old.probability(logits), chance.uniform(0.05, 0.9))
        wanted = old.probability(logits) >= threshold
        kept = kept_threshold(logits, old, threshold, new)
        for calibration, limit in ((old, threshold), (new, kept)):
            in_sql = 1 / (1 + np.exp(-(calibration.slope * logits + calibration.intercept)))
            assert ((in_sql >= limit) == wanted).all()
            assert ((calibration.probability(logits) >= limit) == wanted).all()
