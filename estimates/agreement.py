"""Two readers of the same scans: do they differ (exact McNemar), and do they agree (kappa)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from estimates.result import Estimate, Refused, tails

BOOTSTRAP_DRAWS = 2_000


@dataclass(frozen=True)
class PairedTest:
    """Exact McNemar test of two readers on the same scans; only the scans on which they differ count."""

    only_first: int
    only_second: int
    p_value: float
    method: str = "exact McNemar, two-sided"


def mcnemar_exact(only_first: int, only_second: int) -> PairedTest:
    """P value of b against c discordant scans: twice the tail of Binomial(b + c, ½), at most 1. McNemar 1947."""
    if min(only_first, only_second) < 0:
        raise ValueError("counts of discordant scans are not negative")
    found = mcnemar([[0, only_first], [only_second, 0]], exact=True)
    return PairedTest(only_first, only_second, min(1.0, float(found.pvalue)))


def cohens_kappa(
    table: ArrayLike,
    weights: Literal["linear", "quadratic"] | None = None,
    *,
    given: str = "",
    confidence: float = 0.95,
) -> Estimate:
    """Cohen's kappa (p_o − p_e)/(1 − p_e) of a square table of counts, first reader in rows. Cohen 1960.

    Interval: asymptotic normal, clipped to [−1, 1] (Fleiss, Cohen & Everitt 1969, as in statsmodels); with
    full agreement, where that has no width, a lower limit by Monte Carlo. Refused
    when both readers always gave the same one answer: kappa is 0/0 there.
    """
    counts = np.asarray(table, dtype=np.int64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.min() < 0:
        raise ValueError("kappa needs a square table of counts")
    if ((counts.sum(axis=0) > 0) | (counts.sum(axis=1) > 0)).sum() < 2:
        raise Refused("kappa is undefined: both readers gave one and the same answer to every scan")
    found = statsmodels_cohen(counts, wt=weights, return_results=True)
    value, error = float(found.kappa), float(found.std_kappa)
    z = float(norm.ppf(tails(confidence)[1]))
    low, high, method = max(-1.0, value - z * error), min(1.0, value + z * error), "asymptotic"
    if error < 1e-9:  # full agreement: the formula gives no width to a table of any size
        low, method = _low_of_full_agreement(counts, tails(confidence)[0]), "lower limit by Monte Carlo"
    agreed, n = int(np.trace(counts)), int(counts.sum())
    method = f"Cohen's kappa, {weights or 'no'} weights, {method}"
    return Estimate("kappa", value, min(low, value), max(high, value), method, agreed, n, given, confidence)


def _low_of_full_agreement(counts: np.ndarray, at: float) -> float:
    """Quantile of unweighted kappa over Dirichlet draws, half a pseudo-scan shared by the cells off the diagonal."""
    size = len(counts)
    off = 0.5 / (size * (size - 1))
    shares = (
        np.random.default_rng(0).dirichlet((counts + off).ravel(), BOOTSTRAP_DRAWS).reshape(-1, size, size)
    )
    agreed = np.trace(shares, axis1=1, axis2=2)
    by_chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    return float(np.quantile((agreed - by_chance) / (1 - by_chance), at))


def fleiss_kappa(table: ArrayLike, *, given: str = "", confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Fleiss' kappa of several readers; `table` is (scans, answers), how many readers gave each answer. Fleiss 1971.

    Interval: percentile bootstrap of scans. Every scan needs the same number of readers.
    """
    counts = np.asarray(table, dtype=np.int64)
    if counts.ndim != 2 or len(set(counts.sum(axis=1).tolist())) != 1:
        raise ValueError("each scan needs the same number of readers")
    if (counts.sum(axis=0) > 0).sum() < 2:
        raise Refused("kappa is undefined: every reader gave one and the same answer to every scan")
    value = float(statsmodels_fleiss(counts))
    drawn = np.random.default_rng(seed).integers(0, len(counts), (BOOTSTRAP_DRAWS, len(counts)))
    values = [float(statsmodels_fleiss(counts[rows])) for rows in drawn if _has_two_answers(counts[rows])]
    low, high = (float(limit) for limit in np.quantile(values, tails(confidence)))
    unanimous = int((counts.max(axis=1) == counts.sum(axis=1)).sum())
    method = "Fleiss' kappa, percentile bootstrap of scans"
    return Estimate(
        "kappa", value, min(low, value), max(high, value), method, unanimous, len(counts), given, confidence
    )


def _has_two_answers(counts: np.ndarray) -> bool:
    return bool((counts.sum(axis=0) > 0).sum() > 1)
