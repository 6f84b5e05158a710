"""What every estimate carries: the value, its limits, and how and from what it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
# Stands beside all numbers that a simulated scan had a part in.
SIMULATED_CAVEAT = "simulated, not validated on patients"


@dataclass(frozen=True)
class Estimate:
    """One number that may stand in a table by itself.

    `numerator` and `denominator` are what the value was divided from: counts, or weighted counts of units
    where the sample was drawn with weights. `given` says who was counted, in words.
    """

    name: str
    value: float
    low: float
    high: float
    method: str
    numerator: float
    denominator: float
    given: str
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.low <= self.value <= self.high):
            raise ValueError(f"{self.name}: {self.value} does not lie between {self.low} and {self.high}")

    def named(self, name: str) -> Estimate:
        return replace(self, name=name)


class Refused(ValueError):
    """The estimate would be wrong from these data; the message says why and what to use instead."""


class TooFewEvents(Refused):
    """A method for large counts was asked about small ones."""


def needs_share(**shares: float) -> None:
    """ValueError unless every named value is a number from 0 to 1."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, not a share from 0 to 1")


def needs_counts(successes: int, n: int) -> None:
    """ValueError unless 0 ≤ successes ≤ n and n > 0."""
    if n <= 0:
        raise ValueError("a share of nothing is no number")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")


def tails(confidence: float) -> tuple[float, float]:
    """The two quantiles that leave out the rest of `confidence` in equal parts."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, not between 0 and 1")
    return (1 - confidence) / 2, (1 + confidence) / 2
