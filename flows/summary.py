"""What a sweep prints at its end: the conservation lines, why scans were left out, and where to look next."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.table import Table

from flows.console import make_console
from flows.progress import duration_text
from flows.settings import Settings
from flows.sweep_summary import LevelCount, NightSummary, SweepSummary
from warehouse.reasons import reason_of

MAX_REASONS = 14  # of the study table; `ovf status` shows all
SIMULATED = "The model was trained on simulated scans only. Not for clinical use."


def print_summary(summary: SweepSummary, settings: Settings, console: Console | None = None) -> None:
    """Print the summary of one sweep."""
    out = console or make_console()
    out.print(f"\nSweep finished in {duration_text(summary.duration_s)}.", style="bold")
    for level in summary.levels:
        out.print(conservation_line(level), soft_wrap=True)
    if summary.reasons:
        out.print("\nWhy series and studies were not scored:")
        out.print(_reason_table(summary))
    scored = next((level.scored for level in summary.levels if level.level == "study"), 0)
    if not any(level.found for level in summary.levels):
        out.print("The archive holds no files: is this the right folder?")
    out.print(f"\nFlagged: {summary.n_flagged:,} of {scored:,} scored studies, by model {summary.model_id}.")
    if summary.is_simulated_only:
        out.print(SIMULATED, style="bold yellow")
    for fault in summary.failed_checks:
        out.print(
            f"CHECK FAILED {fault}. Run `ovf check` and keep this warehouse as it is.", style="bold red"
        )
    if summary.n_failed_series:
        out.print(
            f"{summary.n_failed_series:,} series failed for infrastructure reasons: sweep again, they are tried again."
        )
    elif summary.n_failed_files:
        out.print(
            f"{summary.n_failed_files:,} files could not be read, and what they belong to may have been scored without "
            "them: mend that (`ovf status` has the reasons) and sweep again, they are tried again.",
            style="bold red",
        )
    if summary.n_failed_queries:
        out.print(
            f"{summary.n_failed_queries:,} questions were not answered by the PACS: sweep again, they are asked again."
        )
    out.print(_next_steps(summary, settings), soft_wrap=True)


def print_night(night: NightSummary, settings: Settings, console: Console | None = None) -> None:
    """Print what a night did: a few lines of its own, then the archive's."""
    out = console or make_console()
    out.print(
        f"\nCame: {night.n_new:,} new studies, {night.n_changed:,} changed, {night.n_carried:,} left over from before.",
        style="bold",
        soft_wrap=True,
    )
    out.print(
        f"Scored tonight: {night.n_scored:,}, flagged {night.n_flagged:,}; left for the next night: {night.n_left:,}."
    )
    if night.is_canary_enrolled:
        out.print("The canary was enrolled tonight: later nights are held against it.")
    for alert in night.alerts:
        out.print(f"CHANGED {alert}", style="bold red", soft_wrap=True)
    for each in night.to_do:
        out.print(f"To do: {each}", soft_wrap=True)
    out.print(f"Morning page: {night.page}", soft_wrap=True)
    print_summary(night.sweep, settings, out)


def conservation_line(level: LevelCount) -> str:
    """`studies: 120 found = 80 scored + 30 excluded + 10 quarantined + 0 failed + 0 pending`."""
    name = {"file": "files", "series": "series", "study": "studies"}[level.level]
    parts = " + ".join(
        f"{getattr(level, outcome):,} {outcome}"
        for outcome in ("scored", "excluded", "quarantined", "failed", "pending")
    )
    verdict = "" if level.is_conserved else "   NOT CONSERVED: run `ovf check`"
    return f"{name:>8}: {level.found:,} found = {parts}{verdict}"


def _reason_table(summary: SweepSummary) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("level")
    table.add_column("n", justify="right")
    for header in ("outcome", "reason", ""):
        table.add_column(header)
    shown = [row for row in summary.reasons if row[0] != "file"][:MAX_REASONS]
    for level, outcome, reason, count in shown:
        table.add_row(level, f"{count:,}", outcome, reason or "", _next_step(reason))
    return table


def _next_step(reason: str | None) -> str:
    """What to do about a reason; nothing is said of what waits for another series (no reason)."""
    step = reason_of(reason).next_step if reason is not None else "nothing"
    return "" if step == "nothing" else f"→ {step}"


def _next_steps(summary: SweepSummary, settings: Settings) -> str:
    option = (
        ""
        if settings.warehouse.as_posix() == "ovf-warehouse/warehouse.duckdb"
        else f" --warehouse {shlex.quote(str(settings.warehouse))}"
    )
    return (
        f"\nWarehouse: {settings.warehouse}   copy to read: {summary.published}\n"
        f"Next:  ovf export scores{option} --out scores.csv     one row a study\n"
        f"       ovf status{option}                             counts and reasons\n"
        f"       ovf check{option}                              is everything accounted for"
    )
