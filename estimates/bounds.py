"""What could not be scored or read, put into the table at its best and at its worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from estimates.audit_cells import Cell
from estimates.audit_reads import AuditReads, CellReads
from estimates.proportion import clopper_pearson
from estimates.result import Estimate

MAX_UNREAD_CELLS = 12  # 4,096 ways to fill them


@dataclass(frozen=True)
class MissingBounds:
    """`observed` leaves the missing out; `best` counts none of them as an event, `worst` all of them."""

    observed: Estimate
    best: Estimate
    worst: Estimate
    n_missing: int


def missing_bounds(
    events: int, n: int, n_missing: int, *, name: str = "share", given: str = "", confidence: float = 0.95
) -> MissingBounds:
    """k/n, k/(n+m) and (k+m)/(n+m), each with its Clopper-Pearson interval. Manski 1989: no assumption at all.

    The lower limit of `best` and the upper limit of `worst` hold both kinds of not knowing.
    """
    if n_missing < 0:
        raise ValueError("a number of missing units is not negative")

    def share(k: int, total: int, assumed: str) -> Estimate:
        return clopper_pearson(k, total, name=name, given=given + assumed, confidence=confidence)

    return MissingBounds(
        share(events, n, ""),
        share(events, n + n_missing, f"; {n_missing} missing counted as none"),
        share(events + n_missing, n + n_missing, f"; {n_missing} missing counted as events"),
        n_missing,
    )


@dataclass(frozen=True)
class AuditBounds:
    """An estimate of the cells that were read, and at the best and the worst filling of those that were not."""

    observed: Estimate
    lowest: Estimate
    highest: Estimate
    n_unread: int


def audit_bounds(
    reads: AuditReads, unread: Sequence[tuple[Cell, int]], estimate: Callable[[AuditReads], Estimate]
) -> AuditBounds:
    """`estimate` with every unread cell (and its units) without any case, or full of cases of the first class.

    All ways to fill them are tried, since a case that nobody scored raises the missed rate in one cell and lowers it
    in another. The lower limit of `lowest` and the upper limit of `highest` hold both kinds of not knowing.
    ValueError above twelve cells.
    """
    if len(unread) > MAX_UNREAD_CELLS:
        raise ValueError(f"{len(unread)} cells have no reads; at most {MAX_UNREAD_CELLS} can be bounded")
    others = (0,) * (len(reads.classes) - 1)
    found = []
    for filling in product((False, True), repeat=len(unread)):
        filled = tuple(
            CellReads(cell, n, n, (n if is_full else 0, *others))
            for (cell, n), is_full in zip(unread, filling, strict=True)
        )
        found.append(estimate(AuditReads(reads.classes, (*reads.cells, *filled))))
    n_unread = sum(n for _, n in unread)
    text = f"; {n_unread} units that nobody read counted at their "
    lowest, highest = min(found, key=lambda one: one.low), max(found, key=lambda one: one.high)
    return AuditBounds(
        estimate(reads),
        replace(lowest, given=lowest.given + text + "lowest"),
        replace(highest, given=highest.given + text + "highest"),
        n_unread,
    )
