"""No hidden cell of a published table can be worked out: checked by trying all tables that agree, and by LP."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from estimates.suppress import SuppressedTable, suppress_one_way, suppress_two_way

WIDTH = 5
COUNTS = st.one_of(st.integers(0, 6), st.integers(0, 200))


def naive_range(table: SuppressedTable, wanted: int) -> tuple[float, float]:
    """The range of one cell, from sums written out cell by cell; hidden cells are at least 1."""
    counts, shown = np.atleast_2d(table.counts), np.atleast_2d(table.is_shown)
    n_rows, n_columns = counts.shape
    sums = [([(r, c) for c in range(n_columns - 1)], (r, n_columns - 1)) for r in range(n_rows)]
    if n_rows > 1:
        sums += [([(r, c) for r in range(n_rows - 1)], (n_rows - 1, c)) for c in range(n_columns)]
    left, right = [], []
    for parts, total in sums:
        row, known = np.zeros(counts.size), 0
        for (r, c), sign in [*((part, 1) for part in parts), (total, -1)]:
            if shown[r, c]:
                known -= sign * int(counts[r, c])
            else:
                row[r * n_columns + c] = sign
        left.append(row)
        right.append(known)
    bounds = [(0, 0) if s else (1, None) for s in shown.ravel()]
    aim = np.zeros(counts.size)
    aim[wanted] = 1
    ends = []
    for sign in (1, -1):
        found = linprog(sign * aim, A_eq=np.array(left), b_eq=right, bounds=bounds, method="highs")
        assert found.status in (0, 3)
        ends.append(sign * found.fun if found.status == 0 else sign * float("-inf"))
    return ends[0], ends[1]


def assert_safe(table: SuppressedTable) -> None:
    counts, shown = table.counts.ravel(), table.is_shown.ravel()
    assert shown[counts == 0].all()
    assert not shown[(counts > 0) & (counts < 5)].any()
    for place in np.flatnonzero(~shown):
        low, high = naive_range(table, int(place))
        assert low <= counts[place] <= high
        assert high - low >= WIDTH


@settings(deadline=None, max_examples=30)
@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_one_way(counts: list[int]) -> None:
    table = suppress_one_way(counts)
    assert table.counts.tolist() == [*counts, sum(counts)]
    assert_safe(table)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(COUNTS, min_size=n, max_size=n), min_size=1, max_size=5)
    )
)
def test_two_way(counts: list[list[int]]) -> None:
    table = suppress_two_way(counts)
    inner = np.array(counts)
    assert (table.counts[:-1, :-1] == inner).all()
    assert (table.counts[-1, :-1] == inner.sum(axis=0)).all()
    assert table.counts[-1, -1] == inner.sum()
    assert_safe(table)


def test_all_tables_that_agree_are_many() -> None:
    """By enumeration: each hidden cell takes at least six values among the tables that would look the same."""
    table = suppress_two_way([[3, 12, 20], [10, 11, 19], [30, 40, 50]])
    hidden = [tuple(place) for place in np.argwhere(~table.is_shown)]
    assert all(max(place) < 3 for place in hidden)  # only inner cells here
    assert len(hidden) == 4
    values = np.stack(np.meshgrid(*[np.arange(1, 25)] * 4), axis=-1).reshape(-1, 4)
    tried = np.broadcast_to(table.counts[:-1, :-1], (len(values), 3, 3)).copy()
    for i, (row, column) in enumerate(hidden):
        tried[:, row, column] = values[:, i]
    agrees = (tried.sum(axis=1) == table.counts[-1, :-1]).all(axis=1)
    agrees &= (tried.sum(axis=2) == table.counts[:-1, -1]).all(axis=1)
    assert min(len(np.unique(column)) for column in values[agrees].T) > WIDTH


@pytest.mark.parametrize("counts", [[4], [1, 0, 0], [2, 3], [4, 4, 0]])
def test_tables_of_few_patients_hide_the_total(counts: list[int]) -> None:
    table = suppress_one_way(counts)
    assert not table.is_shown[-1] or table.counts[-1] >= 5
    assert_safe(table)
