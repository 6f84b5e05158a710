"""The rules the LSTM is compared with: max, mean and majority vote over a scan's slices. Pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

SLICE_THRESHOLD = 0.5  # a slice votes "fracture" above this probability (Mao 2025)


def sigmoid(logits: Floats) -> NDArray[np.float64]:
    """Logits of any shape → probabilities; no overflow at either end."""
    values = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def max_probability(slice_logits: Floats) -> float:
    """The most suspicious slice speaks. slice_logits (n,) → probability. ValueError when empty."""
    return float(sigmoid(_checked(slice_logits)).max())


def mean_probability(slice_logits: Floats) -> float:
    """The mean of the slices' probabilities. slice_logits (n,) → probability. ValueError when empty."""
    return float(sigmoid(_checked(slice_logits)).mean())


def vote_share(slice_logits: Floats, threshold: float = SLICE_THRESHOLD) -> float:
    """The share of slices above `threshold`; the scan is positive above one half. ValueError when empty."""
    return float((sigmoid(_checked(slice_logits)) > threshold).mean())


def _checked(slice_logits: Floats) -> Floats:
    if np.asarray(slice_logits).size == 0:
        raise ValueError("a scan without slices has no score")
    return slice_logits
