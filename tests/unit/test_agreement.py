"""McNemar and kappa, against numbers worked out by hand and published ones."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.agreement import cohens_kappa, fleiss_kappa, mcnemar_exact
from estimates.result import Refused


def test_mcnemar_is_a_binomial_tail() -> None:
    # 1 of 6 discordant: 2·(1 + 6)/64
    assert mcnemar_exact(1, 5).p_value == pytest.approx(14 / 64)
    assert mcnemar_exact(5, 1).p_value == mcnemar_exact(1, 5).p_value
    assert mcnemar_exact(0, 0).p_value == 1.0
    assert mcnemar_exact(4, 4).p_value == 1.0


def test_cohen_by_hand() -> None:
    # 20 + 15 of 50 agree; expected 0.5·0.6 + 0.5·0.4
    found = cohens_kappa([[20, 5], [10, 15]])
    assert found.value == pytest.approx((0.7 - 0.5) / 0.5)
    assert (found.numerator, found.denominator) == (35, 50)
    assert -1 <= found.low < found.value < found.high <= 1


def test_full_agreement_on_few_scans_is_no_certainty() -> None:
    few, many = cohens_kappa([[12, 0], [0, 8]]), cohens_kappa([[600, 0], [0, 400]])
    assert [few.value, few.high] == pytest.approx([1, 1])
    assert few.low < many.low < 1
    assert few.low < 0.9


def test_quadratic_weights_forgive_neighbours() -> None:
    table = np.array([[20, 5, 0], [4, 15, 3], [0, 2, 11]])
    assert (
        cohens_kappa(table, "quadratic").value
        > cohens_kappa(table, "linear").value
        > cohens_kappa(table).value
    )


def test_kappa_of_one_answer_is_refused() -> None:
    with pytest.raises(Refused, match="undefined"):
        cohens_kappa([[50, 0], [0, 0]])
    with pytest.raises(Refused, match="undefined"):
        fleiss_kappa([[3, 0], [3, 0]])
    with pytest.raises(ValueError, match="square"):
        cohens_kappa([[1, 2, 3], [4, 5, 6]])


def test_fleiss_gives_the_published_example() -> None:
    """Ten subjects, fourteen raters, five answers: 0.210 (Fleiss 1971 as in the literature's worked example)."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    found = fleiss_kappa(table)
    assert found.value == pytest.approx(0.210, abs=0.0005)
    assert found.low <= found.value <= found.high
    with pytest.raises(ValueError, match="same number of readers"):
        fleiss_kappa([[1, 1], [1, 2]])
