"""The further tables of an audit's page: the sample, accuracy, bounds, estimates beside, follow-up. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from estimates.audit_numbers import AuditNumbers, CellRow, FollowRow, Number, WaterfallStep
from reports.audit_groups import Table, notes_of
from reports.audit_words import HIDDEN, HIDDEN_NOTE, cell_text, count, endpoint_text, plain, unit_of
from reports.figures.flow import STEP_NAMES

_SECTIONS = (
    ("accuracy", "Accuracy of the AI and of the reports"),
    ("bounds", "Bounds: what could not be scored, read or settled"),
    ("beside", "Other ways to estimate the same"),
    ("agreement", "Agreement of the readers"),
    ("sensitivity", "If the readers had errors"),
)


def further_tables(numbers: AuditNumbers) -> tuple[Table, ...]:
    """One table for each section of numbers that is not shown by group, and the standardised shares."""
    standardised = [number for number in numbers.numbers if "age-standardised" in number.quantity]
    found = [_numbers_table("Age-standardised", standardised)] if standardised else []
    for section, title in _SECTIONS:
        rows = [number for number in numbers.select(section=section) if _is_of_everybody(number)]
        if rows:
            found.append(_numbers_table(title, rows))
    return tuple(found)


def _is_of_everybody(number: Number) -> bool:
    return number.dimension in ("all", "readers' error", "grade")


def _numbers_table(title: str, rows: Sequence[Number]) -> Table:
    listed = []
    for number in rows:
        name = [number.quantity, number.definition]
        if number.dimension != "all":
            name.append(number.category)
        text = f"{cell_text(number)} {unit_of(number) if number.value is not None else ''}".strip()
        counted = number.conditioned_on if number.value is not None else ""
        listed.append(
            (", ".join(part for part in name if part), endpoint_text(number.endpoint), text, counted)
        )
    columns = ("quantity", "endpoint", "value (95 % interval)", "conditioned on")
    return Table(title, columns, tuple(listed), notes_of([(n.quantity, (n,)) for n in rows]))


def sample_table(cells: Sequence[CellRow]) -> Table | None:
    """The cells of the audit: units, drawn, read, cases."""
    if not cells:
        return None
    rows = tuple(
        (
            f"{plain(cell.ai)} × {plain(cell.report)}",
            _scores(cell),
            *(count(n) for n in (cell.n_units, cell.n_drawn, cell.n_read, cell.n_cases)),
        )
        for cell in cells
    )
    columns = (
        "AI × report",
        "probability",
        "in the archive",
        "drawn",
        "with a verdict",
        "cases (primary endpoint)",
    )
    return Table("The sample that people read, cell by cell", columns, rows, hidden_notes(rows))


def _scores(cell: CellRow) -> str:
    if cell.score_from is None and cell.score_below is None:
        return "all"
    low = "" if cell.score_from is None else f"from {cell.score_from:.2g}"
    high = "" if cell.score_below is None else f"below {cell.score_below:.2g}"
    return " ".join(part for part in (low, high) if part)


def flow_table(steps: Sequence[WaterfallStep]) -> Table:
    """The flow picture as rows."""
    rows = tuple(
        (
            STEP_NAMES.get(step.step, plain(step.step)) if step.reason is None else "",
            "" if step.reason is None else f"lost: {plain(step.outcome or '')}, {plain(step.reason)}",
            count(step.n_studies),
        )
        for step in steps
    )
    return Table("The way of the studies", ("step", "lost before it", "studies"), rows, hidden_notes(rows))


def follow_up_table(rows: Sequence[FollowRow]) -> Table | None:
    """What came after the first flagged day."""
    if not rows:
        return None
    listed = tuple(
        (
            plain(row.report_then),
            "yes" if row.is_confirmed else "no",
            "5 or more" if row.n_later_silent == 5 else str(row.n_later_silent),
            "yes" if row.is_reported_later else "no",
            count(row.n_patients),
            _days(row),
        )
        for row in rows
    )
    columns = (
        "report of the first flagged day",
        "confirmed by a reader",
        "later reports that stayed silent",
        "reported later",
        "patients",
        "median days to a report",
    )
    notes = ("Flagged is not visible: only a reader confirms that.", *hidden_notes(listed))
    return Table("Patients after their first flagged day", columns, listed, notes)


def _days(row: FollowRow) -> str:
    if row.n_patients is None:
        return HIDDEN
    return "-" if row.days_to_report is None else f"{row.days_to_report:.0f}"


def hidden_notes(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return (HIDDEN_NOTE,) if any(HIDDEN in row for row in rows) else ()
