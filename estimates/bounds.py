"""What could not be scored or read, put into the table at its best and at its worst."""

from __future__ import annotations

from dataclasses import dataclass

from estimates.proportion import clopper_pearson
from estimates.result import Estimate


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
