"""From the share of positives a model was trained on to the share it meets: a shift of the logit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from estimates.result import FloatArray, needs_share


def prior_shift_logits(trained_share: float, target_share: float) -> float:
    """logit(target) − logit(trained): what is added to a calibrated logit. Saerens et al. 2002.

    It holds only when cases and non-cases look alike in both places; matched controls and cases found by report
    break that. A fallback: recalibration on a random, read sample of the archive comes first.
    """
    needs_share(trained_share=trained_share, target_share=target_share)
    if not (0 < trained_share < 1 and 0 < target_share < 1):
        raise ValueError("a share of 0 or 1 has no logit")
    return float(_logit(target_share) - _logit(trained_share))


def shifted_probability(probability: ArrayLike, trained_share: float, target_share: float) -> FloatArray:
    """Probabilities after the shift, same shape. From 713/1432 to 2 % a 0.50 becomes 0.020."""
    values = np.asarray(probability, dtype=np.float64)
    odds_ratio = np.exp(prior_shift_logits(trained_share, target_share))
    return np.asarray(values * odds_ratio / (values * odds_ratio + 1 - values))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
