"""The morning in a few lines of Markdown, for Prefect's artifact and for messages: numbers only, no key of a study."""

from __future__ import annotations

from reports.morning_numbers import SIMULATED, MorningNumbers, ReasonRow

MOST_LINES = 12


def morning_note(numbers: MorningNumbers) -> str:
    """Markdown. Nothing in it names a patient or a study."""
    head = [f"# Night of {numbers.night}, {numbers.site}", ""]
    if numbers.stopped:
        return "\n".join([*head, f"**The night stopped before writing anything.** {numbers.stopped}", ""])
    lines = [
        *head,
        "| came | scored | flagged | left | failed |",
        "|---|---|---|---|---|",
        f"| {numbers.n_new} new, {numbers.n_changed} changed | {numbers.n_scored} | {numbers.n_flagged} "
        f"| {numbers.n_left} | {numbers.n_failed_series} series |",
        "",
    ]
    if numbers.is_simulated_only:
        lines += [f"**{SIMULATED}**", ""]
    for title, items in (
        ("Changed", numbers.alerts),
        ("To do", numbers.to_do),
        ("Not scored", [_line(row) for row in numbers.reasons]),
        ("Damaged, new", [_line(row) for row in numbers.new_problems]),
        ("Damaged, still there", [_line(row) for row in numbers.standing_problems]),
    ):
        if items:
            lines += [f"## {title}", *(f"- {item}" for item in items[:MOST_LINES]), ""]
    if numbers.published:
        lines.append(numbers.published)
    return "\n".join(lines)


def _line(row: ReasonRow) -> str:
    return f"{row.n} {row.outcome}: {row.words} (`{row.reason}`)"
