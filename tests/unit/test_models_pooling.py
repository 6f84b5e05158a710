"""Max, mean and vote, on numbers worked out by hand."""

import math

import numpy as np
import pytest

from models.pooling import max_probability, mean_probability, sigmoid, vote_share

LOGITS = np.array([0.0, math.log(3), -math.log(3), -math.log(9)], np.float32)  # 0.5, 0.75, 0.25, 0.1


def test_max_is_the_most_suspicious_slice() -> None:
    assert max_probability(LOGITS) == pytest.approx(0.75)


def test_mean_is_over_probabilities_not_logits() -> None:
    assert mean_probability(LOGITS) == pytest.approx(0.4)


def test_vote_needs_more_than_one_half() -> None:
    assert vote_share(LOGITS) == pytest.approx(0.25)  # exactly 0.5 is no vote
    assert vote_share(LOGITS, threshold=0.2) == pytest.approx(0.75)


@pytest.mark.parametrize("rule", [max_probability, mean_probability, vote_share])
def test_a_scan_without_slices_has_no_score(rule: object) -> None:
    assert callable(rule)
    with pytest.raises(ValueError, match="without slices"):
        rule(np.array([]))


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
