"""The operating point that a training leaves beside its model: a threshold by specificity, on scans it never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from estimates.calibration import threshold_for_weighted_specificity
from models.registry import OperatingPoint


def point_by_specificity(negative: ArrayLike, target: float, chosen_on: str) -> OperatingPoint:
    """The lowest threshold that leaves at least `target` of the sound scans' probabilities below it.

    A scan at the threshold is flagged. Where even 1 is too low, the threshold is 1 and the rule says so.
    """
    scores = np.asarray(negative, np.float64)
    try:
        threshold = threshold_for_weighted_specificity(scores, np.ones(len(scores)), target)
    except ValueError as error:
        return OperatingPoint(1.0, f"one: {error}", chosen_on)
    rule = f"lowest threshold with specificity of at least {target} on the scans below"
    return OperatingPoint(threshold, rule, chosen_on)
