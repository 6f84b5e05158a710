"""One verdict out of what the readers found, and the reads that estimates start from."""

from __future__ import annotations

import datetime as dt

import pytest

from flows.audit_readings import RowError, read_rows_of_readings
from flows.audit_reads import (
    DENIED,
    KNOWN,
    MISSABLE,
    SILENT,
    ReadSample,
    finding_label,
    labelled_reads,
    missable_label,
    silence_label,
)
from flows.audit_verdicts import (
    GRADE_1,
    GRADE_1_ENDPLATE,
    GRADE_2,
    NONE,
    Endpoint,
    Settled,
    agreement_of,
    verdicts_of,
)
from warehouse.records import AuditCellRecord, AuditReadingRecord, AuditRecord, AuditUnitRecord

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CASES = {"A1-0001": "A1", "A1-0002": "A1"}


def reading(
    grade: int | None,
    reader: str = "AB",
    *,
    case: str = "A1-0001",
    level: str = "study",
    final: bool = False,
    endplate: bool | None = None,
    cause: str | None = None,
) -> AuditReadingRecord:
    return AuditReadingRecord(
        "A1", case, reader, final, level, grade is not None, grade, endplate, cause, NOW
    )


def verdict(*readings: AuditReadingRecord) -> tuple[str | None, Settled]:
    found = verdicts_of(readings)["A1-0001"]
    return found.finding, found.settled


@pytest.mark.parametrize(
    ("rows", "finding", "settled"),
    [
        ([reading(2)], GRADE_2, Settled.SINGLE),
        ([reading(0), reading(0, "CD")], NONE, Settled.AGREED),
        ([reading(2), reading(3, "CD")], GRADE_2, Settled.AGREED),  # both endpoints agree: the lower grade
        ([reading(1), reading(2, "CD")], None, Settled.UNSETTLED),  # the primary endpoint differs
        ([reading(1, endplate=True), reading(2, "CD")], GRADE_1_ENDPLATE, Settled.AGREED),
        ([reading(0), reading(2, "CD"), reading(2, "EF", final=True)], GRADE_2, Settled.ADJUDICATED),
        ([reading(None), reading(None, "CD")], None, Settled.NOT_EVALUABLE),
        ([reading(None), reading(0, "CD")], None, Settled.UNSETTLED),
        ([reading(2, cause="traumatic")], "traumatic", Settled.SINGLE),
        ([reading(2, cause="traumatic"), reading(2, "CD")], None, Settled.UNSETTLED),
        ([reading(3, level="T12", cause="treated"), reading(1, level="L1")], GRADE_1, Settled.SINGLE),
    ],
)
def test_a_verdict_is_made_of_the_readings(
    rows: list[AuditReadingRecord], finding: str | None, settled: Settled
) -> None:
    assert verdict(*rows) == (finding, settled)


def test_levels_are_named_from_the_top() -> None:
    found = verdicts_of([reading(2, level="L1"), reading(1, level="T9"), reading(0, level="T12")])
    assert found["A1-0001"].levels == ("T9", "L1")


def test_kappa_counts_cases_that_both_readers_judged() -> None:
    readings = [reading(g, case=f"c{i}") for i, g in enumerate([0, 0, 2, 2, 3])]
    readings += [reading(g, "CD", case=f"c{i}") for i, g in enumerate([0, 2, 2, 2, None])]
    readings += [reading(2, "EF", case="c1", final=True)]  # an adjudicator is no second reader
    found = agreement_of(readings)
    assert found.n_both == 4
    assert found.table[0] == (1, 0, 1, 0)
    assert found.table[2] == (0, 0, 2, 0)
    assert found.endpoint_kappa is not None
    # Agreed 3 of 4; by chance (2·1 + 2·3)/16 = 1/2.
    assert found.endpoint_kappa.value == pytest.approx(0.5)


def test_kappa_of_one_reader_says_why_there_is_none() -> None:
    found = agreement_of([reading(2)])
    assert found.endpoint_kappa is None
    assert found.why_not == "no case has been read by two readers"


