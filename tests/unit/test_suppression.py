"""Small cells in tables with margins: hidden, and not to be worked out again."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.suppress import feasible_range, pooled_age, suppress_one_way, suppress_two_way


def test_one_small_cell_takes_another_with_it() -> None:
    found = suppress_one_way([3, 7, 20])
    assert found.cells() == [None, None, 20, 30]
    assert feasible_range(found, 0) == (1, 9)


def test_nothing_small_hides_nothing() -> None:
    assert suppress_one_way([5, 0, 20]).cells() == [5, 0, 20, 25]
    assert suppress_two_way([[5, 6], [0, 9]]).cells() == [5, 6, 11, 0, 9, 9, 5, 15, 20]


def test_two_small_cells_with_a_small_sum_hide_the_total_too() -> None:
    """2 + 3 = 5 would say that each is 1 to 4."""
    assert suppress_one_way([2, 3]).cells() == [None, None, None]
    assert suppress_one_way([2, 3, 40]).cells().count(None) >= 3


def test_a_table_needs_a_rectangle() -> None:
    found = suppress_two_way([[3, 70, 20], [10, 11, 19], [30, 40, 50]])
    hidden = ~found.is_shown
    assert hidden[0, 0]
    assert hidden.sum() >= 4
    assert all(count != 1 for count in hidden.sum(axis=0))
    assert all(count != 1 for count in hidden.sum(axis=1))
    assert found.cells().count(None) == hidden.sum()
    for place in np.flatnonzero(hidden.ravel()):
        low, high = feasible_range(found, int(place))
        assert high - low >= 5


def test_a_small_margin_is_hidden() -> None:
    found = suppress_two_way([[1, 2], [30, 40]])
    assert not found.is_shown[0, 2]  # 3 patients in the row


def test_all_zero_and_bad_tables() -> None:
    assert suppress_two_way([[0, 0], [0, 0]]).cells() == [0] * 9
    with pytest.raises(ValueError, match="no negative"):
        suppress_two_way([[1, -1]])


def test_the_oldest_are_pooled() -> None:
    ages = pooled_age([45.0, 89.0, 90.0, 103.0, np.nan])
    assert ages[:4].tolist() == [45, 89, 90, 90]
    assert np.isnan(ages[4])
