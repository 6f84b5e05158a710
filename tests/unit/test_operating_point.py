"""The threshold that a training leaves beside its model: from it on a scan is flagged."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.calibration import Calibration
from flows.operating_point import calibrated_point, point_by_specificity


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 0.99])
def test_no_more_sound_scans_are_flagged_than_the_rule_says(target: float) -> None:
    sound = np.arange(1, 101) / 200
    point = point_by_specificity(sound, target, "a hundred scans")
    assert (sound < point.threshold).mean() == pytest.approx(target)
    just_lower = np.nextafter(point.threshold, 0)
    assert (sound < just_lower).mean() <= target  # and no lower threshold would do
    assert point.chosen_on == "a hundred scans"


def test_where_sound_scans_score_one_the_rule_says_that_it_could_not() -> None:
    point = point_by_specificity([0.2, 1.0], 0.9, "two scans")
    assert point.threshold == 1.0
    assert "no threshold" in point.rule


def test_a_calibration_part_gives_calibration_and_threshold() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 4000)
    true = Calibration(0.5, -1.0)
    is_case = rng.random(len(logits)) < true.probability(logits)
    point = calibrated_point(logits, is_case, 0.9, "these scans")
    assert point.calibration_slope == pytest.approx(true.slope, abs=0.05)
    assert point.calibration_intercept == pytest.approx(true.intercept, abs=0.1)
    said = Calibration(point.calibration_slope, point.calibration_intercept).probability(logits)
    assert (said[~is_case] < point.threshold).mean() == pytest.approx(0.9, abs=0.001)
    assert "calibrated on them" in point.rule
    assert point.case_share == is_case.mean()
    # What a training's calibration says is what every verb that reads the file says.
    assert [point.probability(logit) for logit in logits[:20]] == pytest.approx(list(said[:20]))
    is_flagged = np.array([point.is_flagged(logit) for logit in logits])
    assert (~is_flagged[~is_case]).mean() == pytest.approx(0.9, abs=0.0005)


@pytest.mark.parametrize(
    ("n_cases", "n_sound", "said"), [(5, 40, "5 cases"), (40, 10, "fewer than 20 sound")]
)
def test_too_small_a_part_leaves_raw_probabilities_and_says_so(n_cases: int, n_sound: int, said: str) -> None:
    logits = np.linspace(-2, 2, n_cases + n_sound)
    point = calibrated_point(logits, np.arange(len(logits)) >= n_sound, 0.9, "few scans")
    assert (point.calibration_slope, point.calibration_intercept) == (1.0, 0.0)
    assert "uncalibrated" in point.rule
    assert said in point.rule
