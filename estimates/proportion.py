"""A share of a count, with its interval: Clopper-Pearson, Wilson, and a bound when nothing was seen."""

from __future__ import annotations

import math

from scipy.stats import beta
from statsmodels.stats.proportion import proportion_confint

from estimates.result import Estimate, needs_counts


def clopper_pearson(
    successes: int, n: int, *, name: str = "share", given: str = "", confidence: float = 0.95
) -> Estimate:
    """k/n with the exact interval: no tail beyond it has more than (1 − confidence)/2. Clopper & Pearson 1934.

    Low is the (1 − confidence)/2 quantile of Beta(k, n−k+1), high the other of Beta(k+1, n−k).
    """
    return _share(successes, n, "beta", "Clopper-Pearson", name=name, given=given, confidence=confidence)


def limits_around(value: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact limits of a mean share of `n` independent units: those of the whole counts below and above it."""
    counts = (math.floor(value * n + 1e-9), math.ceil(value * n - 1e-9))
    below, above = (clopper_pearson(count, n, confidence=confidence) for count in counts)
    return below.low, above.high


def wilson(
    successes: int, n: int, *, name: str = "share", given: str = "", confidence: float = 0.95
) -> Estimate:
    """k/n with the score interval of Wilson 1927: right on average, shorter than the exact one."""
    return _share(successes, n, "wilson", "Wilson", name=name, given=given, confidence=confidence)


def upper_bound(
    successes: int, n: int, *, name: str = "share", given: str = "", confidence: float = 0.95
) -> Estimate:
    """k/n with the exact one-sided upper bound; 0 of 300 bounds the share at 0.99 %."""
    needs_counts(successes, n)
    high = 1.0 if successes == n else float(beta.ppf(confidence, successes + 1, n - successes))
    method = "Clopper-Pearson, one-sided"
    return Estimate(name, successes / n, 0.0, high, method, successes, n, given, confidence)


def _share(
    successes: int, n: int, code: str, method: str, *, name: str, given: str, confidence: float
) -> Estimate:
    needs_counts(successes, n)
    value = successes / n
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method=code)
    # The library's limits miss 0, 1 and the value itself by rounding.
    low, high = min(max(float(low), 0.0), value), max(min(float(high), 1.0), value)
    return Estimate(name, value, low, high, method, successes, n, given, confidence)
