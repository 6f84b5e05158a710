"""Joins the cells of a stored sample with the verdicts on its units: the reads that estimates start from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection as Connection

from estimates.audit_cells import AiResult, Cell, ReportResult
from estimates.audit_reads import AuditReads, CellReads
from flows.audit_verdicts import (
    CASE_CLASSES,
    Agreement,
    Endpoint,
    Settled,
    Verdict,
    agreement_of,
    verdicts_of,
)
from warehouse.records import AuditCellRecord, AuditReadingRecord, AuditRecord, AuditUnitRecord

# Labels of a case of the endpoint. Treated fractures and other causes are classes of their own, not cases.
MISSABLE = "missable"
KNOWN = "known before"
DENIED, SILENT, AMBIGUOUS, REPORTED = "denied", "silent", "ambiguous wording", "reported"

Label = Callable[[AuditUnitRecord, Verdict], str | None]


@dataclass(frozen=True, slots=True)
class ReadSample:
    """A stored sample and what came back: every drawn unit, and a verdict for those that were read."""

    audit: AuditRecord
    cells: tuple[AuditCellRecord, ...]
    units: tuple[AuditUnitRecord, ...]
    verdicts: Mapping[str, Verdict]  # by case_id
    agreement: Agreement

    @property
    def judged(self) -> list[tuple[AuditUnitRecord, Verdict]]:
        """Units with a verdict that counts."""
        found = ((unit, self.verdicts.get(unit.case_id)) for unit in self.units)
        return [(unit, verdict) for unit, verdict in found if verdict is not None and verdict.finding]

    @property
    def n_readers(self) -> int:
        return max((verdict.n_readers for verdict in self.verdicts.values()), default=0)

    def n_settled(self, how: Settled) -> int:
        return sum(verdict.settled is how for verdict in self.verdicts.values())


def read_sample(connection: Connection, audit_id: str | None) -> ReadSample | None:
    """A stored sample with its readings; None when there is none.

    `audit_id` None: the newest that has readings, so that one drawn beside it hides nothing; else the newest.
    """
    is_read = "audit_id IN (SELECT audit_id FROM audit_reading)"
    order = f"ORDER BY {is_read} DESC, length(audit_id) DESC, audit_id DESC LIMIT 1"
    wanted = "WHERE audit_id = $audit_id OR $audit_id IS NULL"
    found = connection.execute(f"SELECT * FROM audit {wanted} {order}", {"audit_id": audit_id}).fetchall()
    if not found:
        return None
    audit = AuditRecord(*found[0])

    def rows(table: str, by: str) -> list[tuple[object, ...]]:
        sql = f"SELECT * FROM {table} WHERE audit_id = ? ORDER BY {by}"
        return connection.execute(sql, [audit.audit_id]).fetchall()

    readings = [AuditReadingRecord(*row) for row in rows("audit_reading", "case_id, reader, level")]  # type: ignore[arg-type]
    return ReadSample(
        audit,
        tuple(AuditCellRecord(*row) for row in rows("audit_cell", "cell")),  # type: ignore[arg-type]
        tuple(AuditUnitRecord(*row) for row in rows("audit_unit", "position")),  # type: ignore[arg-type]
        verdicts_of(readings),
        agreement_of(readings),
    )


def unread_since(connection: Connection, sample: ReadSample) -> list[str]:
    """Samples drawn after this one that have no readings yet."""
    later = connection.execute(
        "SELECT audit_id FROM audit WHERE drawn_at > ? AND audit_id NOT IN (SELECT audit_id FROM audit_reading) "
        "ORDER BY drawn_at",
        [sample.audit.drawn_at],
    )
    return [row[0] for row in later.fetchall()]


def cell_of(record: AuditCellRecord) -> Cell:
    return Cell(AiResult(record.ai), ReportResult(record.report), record.stratum)


def labelled_reads(
    sample: ReadSample, classes: Sequence[str], label: Label
) -> tuple[AuditReads, list[tuple[Cell, int]]]:
    """The reads of all cells that have any, counted by label; and the cells (with their units) that have none.

    A label of None, or one that is not among `classes`, is counted as read and as no case.
    """
    n_read = dict.fromkeys((row.cell for row in sample.cells), 0)
    counts = {row.cell: dict.fromkeys(classes, 0) for row in sample.cells}
    for unit, verdict in sample.judged:
        n_read[unit.cell] += 1
        name = label(unit, verdict)
        if name in counts[unit.cell]:
            counts[unit.cell][name] += 1
    read = [row for row in sample.cells if n_read[row.cell]]
    reads = tuple(
        CellReads(cell_of(row), row.n_units, n_read[row.cell], tuple(counts[row.cell].values()))
        for row in read
    )
    unread = [(cell_of(row), row.n_units) for row in sample.cells if not n_read[row.cell]]
    return AuditReads(tuple(classes), reads), unread


def is_case(verdict: Verdict, endpoint: Endpoint) -> bool:
    return verdict.finding in CASE_CLASSES[endpoint]


def finding_label(endpoint: Endpoint) -> Label:
    """The class of the finding, of cases of the endpoint."""
    return lambda _, verdict: verdict.finding if is_case(verdict, endpoint) else None


def missable_label(endpoint: Endpoint) -> Label:
    """MISSABLE or KNOWN (an earlier report stated it) for each case of the endpoint."""

    def label(unit: AuditUnitRecord, verdict: Verdict) -> str | None:
        if not is_case(verdict, endpoint):
            return None
        return KNOWN if unit.is_known_before else MISSABLE

    return label


def missable_finding_label(endpoint: Endpoint) -> Label:
    """The class of the finding, of cases that no earlier report stated."""
    return lambda unit, verdict: (
        verdict.finding if is_case(verdict, endpoint) and not unit.is_known_before else None
    )


def silence_label(endpoint: Endpoint) -> Label:
    """How the report of a missable case fails to say it: denied, silent, or in ambiguous words."""
    words = {"absent": DENIED, "unmentioned": SILENT, "possible": AMBIGUOUS, "present": AMBIGUOUS}

    def label(unit: AuditUnitRecord, verdict: Verdict) -> str | None:
        if not is_case(verdict, endpoint) or unit.is_known_before or unit.statement is None:
            return None
        return words[unit.statement]

    return label


def group_label(endpoint: Endpoint, group: Callable[[AuditUnitRecord], str]) -> Label:
    """`GROUP: case` or `GROUP: none` for every read."""

    def label(unit: AuditUnitRecord, verdict: Verdict) -> str:
        return group_labels(group(unit))[0 if is_case(verdict, endpoint) else 1]

    return label


def group_missable_label(endpoint: Endpoint, group: Callable[[AuditUnitRecord], str]) -> Label:
    """`GROUP` for each missable case."""

    def label(unit: AuditUnitRecord, verdict: Verdict) -> str | None:
        return group(unit) if is_case(verdict, endpoint) and not unit.is_known_before else None

    return label


def group_labels(group: str) -> tuple[str, str]:
    """The labels of a group: of its cases, and of its other reads."""
    return f"{group}: case", f"{group}: none"


def age_band(unit: AuditUnitRecord) -> str:
    """As the column `age` of audit_units."""
    if unit.age_years is None:
        return "unknown"
    if unit.age_years < 50:
        return "under 50"
    if unit.age_years >= 90:
        return "90 and over"
    return f"{unit.age_years // 10 * 10}-{unit.age_years // 10 * 10 + 9}"


GROUPS: dict[str, Callable[[AuditUnitRecord], str]] = {
    "sex": lambda unit: unit.sex or "unknown",
    "age": age_band,
    "year": lambda unit: str(unit.study_date.year) if unit.study_date else "unknown",
    "site": lambda unit: unit.site,
    "scanner": lambda unit: unit.scanner,
    "coverage": lambda unit: unit.coverage,
}
