"""The missed-diagnosis worklist: flagged scans whose reports are silent, with how many reads bring one true case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duckdb import DuckDBPyConnection as Connection

from estimates.audit_cells import AiResult, ReportResult
from estimates.audit_numbers import AuditBasis, WorklistRow
from estimates.suppress import TOP_AGE
from flows.audit_reads import ReadSample, is_case
from flows.audit_verdicts import Endpoint
from warehouse.queries import query

_REPORT_OF_LIST = {"missed": ReportResult.NOT_REPORTED, "ambiguous": ReportResult.AMBIGUOUS}
MIN_READS_FOR_YIELD = 10  # fewer say less about the list than the model's own probabilities


def worklist_rows(
    connection: Connection,
    basis: AuditBasis,
    sample: ReadSample | None,
    length: int,
    *,
    is_identified: bool,
) -> tuple[WorklistRow, ...]:
    """At most `length` rows of each list, the likeliest first. Identified: the connection has the identity file."""
    asked = {
        "model_digest": basis.model_digest,
        "rule": basis.rule,
        "from_age": basis.from_age_years,
        "length": length,
    }
    found = connection.execute(query("audit_worklist"), asked)
    columns = [column[0] for column in found.description]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    read = {unit.unit_key for unit, _ in sample.judged} if sample else set()
    names = _identities(connection, rows) if is_identified else {}
    factors = {name: yield_factor(sample, report) for name, report in _REPORT_OF_LIST.items()}
    listed: list[WorklistRow] = []
    so_far = dict.fromkeys(_REPORT_OF_LIST, 0.0)
    for row in rows:
        name = row["list"]
        so_far[name] += min(1.0, row["probability"] * factors[name])
        listed.append(_row(row, so_far[name], row["unit_key"] in read, names.get(row["study_key"])))
    return tuple(listed)


def yield_factor(sample: ReadSample | None, report: ReportResult) -> float:
    """True cases per expected one among the read units of the list's cell; 1 before ten of them were read."""
    if sample is None:
        return 1.0
    cells = {row.cell for row in sample.cells if (row.ai, row.report) == (AiResult.FLAGGED, report)}
    read = [(unit, verdict) for unit, verdict in sample.judged if unit.cell in cells]
    expected = sum(unit.probability or 0.0 for unit, _ in read)
    if len(read) < MIN_READS_FOR_YIELD or not expected:
        return 1.0
    return sum(is_case(verdict, Endpoint.PRIMARY) for _, verdict in read) / expected


def _identities(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    asked = {"study_keys": [row["study_key"] for row in rows]}
    found = connection.execute(query("audit_worklist_identities"), asked).fetchall()
    return {row[0]: row[1:] for row in found}


def _row(
    row: Mapping[str, Any], expected: float, was_read: bool, identity: tuple[Any, ...] | None
) -> WorklistRow:
    patient_id, accession = identity or (None, None)
    age, day = row["age_years"], row["study_date"]
    return WorklistRow(
        list=row["list"],
        place=row["place"],
        study_key=row["study_key"],
        series_key=row["series_key"],
        site=row["site"],
        study_year=day.year if day else None,
        age_years=None if age is None else min(age, TOP_AGE),
        sex=row["sex"],
        statement=row["statement"],
        probability=row["probability"],
        expected_cases=expected,
        reads_per_case=row["place"] / expected if expected else None,
        was_read=was_read,
        patient_id=patient_id,
        accession_numbers=accession,
        study_date=str(day) if identity and day else None,
    )
