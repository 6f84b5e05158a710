"""What leaves the house: no count of 1 to 4, none that sums give away, nobody older than 90."""

from __future__ import annotations

import dataclasses
from random import Random

import numpy as np
import pytest
from scipy.optimize import linprog

from estimates.audit_numbers import (
    REFUSED,
    SHOWN,
    SUPPRESSED,
    CellRow,
    FollowRow,
    Number,
    StratumRow,
    WaterfallStep,
)
from estimates.audit_suppression import (
    AI_PARTS,
    REPORT_PARTS,
    suppressed_cells,
    suppressed_follow_up,
    suppressed_shares,
    suppressed_strata,
    suppressed_waterfall,
)
from estimates.suppress import suppress_linked

COUNTS = (*AI_PARTS, *REPORT_PARTS, "n_units")


def stratum(dimension: str, category: str, ai: list[int], report: list[int]) -> StratumRow:
    assert sum(ai) == sum(report)
    return StratumRow(dimension, category, True, sum(ai), *ai, *report)


def hospital(seed: int) -> list[StratumRow]:
    """Sex and age of one set of patients, crossed, and the margins; many cells are small."""
    chance = Random(seed)
    crossed: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for age in ("50-59", "60-69", "90 and over"):
        for sex in ("F", "M"):
            ai = [chance.choice([0, 1, 3, 8, 20]) for _ in AI_PARTS]
            report = [0] * 4
            for _ in range(sum(ai)):
                report[chance.choice([0, 1, 2, 2, 2, 3])] += 1
            crossed[age, sex] = ai, report
    return [
        total("all", "all", list(crossed.values())),
        *(total("sex", s, [c for (_, sex), c in crossed.items() if sex == s]) for s in ("F", "M")),
        *(
            total("age", a, [c for (age, _), c in crossed.items() if age == a])
            for a in ("50-59", "60-69", "90 and over")
        ),
        *(stratum("age and sex", f"{age}, {sex}", *c) for (age, sex), c in crossed.items()),
    ]


def total(dimension: str, category: str, parts: list[tuple[list[int], list[int]]]) -> StratumRow:
    ai, report = (np.sum([part[i] for part in parts], axis=0).tolist() for i in (0, 1))
    return stratum(dimension, category, ai, report)


def hidden_ranges(rows: list[StratumRow], shown: list[StratumRow]) -> list[tuple[float, float]]:
    """Least and largest value of every hidden count that agrees with all that is shown, sums included."""
    place = {
        (r.dimension, r.category, name): i for i, (r, name) in enumerate((r, n) for r in rows for n in COUNTS)
    }
    left, right = [], []

    def sums_to(parts: list[tuple[str, str, str]], whole: tuple[str, str, str]) -> None:
        line = np.zeros(len(place))
        line[[place[part] for part in parts]] = 1
        line[place[whole]] = -1
        left.append(line)
        right.append(0.0)

    for row in rows:
        key = (row.dimension, row.category)
        for parts in (AI_PARTS, REPORT_PARTS):
            sums_to([(*key, name) for name in parts], (*key, "n_units"))
    for name in COUNTS:
        for dimension in ("sex", "age"):
            groups = [r.category for r in rows if r.dimension == dimension]
            sums_to([(dimension, group, name) for group in groups], ("all", "all", name))
            for group in groups:
                crossed = [
                    r.category
                    for r in rows
                    if r.dimension == "age and sex" and group in r.category.split(", ")
                ]
                sums_to([("age and sex", value, name) for value in crossed], (dimension, group, name))
    bounds: list[tuple[float, float | None]] = []
    for row in shown:
        for name in COUNTS:
            value = getattr(row, name)
            bounds.append((1, None) if value is None else (value, value))
    found = []
    for i, (low, high) in enumerate(bounds):
        if high is None:
            aim = np.zeros(len(bounds))
            aim[i] = 1
            ends = [linprog(sign * aim, A_eq=left, b_eq=right, bounds=bounds) for sign in (1, -1)]
            assert all(end.status in (0, 3) for end in ends)
            found.append((ends[0].fun, float("inf") if ends[1].status == 3 else -ends[1].fun))
            assert low == 1
    return found


