"""A mean from many AI answers and a few readings: the AI's mean, corrected by its error on the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from estimates.result import Estimate, FloatArray, TooFewEvents, tails

MIN_EVENTS = 10  # the interval is normal


@dataclass(frozen=True)
class PoweredStratum:
    """One stratum with a random sample of readings: truth and AI answer of the read, AI answer of the others.

    `truth` and `answer` (n,) are of the units read, `other_answers` (N − n,) of those not read; numbers in [0, 1].
    """

    truth: FloatArray
    answer: FloatArray
    other_answers: FloatArray


def prediction_powered_share(
    strata: Sequence[PoweredStratum],
    *,
    name: str = "prevalence",
    given: str = "",
    confidence: float = 0.95,
) -> Estimate:
    """θ = λ·mean(f of the others) + mean(y − λ·f of the read), strata weighted by their units.

    Angelopoulos et al. 2023, doi 10.1126/science.adi6000; λ per stratum as in PPI++ (2023, arXiv 2311.01453):
    cov(y, f) / ((1 + n/m)·var f), clipped to [0, 1], so that a useless AI (λ = 0) leaves the plain mean of the
    readings. Variance λ²·var(f)/m + var(y − λf)/n; normal interval, clipped to [0, 1]. Refused below ten cases or
    ten non-cases among the readings.
    """
    truth = np.concatenate([stratum.truth for stratum in strata])
    if min(truth.sum(), (1 - truth).sum()) < MIN_EVENTS:
        raise TooFewEvents(f"a normal interval needs at least {MIN_EVENTS} cases and as many non-cases read")
    size = np.array([len(s.truth) + len(s.other_answers) for s in strata], dtype=np.float64)
    parts = np.array([_stratum(s) for s in strata])  # (strata, 2): mean and its variance
    weight = size / size.sum()
    value = min(max(float(weight @ parts[:, 0]), 0.0), 1.0)
    half = float(norm.ppf(tails(confidence)[1]) * np.sqrt(weight**2 @ parts[:, 1]))
    return Estimate(
        name,
        value,
        max(value - half, 0.0),
        min(value + half, 1.0),
        f"prediction-powered, {len(truth)} readings",
        value * float(size.sum()),
        float(size.sum()),
        given,
        confidence,
    )


def _stratum(stratum: PoweredStratum) -> tuple[float, float]:
    """Mean of the truth and the variance of that mean."""
    y, f, others = stratum.truth, stratum.answer, stratum.other_answers
    n, m = len(y), len(others)
    if n < 2 or len(f) != n:
        raise ValueError("each stratum needs two readings or more, and an AI answer for each")
    if m < 2:  # all read: nothing to power
        return float(y.mean()), float(y.var(ddof=1) / n)
    power = _power(y, f, n / m)
    value = power * others.mean() + (y - power * f).mean()
    return float(value), float(power**2 * others.var(ddof=1) / m + (y - power * f).var(ddof=1) / n)


def _power(y: FloatArray, f: FloatArray, read_per_other: float) -> float:
    spread = float(f.var(ddof=1))
    if spread == 0:
        return 0.0
    slope = float(np.cov(y, f, ddof=1)[0, 1]) / spread
    return min(max(slope / (1 + read_per_other), 0.0), 1.0)
