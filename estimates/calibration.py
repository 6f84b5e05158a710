"""From a raw logit to a probability: a logistic line fitted on a read sample, and thresholds by a stated rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from estimates.result import FloatArray

# Fewer cases, or fewer others, do not carry two parameters (ten events a parameter, Peduzzi et al. 1996).
LEAST_EVENTS = 20
MOST_STEPS, CLOSE_ENOUGH = 100, 1e-10
# A threshold lies by this share beside a scan's probability, never on it: the database's exponential and numpy's differ
# in the last digit, and the scan must be flagged, or not, whoever works it out.
BESIDE = 1e-12


@dataclass(frozen=True)
class Calibration:
    """probability = 1 / (1 + exp(−(slope · logit + intercept)))."""

    slope: float
    intercept: float

    def probability(self, logits: ArrayLike) -> FloatArray:
        """Calibrated probabilities, same shape."""
        line = self.slope * np.asarray(logits, np.float64) + self.intercept
        return np.asarray(0.5 * (1 + np.tanh(line / 2)))  # the logistic function, without overflow

    def logit_at(self, probability: float) -> float:
        """The raw logit that has this probability."""
        return float((np.log(probability / (1 - probability)) - self.intercept) / self.slope)


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration with what it rests on."""

    calibration: Calibration
    n_cases: int
    n_others: int
    slope_se: float  # of the sandwich: design weights make the plain one too small
    intercept_se: float
    mean_predicted: float  # weighted, over the sample; equals the observed share but for Platt's smoothing
    share_observed: float  # weighted


def fit_platt(logits: ArrayLike, is_case: ArrayLike, weights: ArrayLike | None = None) -> FittedCalibration:
    """Weighted logistic regression of cases on the logit, targets smoothed as in Platt 1999.

    `weights` are inverse sampling fractions (any scale); all alike without. ValueError: fewer than LEAST_EVENTS cases
    or others, or scores that do not rise with the cases (then they must not be used).
    """
    x, y = np.asarray(logits, np.float64), np.asarray(is_case, bool)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    _check(x, y, w)
    w = w * len(w) / w.sum()
    target = np.where(y, (w[y].sum() + 1) / (w[y].sum() + 2), 1 / (w[~y].sum() + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = _newton(design, target, w)
    if beta[0] <= 0:
        raise ValueError(
            "scores do not rise with the cases in this sample: do not calibrate, look for the fault"
        )
    calibration = Calibration(float(beta[0]), float(beta[1]))
    predicted = calibration.probability(x)
    bread = np.linalg.inv((design * (w * predicted * (1 - predicted))[:, None]).T @ design)
    scores = design * (w * (target - predicted))[:, None]
    slope_se, intercept_se = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))
    return FittedCalibration(
        calibration,
        int(y.sum()),
        int((~y).sum()),
        float(slope_se),
        float(intercept_se),
        float(w @ predicted / w.sum()),
        float(w[y].sum() / w.sum()),
    )


def _check(x: FloatArray, y: FloatArray, w: FloatArray) -> None:
    if not (len(x) == len(y) == len(w)) or not np.isfinite(x).all():
        raise ValueError("one finite logit, one answer and one weight per scan")
    if not (np.isfinite(w).all() and (w > 0).all()):
        raise ValueError("weights are positive numbers")
    n_cases = int(y.sum())
    if min(n_cases, len(y) - n_cases) < LEAST_EVENTS:
        raise ValueError(
            f"{n_cases} cases and {len(y) - n_cases} others were read; {LEAST_EVENTS} of each are needed: read more"
        )


def _newton(design: FloatArray, target: FloatArray, w: FloatArray) -> FloatArray:
    """Maximises the weighted likelihood; smoothed targets keep it finite even where scores separate the classes."""
    beta = np.array([0.0, np.log(w @ target / (w @ (1 - target)))])
    for _ in range(MOST_STEPS):
        p = 0.5 * (1 + np.tanh(design @ beta / 2))
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (w * (target - p)))
        step /= max(1.0, float(np.abs(step).max()))  # a far start must not overshoot
        beta = beta + step
        if np.abs(step).max() < CLOSE_ENOUGH:
            return np.asarray(beta)
    raise ValueError("the calibration does not converge on this sample")


def kept_threshold(logits: ArrayLike, old: Calibration, threshold: float, new: Calibration) -> float:
    """The threshold on the new probability that flags the same of these scans as `threshold` on the old one.

    `threshold` lies between 0 and 1. Not by way of the old threshold's logit alone: near 0 and 1 its digits are lost.
    """
    x = np.asarray(logits, np.float64)
    is_flagged = old.probability(x) >= threshold
    found = float(new.probability(old.logit_at(threshold)))
    if not is_flagged.all():
        found = max(found, min(1.0, float(new.probability(x[~is_flagged].max()) * (1 + BESIDE))))
    if is_flagged.any():
        found = min(found, float(new.probability(x[is_flagged].min()) * (1 - BESIDE)))
    return found


def threshold_for_weighted_specificity(probabilities: ArrayLike, weights: ArrayLike, target: float) -> float:
    """The lowest threshold (a scan at it is flagged) that leaves at least `target` of the non-cases' weight below it.

    ValueError when no threshold up to 1 does.
    """
    order = np.argsort(np.asarray(probabilities, np.float64), kind="stable")
    p, w = np.asarray(probabilities, np.float64)[order], np.asarray(weights, np.float64)[order]
    if not len(p) or not 0 < target < 1:
        raise ValueError("a target specificity between 0 and 1, and non-cases that were read, are needed")
    total = w.sum()
    for candidate in np.unique(p):
        if w[p < candidate].sum() >= target * total - 1e-12:
            return float(candidate * (1 - BESIDE))
    if (above := float(p[-1] * (1 + BESIDE))) <= 1:
        return above
    raise ValueError("no threshold has that specificity on this sample")


def threshold_for_share(probabilities: ArrayLike, share: float) -> float:
    """The lowest threshold (a scan at it is flagged) that flags at most `share` of the scans. ValueError: none does."""
    p = np.sort(np.asarray(probabilities, np.float64))[::-1]
    if not len(p) or not 0 < share <= 1:
        raise ValueError("a share above 0, and scored scans, are needed")
    most = int(share * len(p) + 1e-9)
    if most >= len(p):
        return float(p[-1] * (1 - BESIDE))
    over = p[p > p[most]]  # ties with the first that must not be flagged stay unflagged
    if len(over):
        return float(over[-1] * (1 - BESIDE))
    if (above := float(p[0] * (1 + BESIDE))) <= 1:
        return above
    raise ValueError("no threshold flags so few scans")
