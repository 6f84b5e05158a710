"""How the page of an evaluation says numbers and readers. Pure."""

from __future__ import annotations

from estimates.reader_study import LSTM, MAX, MEAN, REPORTS, VOTE
from estimates.result import Estimate
from estimates.suppress import SMALLEST_SHOWN
from reports.audit_words import NBSP

READER_NAMES = {
    REPORTS: "radiologists' reports",
    MAX: "CNN / max",
    MEAN: "CNN / mean",
    VOTE: "CNN / vote",
    LSTM: "CNN / LSTM",
}
DASH = "\N{EN DASH}"


def reader_name(reader: str) -> str:
    """As in the published table; everything else as it is."""
    return READER_NAMES.get(reader, reader)


def estimate_text(estimate: Estimate | None, digits: int | None = None) -> str:
    """`85.2 (75.6–92.1)` in percent; with `digits` as a plain number."""
    if estimate is None:
        return DASH
    scale, places = (100, 1) if digits is None else (1, digits)
    value, low, high = (f"{scale * x:.{places}f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value}{NBSP}({low}{DASH}{high})"


def whole(n: int | None) -> str:
    """A count; `hidden` where it is not shown."""
    return "hidden*" if n is None else f"{n:,}"


def open_words(n_open: int | None) -> str:
    """How many labelled scans stand in no row of the model because it has not looked at them."""
    told = f"fewer than {SMALLEST_SHOWN}" if n_open is None else f"{n_open:,}"
    return (
        f"Not looked at by this model yet: {told} labelled scans (pending, no slab kept, or scored by other models "
        "only); they are in none of its rows, nor counted as wrong."
    )
