"""The page of a morning: one HTML file that needs nothing else. Pure: numbers in, text out."""

from __future__ import annotations

from collections.abc import Sequence

from reports.audit_groups import Table
from reports.figures.nights import night_chart
from reports.morning_numbers import SIMULATED, FlaggedRow, MorningNumbers, ReasonRow
from reports.page import page_template

MOST_FLAGGED = 200


def render_morning_page(numbers: MorningNumbers) -> str:
    """The page as HTML. All text is escaped; nothing is loaded from elsewhere; no script."""
    return page_template("morning.html").render(
        night=numbers,
        cards=cards(numbers),
        warning=SIMULATED if numbers.is_simulated_only and not numbers.stopped else "",
        tables=[table for table in tables(numbers) if table.rows],
        chart=night_chart(numbers.nights) if numbers.nights else None,
    )


def cards(numbers: MorningNumbers) -> tuple[tuple[str, str, str], ...]:
    """Title, number and explanation of each headline."""
    superseded = (
        f"{numbers.n_superseded:,} of them supersede an earlier result. " if numbers.n_superseded else ""
    )
    share = f"{100 * numbers.n_flagged / numbers.n_scored:.1f} % of the scored. " if numbers.n_scored else ""
    carried = f"; {numbers.n_carried:,} left over from before" if numbers.n_carried else ""
    came = f"{numbers.n_new:,} new studies, {numbers.n_changed:,} changed{carried}"
    return (
        ("Came", f"{numbers.n_new + numbers.n_changed:,}", came),
        ("Scored", f"{numbers.n_scored:,}", f"{superseded}By {numbers.model_id}"),
        ("Flagged", f"{numbers.n_flagged:,}", f"{share}A flag is no fracture: a radiologist decides"),
        ("Left for the next night", f"{numbers.n_left:,}", "They go first"),
        ("Failed", f"{numbers.n_failed_series:,}", "Series that failed for reasons of infrastructure; tried again"),
    )  # fmt: skip


def tables(numbers: MorningNumbers) -> tuple[Table, ...]:
    """Every table of the page, those without rows too."""
    why = ("outcome", "reason", "in words", "studies", "what to do")
    damaged = ("outcome", "reason", "in words", "how many", "what to do", "first told")
    return (
        _flagged_table(numbers.flagged),
        Table("Not scored tonight, and why", why, tuple(_row(row)[:5] for row in numbers.reasons)),
        Table("Damaged: new", damaged[:5], tuple(_row(row)[:5] for row in numbers.new_problems)),
        Table(
            "Damaged: still there (told once a week)",
            damaged,
            tuple(_row(row) for row in numbers.standing_problems),
        ),
    )


def _flagged_table(rows: Sequence[FlaggedRow]) -> Table:
    listed = tuple(
        (
            row.study_key,
            f"{row.probability:.3f}",
            row.scanner,
            "supersedes an earlier result" if row.is_superseding else "",
        )
        for row in rows[:MOST_FLAGGED]
    )
    more = len(rows) - len(listed)
    notes = (
        "Who they are: ovf export scores --identified --out FILE (keep it safe).",
        *((f"And {more:,} more: see the export.",) if more > 0 else ()),
    )
    return Table(
        "Flagged tonight, the most suspicious first",
        ("study (pseudonym)", "probability", "scanner", ""),
        listed,
        notes if listed else (),
    )


def _row(row: ReasonRow) -> tuple[str, ...]:
    step = "" if row.next_step == "nothing" else row.next_step
    return row.outcome, row.reason, row.words, f"{row.n:,}", step, row.since
