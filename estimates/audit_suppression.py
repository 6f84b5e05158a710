"""Hides what is too small to show in the numbers of an audit, and enough besides that sums do not give it away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from estimates.audit_numbers import (
    SHOWN,
    SUPPRESSED,
    AuditNumbers,
    CellRow,
    FollowRow,
    Number,
    StratumRow,
    WaterfallStep,
)
from estimates.suppress import SMALLEST_SHOWN, suppress_linked, suppress_one_way, suppress_two_way

NOTE = f"fewer than {SMALLEST_SHOWN}, or it would give such a number away"
AI_PARTS = ("n_flagged", "n_not_flagged", "n_not_scored", "n_undecided")
REPORT_PARTS = ("n_report_fracture", "n_report_ambiguous", "n_report_none", "n_no_report")
COLUMNS = (*AI_PARTS, *REPORT_PARTS, "n_units")
# Not counts of patients: kappa counts readings, the assumed errors have no counts.
_FREE_SECTIONS = ("agreement", "sensitivity")


def suppressed(numbers: AuditNumbers) -> AuditNumbers:
    """The same numbers as they may leave the house: counts of 1 to 4 hidden, with whatever would give them away."""
    strata = suppressed_strata(numbers.strata)
    return replace(
        numbers,
        waterfall=suppressed_waterfall(numbers.waterfall),
        strata=strata,
        cells=suppressed_cells(numbers.cells),
        numbers=suppressed_shares(numbers.numbers, strata),
        follow_up=suppressed_follow_up(numbers.follow_up),
    )


def suppressed_strata(rows: Sequence[StratumRow]) -> tuple[StratumRow, ...]:
    """All groups as one system: each row's parts are its total, and each dimension's rows are the row `all`."""
    if not rows:
        return ()
    counts = np.array([[getattr(row, name) or 0 for name in COLUMNS] for row in rows])
    equations = _row_sums(len(rows)) + [
        line for parts, whole in _dimension_sums(rows) for line in _column_sums(len(rows), parts, whole)
    ]
    shown = suppress_linked(counts.ravel(), equations).is_shown.reshape(counts.shape)
    return tuple(_without(row, visible) for row, visible in zip(rows, shown.tolist(), strict=True))


def _without(row: StratumRow, visible: Sequence[bool]) -> StratumRow:
    hidden: dict[str, Any] = {
        name: None for name, is_shown in zip(COLUMNS, visible, strict=True) if not is_shown
    }
    return replace(row, **hidden)


def _row_sums(n_rows: int) -> list[list[float]]:
    """AI parts less the total, and report parts less the total, of every row."""
    width = len(COLUMNS)
    lines = []
    for row in range(n_rows):
        for parts in (AI_PARTS, REPORT_PARTS):
            line = [0.0] * (n_rows * width)
            for name in parts:
                line[row * width + COLUMNS.index(name)] = 1.0
            line[row * width + width - 1] = -1.0
            lines.append(line)
    return lines


def _dimension_sums(rows: Sequence[StratumRow]) -> list[tuple[list[int], int]]:
    """Which rows sum to which: every dimension to `all`, and each age by sex to its age and to its sex."""
    place = {(row.dimension, row.category): i for i, row in enumerate(rows) if row.is_counted}
    everybody = place.get(("all", "all"))
    dimensions = sorted({row.dimension for row in rows} - {"all"})
    sums = []
    for dimension in dimensions:
        parts = [i for (name, _), i in place.items() if name == dimension]
        if everybody is not None and parts:
            sums.append((parts, everybody))
    crossed = {key[1]: i for key, i in place.items() if key[0] == "age and sex"}
    for position, dimension in enumerate(("age", "sex")):
        for (name, category), i in place.items():
            parts = [k for value, k in crossed.items() if value.split(", ")[position] == category]
            if name == dimension and parts:
                sums.append((parts, i))
    return sums


def _column_sums(n_rows: int, parts: Sequence[int], whole: int) -> list[list[float]]:
    width = len(COLUMNS)
    lines = []
    for column in range(width):
        line = [0.0] * (n_rows * width)
        for row in parts:
            line[row * width + column] = 1.0
        line[whole * width + column] = -1.0
        lines.append(line)
    return lines


def suppressed_waterfall(steps: Sequence[WaterfallStep]) -> tuple[WaterfallStep, ...]:
    """Each step is the next one and those lost between them."""
    counts = np.array([step.n_studies or 0 for step in steps])
    reached = [i for i, step in enumerate(steps) if step.reason is None]
    lines = []
    for before, after in pairwise(reached):
        line = np.zeros(len(steps))
        line[before], line[after] = -1, 1
        line[[i for i, s in enumerate(steps) if s.reason is not None and s.step == steps[after].step]] = 1
        lines.append(line)
    if not lines:
        return tuple(steps)
    shown = suppress_linked(counts, lines).is_shown.tolist()
    return tuple(
        step if visible else replace(step, n_studies=None) for step, visible in zip(steps, shown, strict=True)
    )


def suppressed_cells(cells: Sequence[CellRow]) -> tuple[CellRow, ...]:
    """Units drawn and not drawn, and reads with and without a case, each as a table with margins."""
    if not cells:
        return ()
    drawn = suppress_two_way([[c.n_drawn or 0, (c.n_units or 0) - (c.n_drawn or 0)] for c in cells]).is_shown
    cases = suppress_two_way([[c.n_cases or 0, (c.n_read or 0) - (c.n_cases or 0)] for c in cells]).is_shown
    rows = []
    for i, cell in enumerate(cells):
        is_drawn_open = bool(drawn[i, 0] and drawn[i, 1])
        is_read_open = is_drawn_open and bool(cases[i, 2])
        rows.append(
            replace(
                cell,
                n_units=cell.n_units if drawn[i, 2] else None,
                n_drawn=cell.n_drawn if is_drawn_open else None,
                n_read=cell.n_read if is_read_open else None,
                n_cases=cell.n_cases if is_read_open and cases[i, 0] and cases[i, 1] else None,
            )
        )
    return tuple(rows)


def suppressed_follow_up(rows: Sequence[FollowRow]) -> tuple[FollowRow, ...]:
    if not rows:
        return ()
    shown = suppress_one_way([row.n_patients or 0 for row in rows]).is_shown.tolist()
    hidden: dict[str, Any] = {"n_patients": None, "n_later_reports": None, "days_to_report": None}
    return tuple(
        row if visible else replace(row, **hidden) for row, visible in zip(rows, shown, strict=False)
    )


def suppressed_shares(numbers: Sequence[Number], strata: Sequence[StratumRow]) -> tuple[Number, ...]:
    """Shares whose events, or whose others, are 1 to 4; or of a group whose counts are hidden.

    Where one group of a table is hidden the next smallest goes too: the whole and the others would give it away.
    """
    hidden = {i for i, number in enumerate(numbers) if _is_small(number) or _is_of_hidden(number, strata)}
    tables: dict[tuple[str, ...], list[int]] = {}
    for i, number in enumerate(numbers):
        if number.dimension != "all" and number.section not in _FREE_SECTIONS and number.value is not None:
            key = (number.section, number.quantity, number.endpoint, number.definition, number.dimension)
            tables.setdefault(key, []).append(i)
    for places in tables.values():
        inside = [i for i in places if i in hidden]
        others = sorted((i for i in places if i not in hidden), key=_denominator(numbers))
        if len(inside) == 1 and others:
            hidden.add(others[0])
    return tuple(_hidden(number) if i in hidden else number for i, number in enumerate(numbers))


def _denominator(numbers: Sequence[Number]) -> Callable[[int], float]:
    return lambda i: numbers[i].denominator or 0.0


def _is_small(number: Number) -> bool:
    if number.section in _FREE_SECTIONS or number.numerator is None or number.denominator is None:
        return False
    events, others = number.numerator, number.denominator - number.numerator
    return any(0 < n < SMALLEST_SHOWN for n in (events, others))


# A share and the columns that it is made of.
_MADE_OF = {
    "flagged share": ("n_flagged", "n_not_flagged"),
    "reported share": ("n_report_fracture", "n_report_ambiguous", "n_report_none"),
}


def _is_of_hidden(number: Number, strata: Sequence[StratumRow]) -> bool:
    columns = next((made for name, made in _MADE_OF.items() if number.quantity.startswith(name)), ())
    if not columns:
        return False
    rows = [r for r in strata if (r.dimension, r.category) == (number.dimension, number.category)]
    bounded = (*columns, "n_not_scored", "n_undecided") if number.section == "bounds" else columns
    return any(getattr(row, name) is None for row in rows for name in bounded)


def _hidden(number: Number) -> Number:
    if number.status != SHOWN:
        return number
    empty: dict[str, Any] = dict.fromkeys(("value", "low", "high", "numerator", "denominator"))
    return replace(number, **empty, conditioned_on="", status=SUPPRESSED, note=NOTE)
