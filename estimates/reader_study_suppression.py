"""Hides the small groups of an evaluation, and as much besides as it takes that sums do not give them away.

The counts of the whole set are shown, as every published evaluation shows them. So where one of them is itself 1 to 4,
no group shows its errors: those of the others would follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from estimates.reader_study import HIGH_SHARE, LSTM, DomainRow, GroupRow, ReaderStudy
from estimates.suppress import SMALLEST_SHOWN, suppress_linked, suppress_one_way

ERRORS = ("tp", "fn", "fp", "tn")
TOTALS = ("n_cases", "n_controls")
# Which counts of errors make up which total.
PARTS = {"n_cases": ("tp", "fn"), "n_controls": ("fp", "tn")}
# From here on at least SMALLEST_SHOWN scans lie above the high quantile.
LEAST_FOR_HIGH = round(SMALLEST_SHOWN / (1 - HIGH_SHARE))


def suppressed_study(study: ReaderStudy) -> ReaderStudy:
    """The same study as it may leave the house."""
    whole = next(row.counts for row in study.readers if row.reader == LSTM)
    has_errors = not any(0 < getattr(whole, name) < SMALLEST_SHOWN for name in ERRORS)
    is_few = 0 < (study.n_open or 0) < SMALLEST_SHOWN
    reasons = _reasons(study)
    return replace(
        study,
        groups=_groups(study.groups, has_errors),
        n_not_scored=reasons,
        has_hidden_reasons=len(reasons) < len(study.n_not_scored),
        n_open=None if is_few else study.n_open,
    )


def suppressed_domain(rows: Sequence[DomainRow]) -> tuple[DomainRow, ...]:
    """The rows as they may leave the house: no small number beyond the limit, nor within it, and no single distances.

    `rows` are whole, as `domain_rows` makes them. How many lie beyond in all stands among the reasons: as many others
    are hidden as it takes. A distance that is nearly one patient's own is hidden too.
    """
    rows = [replace(row, high=row.high if row.n_scans >= LEAST_FOR_HIGH else None) for row in rows]
    beyond = [row.n_beyond for row in rows if row.n_beyond is not None]
    if not beyond or len(beyond) < len(rows):  # no limit
        return tuple(rows)
    within = [row.n_scans - n for row, n in zip(rows, beyond, strict=True)]
    shown = suppress_one_way(beyond).is_shown[:-1] & suppress_one_way(within).is_shown[:-1]
    return tuple(
        replace(row, n_beyond=row.n_beyond if is_shown else None)
        for row, is_shown in zip(rows, shown.tolist(), strict=True)
    )


def _reasons(study: ReaderStudy) -> dict[str, tuple[int, int]]:
    """Reasons whose cases and controls are each none or at least five.

    How many were not looked at, and how many count as wrong, stands in the whole: each part hides its own.
    """
    is_open = study.open_reasons
    parts = ([name for name in study.n_not_scored if (name in is_open) is part] for part in (True, False))
    shown = {name for names in parts for name in _shown_reasons(study, names)}
    return {name: both for name, both in study.n_not_scored.items() if name in shown}


def _shown_reasons(study: ReaderStudy, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    shown = suppress_one_way([sum(study.n_not_scored[name]) for name in names]).is_shown.tolist()
    return [
        name
        for name, is_shown in zip(names, shown, strict=False)
        if is_shown and not any(0 < n < SMALLEST_SHOWN for n in study.n_not_scored[name])
    ]


def _groups(rows: Sequence[GroupRow], has_errors: bool) -> tuple[GroupRow, ...]:
    if not rows:
        return ()
    names = (*ERRORS, *TOTALS) if has_errors else TOTALS
    dimensions = list(dict.fromkeys(row.dimension for row in rows))
    # a last row for everybody of each dimension: those of `grade` and `height loss` need not be all
    sums = [[sum(getattr(r, n) or 0 for r in rows if r.dimension == d) for n in names] for d in dimensions]
    counts = np.array([[getattr(row, name) or 0 for name in names] for row in rows] + sums, dtype=np.int64)
    shown = suppress_linked(counts.ravel(), _equations(rows, dimensions, names, counts)).is_shown
    visible = shown.reshape(counts.shape)[: len(rows)].tolist()
    return tuple(
        _without(row, dict(zip(names, each, strict=True))) for row, each in zip(rows, visible, strict=True)
    )


def _equations(
    rows: Sequence[GroupRow], dimensions: Sequence[str], names: Sequence[str], counts: np.ndarray
) -> list[list[float]]:
    """Errors make up the totals of each row; the rows of a dimension make up its sum; equal sums are one count."""
    width, lines = len(names), []

    def line(*terms: tuple[int, str, float]) -> None:
        values = [0.0] * counts.size
        for place, name, sign in terms:
            values[place * width + names.index(name)] = sign
        lines.append(values)

    for place in range(len(counts)):
        for total, parts in PARTS.items():
            if parts[0] in names:
                line((place, total, -1.0), *((place, part, 1.0) for part in parts))
    for number, dimension in enumerate(dimensions, start=len(rows)):
        for name in names:
            own = [(i, name, 1.0) for i, row in enumerate(rows) if row.dimension == dimension]
            line((number, name, -1.0), *own)
    for number in range(len(rows) + 1, len(counts)):
        for column, name in enumerate(names):
            if counts[number, column] == counts[len(rows), column]:
                line((len(rows), name, 1.0), (number, name, -1.0))
    return lines


def _without(row: GroupRow, shown: dict[str, bool]) -> GroupRow:
    kept: dict[str, Any] = {
        name: getattr(row, name) if shown.get(name) else None for name in (*ERRORS, *TOTALS)
    }
    has_recall = shown.get("tp", False) and shown.get("fn", False)
    has_specificity = shown.get("fp", False) and shown.get("tn", False)
    return replace(
        row,
        **kept,
        recall=row.recall if has_recall else None,
        specificity=row.specificity if has_specificity else None,
        area=row.area if has_recall and has_specificity else None,
    )
