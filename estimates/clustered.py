"""Several scans of one patient are not independent: intervals by resampling patients, not scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from estimates.result import Estimate, FloatArray, Refused, tails
from estimates.roc import area_without_variance, auc, pairs_ranked

DRAWS = 2_000
DISJOINT_PATIENTS = "exact limits of pairs of patients, nobody in two of them"
# Resamples without a case or without a healthy patient have no area; more of them than this and none is given.
MAX_EMPTY_SHARE = 0.01
_BATCH_VALUES = 4_000_000  # weights held at once, 32 MB


def ratio_by_patient(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    name: str = "share",
    given: str = "",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Σ numerator / Σ denominator over patients, percentile bootstrap of patients (scipy.stats.bootstrap).

    `numerators` and `denominators` hold one sum per patient, such as flagged scans and all scans. Refused below
    two patients: one patient says nothing about the spread between patients.
    """
    num, den = (np.asarray(values, dtype=np.float64) for values in (numerators, denominators))
    if len(num) < 2:
        raise Refused("a bootstrap of patients needs at least two")
    if den.min() <= 0:
        raise ValueError("each patient needs a denominator above zero")
    found = bootstrap(
        (num, den),
        lambda top, bottom, axis=-1: top.sum(axis=axis) / bottom.sum(axis=axis),
        paired=True,
        n_resamples=DRAWS,
        batch=max(1, _BATCH_VALUES // len(num)),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    value = float(num.sum() / den.sum())
    low, high = min(float(found.low), value), max(float(found.high), value)
    method = f"percentile bootstrap of {len(num)} patients"
    return Estimate(name, value, low, high, method, float(num.sum()), float(den.sum()), given, confidence)


def auc_by_patient(
    scores: ArrayLike,
    is_case: ArrayLike,
    patients: ArrayLike,
    *,
    given: str = "",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve, ties one half, percentile bootstrap of patients with all their scans.

    All three are one value per scan. Numerator and denominator are pairs of scans. Refused when more than 1 % of
    the resamples hold one class only. With one scan per patient `estimates.roc.auc` (DeLong) is shorter to run.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(is_case, dtype=bool)
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    value = auc(values[truth], values[~truth]).value
    drawn = _resampled_areas(values, truth, patient, np.random.default_rng(seed))
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < (1 - MAX_EMPTY_SHARE) * len(drawn):
        raise Refused("too few patients of one class: many resamples hold none of them")
    pairs = int(truth.sum()) * int((~truth).sum())
    if kept.min() == kept.max():  # all ranked alike, or all scores equal: a bootstrap has no width
        limits = area_without_variance(value, _n_disjoint(truth, patient), confidence)
        low, high, method = limits.low, limits.high, DISJOINT_PATIENTS
    else:
        low, high = (float(limit) for limit in np.quantile(kept, tails(confidence)))
        method = f"percentile bootstrap of {int(patient.max()) + 1} patients"
    ranked = pairs_ranked(value, pairs)
    return Estimate("AUC", value, min(low, value), max(high, value), method, ranked, pairs, given, confidence)


def _n_disjoint(truth: np.ndarray, patient: np.ndarray) -> int:
    """How many pairs of a patient with a case and another with none can be made at a time, nobody in two of them."""
    n_cases, n_others = len(np.unique(patient[truth])), len(np.unique(patient[~truth]))
    return max(1, min(n_cases, n_others, len(np.unique(patient)) // 2))


def _resampled_areas(
    scores: FloatArray, truth: np.ndarray, patient: np.ndarray, rng: np.random.Generator
) -> FloatArray:
    """One area per resample of patients; NaN where a resample lacks a class."""
    order = np.argsort(scores, kind="stable")
    truth, patient = truth[order], patient[order]
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # first scan of each distinct score
    n_patients = int(patient.max()) + 1
    areas = []
    batch = max(1, _BATCH_VALUES // len(scores))
    for done in range(0, DRAWS, batch):
        size = min(batch, DRAWS - done)
        times = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size)[:, patient]
        areas.append(_weighted_areas(times * truth, times * ~truth, starts))
    return np.concatenate(areas)


def _weighted_areas(cases: np.ndarray, others: np.ndarray, starts: np.ndarray) -> FloatArray:
    """Area per row of weights (draws, scans in order of score); `starts` opens each group of tied scores."""
    case = np.add.reduceat(cases, starts, axis=1).astype(np.float64)
    other = np.add.reduceat(others, starts, axis=1).astype(np.float64)
    below = np.cumsum(other, axis=1) - other / 2
    pairs = case.sum(axis=1) * other.sum(axis=1)
    won = (case * below).sum(axis=1)
    area = np.full(len(pairs), np.nan)
    np.divide(won, pairs, out=area, where=pairs > 0)
    return area
