"""The further tables of an audit's page: the sample, accuracy, bounds, estimates beside, follow-up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from estimates.audit_numbers import AuditNumbers, CellRow, FollowRow, Number, WaterfallStep
from reports.audit_groups import Table, notes_of
from reports.audit_headlines import endpoints, primary
from reports.audit_words import (
    HIDDEN,
    HIDDEN_NOTE,
    NBSP,
    cell_text,
    count,
    endpoint_text,
    is_shown,
    plain,
    unit_of,
)
from reports.figures.flow import STEP_NAMES

_SECTIONS = (
    ("accuracy", "Accuracy of the AI and of the reports"),
    ("bounds", "Bounds: what could not be scored, read or settled"),
    ("beside", "Other ways to estimate the same"),
    ("agreement", "Agreement of the readers"),
)
READERS_ERROR = "readers' error"


def further_tables(numbers: AuditNumbers) -> tuple[Table, ...]:
    """One table for each section of numbers that is not shown by group, and the standardised shares."""
    named = endpoints(numbers)
    found = [
        _numbers_table(
            "Age-standardised", [n for n in numbers.numbers if "age-standardised" in n.quantity], named
        )
    ]
    for section, title in _SECTIONS:
        rows = [n for n in numbers.select(section=section) if n.dimension in ("all", "grade")]
        found.append(_numbers_table(title, rows, named))
    found.append(_readers_error_table(numbers))
    return tuple(table for table in found if table.rows)


def _numbers_table(title: str, rows: Sequence[Number], named: Sequence[str]) -> Table:
    """One row a quantity; a column for those without endpoint (when there are any) and one for each endpoint."""
    used = [endpoint for endpoint in ("", *named) if any(row.endpoint == endpoint for row in rows)]
    listed: dict[str, dict[str, Number]] = {}
    for row in rows:
        listed.setdefault(_name(row), {})[row.endpoint] = row
    heads = [endpoint_text(endpoint) or "value" for endpoint in used]
    body = [
        (name, *(_with_unit(by.get(endpoint)) for endpoint in used), _conditions(by.values()))
        for name, by in listed.items()
    ]
    columns = ("quantity (95 % interval)", *heads, "conditioned on")
    return Table(title, columns, tuple(body), notes_of([(_name(row), (row,)) for row in rows]))


def _name(number: Number) -> str:
    category = "" if number.dimension == "all" else number.category
    return ", ".join(part for part in (number.quantity, number.definition, category) if part)


def _with_unit(number: Number | None) -> str:
    if number is None:
        return "-"
    return f"{cell_text(number)}{NBSP}{unit_of(number)}" if is_shown(number) else cell_text(number)


def _conditions(numbers: Iterable[Number]) -> str:
    return "; or ".join(dict.fromkeys(n.conditioned_on for n in numbers if is_shown(n) and n.conditioned_on))


def _readers_error_table(numbers: AuditNumbers) -> Table:
    """Prevalence and missed rates of the primary endpoint, had the readers erred as assumed."""
    rows = numbers.select(section="sensitivity", dimension=READERS_ERROR, endpoint=primary(numbers))
    heads = list(dict.fromkeys((row.quantity, row.definition) for row in rows))
    listed: dict[str, dict[tuple[str, str], Number]] = {}
    for row in rows:
        listed.setdefault(row.category, {})[row.quantity, row.definition] = row
    body = [(assumed, *(cell_text(by.get(head)) for head in heads)) for assumed, by in listed.items()]
    columns = ("assumed", *(", ".join(part for part in head if part) + ", %" for head in heads))
    title = "If the readers had errors: sensitivity (Se) and specificity (Sp) assumed; primary endpoint, no intervals"
    return Table(title, columns, tuple(body), notes_of([(row.category, (row,)) for row in rows]))


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
