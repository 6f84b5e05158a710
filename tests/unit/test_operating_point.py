"""The threshold that a training leaves beside its model: from it on a scan is flagged."""

from __future__ import annotations

import numpy as np
import pytest

from flows.operating_point import point_by_specificity


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