def unit(case_id: str, cell: int, statement: str | None, *, known: bool = False) -> AuditUnitRecord:
    fixed = (case_id, None, case_id, [case_id], None, 70, "F", "north", "MAKER", "unknown")
    return AuditUnitRecord("A1", case_id, 1, cell, *fixed, statement, known, 0.5)


def sample_of(units: list[AuditUnitRecord], readings: list[AuditReadingRecord]) -> ReadSample:
    cells = (
        AuditCellRecord("A1", 0, "flagged", "not_reported", 0, None, None, 100, 4, 0.4),
        AuditCellRecord("A1", 1, "not_scored", "no_report", 0, None, None, 7, 2, 0.1),
    )
    audit = AuditRecord("A1", "first", 50, 1, 107, 6, "d", "m", "m", "op", 0.5, None, "0", NOW)
    return ReadSample(audit, cells, tuple(units), verdicts_of(readings), agreement_of(readings))


def test_reads_are_counted_by_label_and_unread_cells_stand_apart() -> None:
    units = [
        unit("a", 0, "absent"),
        unit("b", 0, "unmentioned"),
        unit("c", 0, "unmentioned", known=True),
        unit("d", 0, "unmentioned"),
        unit("e", 1, None),
    ]
    grades = {"a": 2, "b": 3, "c": 2, "d": 0, "e": None}
    sample = sample_of(units, [reading(grade, case=case) for case, grade in grades.items()])
    reads, unread = labelled_reads(sample, (MISSABLE, KNOWN), missable_label(Endpoint.PRIMARY))
    assert [(row.n_units, row.n_read, row.cases) for row in reads.cells] == [(100, 4, (2, 1))]
    assert [n for _, n in unread] == [7]  # read, but not evaluable
    silence, _ = labelled_reads(sample, (DENIED, SILENT), silence_label(Endpoint.PRIMARY))
    assert silence.cells[0].cases == (1, 1)
    grades_only, _ = labelled_reads(sample, (GRADE_2,), finding_label(Endpoint.PRIMARY))
    assert grades_only.cells[0].cases == (2,)


def row(**values: str) -> dict[str, str]:
    return {"case_id": "A1-0001", "reader": "AB", "grade": "2"} | values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"case_id": "A9-0001"}, "case_id is none of the reading list"),
        ({"reader": " "}, "reader is empty"),
        ({"grade": "4"}, "grade is none of 0, 1, 2, 3"),
        ({"grade": ""}, "grade is none of 0, 1, 2, 3"),
        ({"grade": "", "not_evaluable": "maybe"}, "not_evaluable is neither yes nor no"),
        ({"not_evaluable": "yes"}, "not evaluable, but with a grade"),
        ({"level": "S1"}, "level is none of T1 to T13"),
        ({"cause": "fell"}, "cause is none of osteoporotic"),
        ({"grade": "0", "cause": "traumatic"}, "a cause without a fracture"),
    ],
)
def test_a_wrong_row_is_named_by_its_number(values: dict[str, str], message: str) -> None:
    good = row(case_id="A1-0002")
    found, errors = read_rows_of_readings([(2, good), (3, row(**values))], CASES, NOW)
    assert [number for number, _ in found] == [2]
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"row 3: {message}")


def test_rows_that_cannot_both_stand() -> None:
    rows = [
        (2, row(level="T12")),
        (3, row(level="t12")),
        (4, row()),
        (5, row(reader="CD", level="L1")),
        (6, row(reader="CD", level="L2", grade="", not_evaluable="yes")),
    ]
    _, errors = read_rows_of_readings(rows, CASES, NOW)
    assert sorted(errors, key=lambda error: error.row) == [
        RowError(3, "the same case, reader and level as row 2"),
        RowError(4, "a row for the whole study beside rows for single levels"),
        RowError(6, "not evaluable beside levels with a grade"),
    ]


def test_what_spreadsheets_make_of_a_row_is_read() -> None:
    found, errors = read_rows_of_readings(
        [(2, row(grade="2.0", endplate_depression="Yes", level="l1", cause="Osteoporotic"))], CASES, NOW
    )
    assert not errors
    record = found[0][1]
    assert (record.grade, record.has_endplate_depression, record.level) == (2, True, "L1")
    assert record.cause == "osteoporotic"
