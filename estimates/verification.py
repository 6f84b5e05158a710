"""Accuracy when only some were read: Begg-Greenes within groups, and weights from the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from estimates.audit_limits import MonteCarlo, ratio_estimate
from estimates.audit_reads import CellRatio
from estimates.result import Estimate, FloatArray, TooFewEvents, tails

MIN_EVENTS = 10  # the linearised variance below is a large-sample one


@dataclass(frozen=True)
class VerifiedGroup:
    """One group of like units: how many the test called positive and negative, and what readings of some found."""

    n_positive: int
    positive_read: int
    positive_cases: int
    n_negative: int
    negative_read: int
    negative_cases: int

    def __post_init__(self) -> None:
        for n, read, cases in (
            (self.n_positive, self.positive_read, self.positive_cases),
            (self.n_negative, self.negative_read, self.negative_cases),
        ):
            if not 0 <= cases <= read <= n:
                raise ValueError(f"{cases} cases of {read} reads of {n} units")


def begg_greenes(
    groups: Sequence[VerifiedGroup], *, given: str = "", how: MonteCarlo | None = None
) -> tuple[Estimate, Estimate]:
    """Sensitivity and specificity when reading depended on the test and on the group only. Begg & Greenes 1983.

    Se = Σ N₊·P(D|+) / (Σ N₊·P(D|+) + Σ N₋·P(D|−)), Sp likewise from the healthy; doi 10.2307/2530820. Limits by
    the same Monte Carlo as the audit. Refused when a group has units of one answer and none of them was read.
    """
    n = np.array([[g.n_positive, g.n_negative] for g in groups], dtype=np.float64).T.ravel()
    read = np.array([[g.positive_read, g.negative_read] for g in groups], dtype=np.float64).T.ravel()
    cases = np.array([[g.positive_cases, g.negative_cases] for g in groups], dtype=np.float64).T.ravel()
    positive = np.arange(2 * len(groups)) < len(groups)
    there = n > 0  # a group may lie on one side only; a side without units has no share to draw
    n, read, cases, positive = n[there], read[there], cases[there], positive[there]
    found = given + "; Begg-Greenes: reading depends on the answer and the group only"
    return (
        ratio_estimate(_split(n, read, cases, positive), "sensitivity", found, how),
        ratio_estimate(_split(n, read, read - cases, ~positive), "specificity", found, how),
    )


def _split(n: FloatArray, read: FloatArray, events: FloatArray, in_a: np.ndarray) -> CellRatio:
    return CellRatio(n, read, np.where(in_a, events, 0.0), np.where(in_a, 0.0, events), in_a, ~in_a)


def weighted_share(
    is_event: ArrayLike,
    is_counted: ArrayLike,
    reading_probability: ArrayLike,
    *,
    name: str = "share",
    given: str = "",
    confidence: float = 0.95,
) -> Estimate:
    """Σ w·event / Σ w·counted over the read units, w = 1/probability of having been read (Hájek 1971).

    One value per unit read. Linearised variance Σ w²(event − share)², interval on the logit scale. It takes units
    as drawn independently; a stratified audit has `estimates.audit_estimates` for its own. Refused below ten events
    or ten non-events: its interval is a large-sample one.
    """
    counted = np.asarray(is_counted, dtype=bool)
    event = np.asarray(is_event, dtype=bool)[counted]
    probability = np.asarray(reading_probability, dtype=np.float64)[counted]
    if ((probability <= 0) | (probability > 1)).any():
        raise ValueError("each read unit had a probability of being read above 0 and at most 1")
    if min(event.sum(), (~event).sum()) < MIN_EVENTS:
        raise TooFewEvents(f"weights need at least {MIN_EVENTS} events and as many non-events")
    weight = 1 / probability
    numerator, denominator = float((weight * event).sum()), float(weight.sum())
    value = numerator / denominator
    error = float(np.sqrt((weight**2 * (event - value) ** 2).sum()) / denominator / (value * (1 - value)))
    z = float(norm.ppf(tails(confidence)[1]))
    middle = np.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-(middle + side * z * error)))) for side in (-1, 1))
    method = "inverse-probability weights, linearised on the logit scale"
    return Estimate(name, value, low, high, method, numerator, denominator, given, confidence)
