"""The evaluation table of one reader, from its four counts; each measure with its own denominator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from estimates.proportion import clopper_pearson
from estimates.result import Estimate, tails

BOOTSTRAP_DRAWS = 20_000
# Without a single error: no resample differs from the sample.
F1_EXACT = "Clopper-Pearson of TP / (TP + FP + FN)"


@dataclass(frozen=True)
class Counts:
    """Scans by truth and answer: true positives, false negatives, false positives, true negatives."""

    tp: int
    fn: int
    fp: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0 or self.n == 0:
            raise ValueError(f"no evaluation from the counts {self.tp}, {self.fn}, {self.fp}, {self.tn}")

    @property
    def n(self) -> int:
        return self.tp + self.fn + self.fp + self.tn


@dataclass(frozen=True)
class EvaluationTable:
    """The five measures of the published table. A measure without a denominator is None, never zero."""

    accuracy: Estimate
    precision: Estimate | None
    recall: Estimate | None
    specificity: Estimate | None
    f1: Estimate | None


def evaluation_table(
    counts: Counts, given: str = "", *, confidence: float = 0.95, seed: int = 0
) -> EvaluationTable:
    """Accuracy, precision, recall and specificity with exact intervals, F1 by bootstrap (without an error exact too).

    accuracy (TP+TN)/n; precision TP/(TP+FP); recall TP/(TP+FN); specificity TN/(TN+FP). Clopper-Pearson with
    each measure's own denominator: the published table used n in every column, which is right for accuracy only.
    """

    def exact(name: str, k: int, n: int) -> Estimate | None:
        return clopper_pearson(k, n, name=name, given=given, confidence=confidence) if n else None

    return EvaluationTable(
        clopper_pearson(counts.tp + counts.tn, counts.n, name="accuracy", given=given, confidence=confidence),
        exact("precision", counts.tp, counts.tp + counts.fp),
        exact("recall", counts.tp, counts.tp + counts.fn),
        exact("specificity", counts.tn, counts.tn + counts.fp),
        f1(counts, given, confidence=confidence, seed=seed) if counts.tp else None,
    )


def f1(counts: Counts, given: str = "", *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """2TP/(2TP+FP+FN), which is no binomial share: percentile bootstrap of the scans (Efron 1979).

    Resampling n scans is one multinomial draw of the four counts. Without an error every resample is 1: there
    the limits are those of `f1_without_error`. ValueError without a true positive.
    """
    if not counts.tp:
        raise ValueError("F1 without a true positive is zero with no interval")
    if not counts.fp + counts.fn:
        return f1_without_error(counts.tp, counts.tp, given, confidence=confidence)
    shares = np.array([counts.tp, counts.fn, counts.fp, counts.tn]) / counts.n
    tp, fn, fp, _ = np.random.default_rng(seed).multinomial(counts.n, shares, BOOTSTRAP_DRAWS).T
    drawn = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    numerator, denominator = 2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn
    value = numerator / denominator
    low, high = (float(limit) for limit in np.quantile(drawn, tails(confidence)))
    method = f"percentile bootstrap of scans, {BOOTSTRAP_DRAWS} draws"
    return Estimate(
        "F1", value, min(low, value), max(high, value), method, numerator, denominator, given, confidence
    )


def f1_without_error(n_right: int, tp: int, given: str = "", *, confidence: float = 0.95) -> Estimate:
    """F1 of 1, with exact limits from `n_right` independent units (scans, or patients) that are all right.

    F1 = 2J/(1+J) of J = TP/(TP+FP+FN), a binomial share of what is a case or flagged, and rises with it: the
    Clopper-Pearson limits of J are limits of F1. `tp`: true positive scans.
    """
    low = clopper_pearson(n_right, n_right, confidence=confidence).low
    return Estimate("F1", 1.0, 2 * low / (1 + low), 1.0, F1_EXACT, 2 * tp, 2 * tp, given, confidence)
