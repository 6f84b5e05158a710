"""Area, interval and threshold, against numbers worked out by hand or by brute force."""

import numpy as np
import pytest

from estimates.roc import auc, pairs_ranked, share


def test_area_counts_pairs_and_halves_ties() -> None:
    # pairs: 3>1, 3>2, 2>1, 2=2 -> 3.5 of 4
    assert auc([3, 2], [1, 2]).value == pytest.approx(0.875)


def test_area_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    pos, neg = rng.integers(0, 20, 50) + 3, rng.integers(0, 20, 70)
    pairs = (pos[:, None] > neg).mean() + 0.5 * (pos[:, None] == neg).mean()
    assert auc(pos, neg).value == pytest.approx(pairs)


def test_pairs_in_the_right_order_are_a_whole_number_of_halves() -> None:
    """The area is a mean of shares, whose product with the pairs is 28,672.999… for some scores."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        pos, neg = rng.integers(3, 30, 149), rng.integers(0, 20, 201)
        right = (pos[:, None] > neg).sum() + 0.5 * (pos[:, None] == neg).sum()
        assert pairs_ranked(auc(pos, neg).value, 149 * 201) == right


def test_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = 0.7602499389065233  # two unit normals one apart: Φ(1/√2)
    hits = 0
    for _ in range(400):
        found = auc(rng.normal(1, 1, 60), rng.normal(0, 1, 60))
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize("n_pairs", [1, 2, 15])
def test_perfect_separation_has_the_limits_of_disjoint_pairs(n_pairs: int) -> None:
    low, high = list(range(n_pairs)), list(range(100, 100 + 3 * n_pairs))
    found = auc(high, low)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / n_pairs))
    wrong = auc(low, high)
    assert (wrong.value, wrong.low) == (0.0, 0.0)
    assert wrong.high == pytest.approx(1 - 0.025 ** (1 / n_pairs))


@pytest.mark.parametrize(("n_cases", "n_others"), [(1, 60), (3, 3), (8, 40)])
def test_intervals_of_few_scans_are_not_too_narrow(n_cases: int, n_others: int) -> None:
    rng = np.random.default_rng(5)
    truth = 0.9213503964748575  # two unit normals two apart: Φ(√2)
    hits = 0
    for _ in range(500):
        found = auc(rng.normal(2, 1, n_cases), rng.normal(0, 1, n_others))
        hits += found.low <= truth <= found.high
    assert hits / 500 >= 0.92


def test_scores_that_are_all_alike_say_little() -> None:
    found = auc([1.0] * 10, [1.0] * 30)
    assert found.value == 0.5
    assert found.low < 0.25
    assert found.high > 0.75


def test_area_needs_both_sides() -> None:
    with pytest.raises(ValueError, match="at least one"):
        auc([], [1.0])


def test_exact_interval_of_a_published_share() -> None:
    # The published table, specificity of the LSTM: 46 of 48, 85.7-99.5 % (docs/model.md).
    found = share(46, 48)
    assert (round(found.low, 3), round(found.high, 3)) == (0.857, 0.995)
