"""Tables that the model verbs print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from flows.console import make_console


def print_diff(rows: Sequence[tuple[Any, ...]], first: str, second: str, most: int) -> None:
    """Counts of agreement, then who flipped. Rows of `warehouse/queries/model_diff.sql`."""
    pairs = [(row[6], row[7]) for row in rows]
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    print(f"{len(rows):,} series scored by both: {both:,} flagged by both, {neither:,} by neither,")
    print(f"{only_first:,} by {first} alone, {only_second:,} by {second} alone,")
    print(f"{len(rows) - both - neither - only_first - only_second:,} that one of them may not judge.")
    flipped = [row for row in rows if row[10]]
    if not flipped:
        return
    table = Table(box=None, pad_edge=False)
    for header in ("study", "series", first, second):
        table.add_column(header)
    for row in flipped[:most]:
        table.add_row(row[0][:16], row[1][:16], _said(row[4], row[6]), _said(row[5], row[7]))
    make_console().print(table)
    if len(flipped) > most:
        print(f"and {len(flipped) - most:,} more: --out writes all")


def _said(probability: float | None, is_flagged: bool | None) -> str:
    if probability is None:
        return "not evaluable"
    return f"{probability:.3f} {'flagged' if is_flagged else ''}".strip()


def print_domain(rows: Sequence[tuple[Any, ...]], model_id: str, limit: float | None) -> None:
    """Distances by scanner. Rows of `warehouse/queries/domain_by_scanner.sql`."""
    table = Table(box=None, pad_edge=False)
    for header in ("scanner", "scored", "middle", "95 %", "not evaluable"):
        table.add_column(header, justify="left" if header == "scanner" else "right")
    for scanner, n_scored, _, middle, high, n_beyond in rows:
        numbers = ["-" if value is None else f"{value:.2f}" for value in (middle, high)]
        table.add_row(scanner, f"{n_scored:,}", *numbers, f"{n_beyond:,}")
    make_console().print(table)
    said = "no limit" if limit is None else f"limit {limit:.3f}"
    print(f"Distance from what {model_id} has seen; an average image of its reference lies at 1; {said}.")
