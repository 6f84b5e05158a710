"""The operating point that a training leaves beside its model: a threshold by specificity, on scans it never saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from estimates.calibration import fit_platt, threshold_for_weighted_specificity
from models.pooling import sigmoid
from models.registry import OperatingPoint

LEAST_SOUND = 20  # one of fewer is more than the 5 % that a rule speaks of


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


def calibrated_point(logits: ArrayLike, is_case: ArrayLike, target: float, chosen_on: str) -> OperatingPoint:
    """Calibration (Platt) and threshold from scans that no training touched, by their raw logits.

    Raw probabilities where cases or others are too few for a line, and one half where the sound scans are too few for
    a threshold; the rule then says so. Probabilities are those at the scans' own share of cases, `case_share`; raw
    ones at that of the training, which is not known here.
    """
    said, case = np.asarray(logits, np.float64), np.asarray(is_case, bool)
    if (~case).sum() < LEAST_SOUND:
        few = f"one half, uncalibrated: fewer than {LEAST_SOUND} sound scans to choose a threshold on"
        return OperatingPoint(0.5, few, chosen_on)
    try:
        line = fit_platt(said, case).calibration
    except ValueError as error:
        point = point_by_specificity(sigmoid(said[~case]), target, chosen_on)
        return replace(point, rule=f"{point.rule}; uncalibrated: {error}")
    calibrated = OperatingPoint(1.0, "", chosen_on, line.slope, line.intercept, float(case.mean()))
    sound = [calibrated.probability(logit) for logit in said[~case]]
    point = point_by_specificity(sound, target, chosen_on)
    rule = f"{point.rule}; calibrated on them, at their share of cases"
    return replace(calibrated, threshold=point.threshold, rule=rule)
