"""How well a score tells positive from negative: area under the ROC, and its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm, rankdata

from estimates.proportion import limits_around

DELONG = "DeLong, logit scale"
# Where all pairs are ranked alike no score says how sure that is. Of m cases and n others min(m, n) pairs share no
# scan: they are independent, each right with the area's probability, so that the limits of their share are the
# area's, never too narrow.
DISJOINT = "exact limits of pairs without a scan in common"


@dataclass(frozen=True)
class Interval:
    """A value with its limits at the stated confidence."""

    value: float
    low: float
    high: float


def auc(positive: ArrayLike, negative: ArrayLike, confidence: float = 0.95) -> Interval:
    """Area under the ROC curve with DeLong's interval on the logit scale (DeLong 1988; Pepe 2003, 5.2).

    Ties count one half. An area of 0 or 1 has the limits of `area_without_variance`; a side of one scan, and scores
    that are all alike, count with the largest variance that they can have. ValueError when either side is empty.
    """
    pos, neg = (np.asarray(side, dtype=np.float64) for side in (positive, negative))
    if not len(pos) or not len(neg):
        raise ValueError("an area needs at least one positive and one negative score")
    over_neg, over_pos = _placements(pos, neg)
    area = float(over_neg.mean())
    n_disjoint = min(len(pos), len(neg))
    if area in (0.0, 1.0):
        return area_without_variance(area, n_disjoint, confidence)
    most = area * (1 - area)  # of a share whose mean is the area
    variance = _variance_of_mean(over_neg, most) + _variance_of_mean(over_pos, most) or most / n_disjoint
    half = float(norm.ppf((1 + confidence) / 2)) * variance**0.5 / (area * (1 - area))
    middle = np.log(area / (1 - area))
    low, high = (float(1 / (1 + np.exp(-(middle + side * half)))) for side in (-1, 1))
    return Interval(area, low, high)


def area_without_variance(area: float, n_disjoint: int, confidence: float = 0.95) -> Interval:
    """Limits of an area without a spread, from as many pairs as share no scan, or no patient (DISJOINT)."""
    return Interval(area, *limits_around(area, n_disjoint, confidence))


def pairs_ranked(area: float, n_pairs: int) -> float:
    """Pairs that an area has in the right order, ties one half: a whole number of halves, free of rounding."""
    return round(2 * area * n_pairs) / 2


def _placements(
    pos: NDArray[np.float64], neg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of negatives below each positive, and share of positives above each negative; ties one half."""
    ranks = rankdata(np.concatenate([pos, neg]))
    below = (ranks[: len(pos)] - rankdata(pos)) / len(neg)
    above = 1 - (ranks[len(pos) :] - rankdata(neg)) / len(pos)
    return below, above


def _variance_of_mean(values: NDArray[np.float64], most: float) -> float:
    """`most`: of one value, whose spread nobody can see."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else most


def share(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A proportion with its exact (Clopper-Pearson) interval. ValueError when `n` is zero."""
    if n <= 0:
        raise ValueError("a share of nothing is no number")
    limits = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Interval(successes / n, float(limits.low), float(limits.high))
