"""What the pictures of an evaluation show: ROC, precision against recall, reliability, net benefit. Pure.

Scores are probabilities, higher means positive; truth is one boolean a scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from estimates.proportion import wilson
from estimates.result import Estimate, FloatArray


@dataclass(frozen=True)
class Curve:
    """Points from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def roc_curve(scores: ArrayLike, truth: ArrayLike) -> Curve:
    """x: 1 − specificity, y: recall, at every threshold between two scores. ValueError without both classes."""
    tp, fp = _cumulative(scores, truth)
    if not tp[-1] or not fp[-1]:
        raise ValueError("a ROC curve needs positives and negatives")
    return Curve((0.0, *(fp / fp[-1]).tolist()), (0.0, *(tp / tp[-1]).tolist()))


def precision_recall_curve(scores: ArrayLike, truth: ArrayLike) -> Curve:
    """x: recall, y: precision, at every threshold between two scores. ValueError without a positive."""
    tp, fp = _cumulative(scores, truth)
    if not tp[-1]:
        raise ValueError("precision against recall needs positives")
    precision = tp / (tp + fp)
    return Curve((0.0, *(tp / tp[-1]).tolist()), (float(precision[0]), *precision.tolist()))


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Σ (recall step) · precision, as in scikit-learn: no interpolation."""
    curve = precision_recall_curve(scores, truth)
    return float(np.sum(np.diff(curve.x) * np.asarray(curve.y[1:])))


def _cumulative(scores: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """True and false positives when all scores from each distinct value on are flagged, highest first."""
    values, cases = np.asarray(scores, np.float64), np.asarray(truth, bool)
    order = np.argsort(-values, kind="stable")
    values, cases = values[order], cases[order]
    ends = np.flatnonzero(np.r_[np.diff(values) != 0, True])
    tp = np.cumsum(cases)[ends].astype(np.float64)
    return tp, (ends + 1) - tp


@dataclass(frozen=True)
class ReliabilityBin:
    """Scans of similar probability: the mean of what was said, and the share that was so."""

    n: int
    mean_probability: float
    observed: Estimate


def reliability(probabilities: ArrayLike, truth: ArrayLike, n_bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Bins of equal size, lowest first, with Wilson intervals. Fewer bins than asked for where there are few scans."""
    values, cases = np.asarray(probabilities, np.float64), np.asarray(truth, bool)
    order = np.argsort(values, kind="stable")
    bins = []
    for part in np.array_split(order, max(1, min(n_bins, len(order) // 5))):
        if len(part):
            observed = wilson(int(cases[part].sum()), len(part), name="observed share")
            bins.append(ReliabilityBin(len(part), float(values[part].mean()), observed))
    return tuple(bins)


def brier_score(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared distance of probability and truth (Brier 1950)."""
    values, cases = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    return float(np.mean((values - cases) ** 2))


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit per scan at each threshold probability (Vickers & Elkin 2006, doi 10.1177/0272989X06295361)."""

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    everybody: tuple[float, ...]  # every scan is read again; reading none has a benefit of zero


def decision_curve(
    probabilities: ArrayLike, truth: ArrayLike, lowest: float = 0.01, highest: float = 0.6
) -> DecisionCurve:
    """TP/n − FP/n · t/(1−t): false alarms weighed by what a threshold of t says they cost."""
    values, cases = np.asarray(probabilities, np.float64), np.asarray(truth, bool)
    thresholds = np.linspace(lowest, highest, 60)
    weights = thresholds / (1 - thresholds)
    flagged = values[None, :] >= thresholds[:, None]
    tp, fp = (flagged & cases).mean(axis=1), (flagged & ~cases).mean(axis=1)
    everybody = cases.mean() - (1 - cases.mean()) * weights
    return DecisionCurve(
        tuple(thresholds.tolist()), tuple((tp - fp * weights).tolist()), tuple(everybody.tolist())
    )