@pytest.mark.parametrize("seed", range(8))
def test_T58_small_cells_of_an_export_are_hidden_and_not_given_away(seed: int) -> None:
    rows = hospital(seed)
    shown = list(suppressed_strata(rows))
    for before, after in zip(rows, shown, strict=True):
        for name in COUNTS:
            count = getattr(after, name)
            assert count in (None, getattr(before, name))
            assert count is None or count == 0 or count >= 5
    ranges = hidden_ranges(rows, shown)
    assert ranges
    assert all(high - low >= 5 for low, high in ranges)


def test_nothing_is_hidden_where_nothing_is_small() -> None:
    ten = ([10, 40, 10, 0], [10, 10, 30, 10])
    rows = [total("all", "all", [ten, ten]), stratum("sex", "F", *ten), stratum("sex", "M", *ten)]
    assert list(suppressed_strata(rows)) == rows


def test_a_waterfall_hides_a_second_number_beside_a_small_one() -> None:
    steps = [
        WaterfallStep("found", None, None, 100),
        WaterfallStep("ct", None, None, 97),
        WaterfallStep("ct", "excluded", "not_ct", 3),
        WaterfallStep("eligible", None, None, 60),
        WaterfallStep("eligible", "excluded", "too_short", 30),
        WaterfallStep("eligible", "excluded", "body_part", 7),
    ]
    shown = suppressed_waterfall(steps)
    assert shown[2].n_studies is None
    assert sum(step.n_studies is None for step in shown) >= 2
    assert all(step.n_studies is None or step.n_studies >= 5 for step in shown)


def number(dimension: str, category: str, events: float, n: float, section: str = "missed") -> Number:
    place = (section, "missed-diagnosis rate", "", "strict", dimension, category)
    return Number(*place, events / n, 0.0, 1.0, events, n, 0.95, "method", "given")


def test_a_share_of_few_is_hidden_and_the_smallest_group_beside_it() -> None:
    numbers = [
        number("all", "all", 40, 100),
        number("sex", "F", 38, 60),
        number("sex", "M", 2, 40),
        number("year", "2020", 20, 50),
        number("year", "2021", 20, 50),
        number("agreement", "all", 1, 100, "agreement"),
    ]
    shown = suppressed_shares(numbers, [])
    assert [one.status for one in shown] == [SHOWN, SUPPRESSED, SUPPRESSED, SHOWN, SHOWN, SHOWN]
    hidden = shown[2]
    assert (hidden.value, hidden.low, hidden.high, hidden.numerator, hidden.denominator) == (None,) * 5
    assert hidden.conditioned_on == ""
    assert "fewer than 5" in hidden.note


def test_a_refused_number_stays_refused() -> None:
    refused = dataclasses.replace(
        number("all", "all", 1, 2), value=None, numerator=None, denominator=None, status=REFUSED, note="why"
    )
    assert suppressed_shares([refused], []) == (refused,)


def test_a_flagged_share_goes_with_its_counts() -> None:
    row = dataclasses.replace(stratum("sex", "M", [9, 9, 9, 0], [9, 9, 9, 0]), n_flagged=None)
    share = Number("prevalence", "flagged share", "", "", "sex", "M", 0.5, 0.3, 0.7, 9, 18, 0.95, "m", "g")
    assert suppressed_shares([share], [row])[0].status == SUPPRESSED


def test_cells_and_follow_up_hide_few() -> None:
    cells = [
        CellRow("flagged", "fracture", 0, None, None, n, d, d, k) for n, d, k in ((50, 20, 10), (40, 20, 2))
    ]
    shown = suppressed_cells(cells)
    assert shown[1].n_cases is None
    assert shown[0].n_cases is None  # else the total would give the other away
    assert [cell.n_units for cell in shown] == [50, 40]
    rows = [FollowRow("not_reported", False, 0, False, n, n, None) for n in (3, 30, 40)]
    after = suppressed_follow_up(rows)
    assert after[0].n_patients is None
    assert after[0].n_later_reports is None
    assert sum(row.n_patients is None for row in after) == 2


def test_sums_that_do_not_hold_are_no_system() -> None:
    with pytest.raises(ValueError, match="sums are their totals"):
        suppress_linked([3, 4, 8], [[1, 1, -1]])
    assert suppress_linked([30, 40, 70], [[1, 1, -1]]).is_shown.all()
