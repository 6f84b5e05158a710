"""Takes the readers' verdicts: checks every row of a file, then stores all of them or none."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from duckdb import DuckDBPyConnection as Connection

from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.records import AuditReadingRecord
from warehouse.store import Store
from warehouse.tables import WAREHOUSE_TABLES

NEEDED_COLUMNS = ("case_id", "reader", "grade")
OPTIONAL_COLUMNS = ("level", "endplate_depression", "cause", "not_evaluable", "adjudication")
MUCH_ALIKE = 0.8  # by difflib: "levle", "not evaluable"
WHOLE_STUDY = "study"
CAUSES = ("osteoporotic", "traumatic", "pathological", "treated")
GRADES = {"0": 0, "1": 1, "2": 2, "3": 3}
_LEVEL = re.compile(r"(T([1-9]|1[0-3])|L[1-6])")
_YES = {"1", "yes", "y", "true", "x", "是"}
_NO = {"", "0", "no", "n", "false", "否"}
FIRST_ROW = 2  # of a CSV with its header line

ReadingKey = tuple[str, str, bool, str]  # case, reader, adjudication, level


def unread_columns(columns: Sequence[str]) -> str | None:
    """What to say of misspelt columns, which would be ignored: an empty cause counts as osteoporotic."""
    misspelt = misspelt_columns(columns)
    told = ", ".join(f"{found} (write {meant})" for found, meant in misspelt.items())
    return f"columns that would not be read: {told}" if misspelt else None


def misspelt_columns(columns: Sequence[str]) -> dict[str, str]:
    """Column → the one that is meant."""
    known = (*NEEDED_COLUMNS, *OPTIONAL_COLUMNS)
    found = {}
    for column in columns:
        plain = "_".join(column.casefold().replace("_", " ").replace("-", " ").split())
        meant = difflib.get_close_matches(plain, known, n=1, cutoff=MUCH_ALIKE)
        if meant and column not in known:
            found[column] = meant[0]
    return found


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be taken. The message holds no value of the row but codes."""

    row: int  # as a spreadsheet counts: the header is row 1
    message: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.message}"


@dataclass(frozen=True, slots=True)
class ImportedReadings:
    """Where every row ended: n_rows = n_new + n_unchanged + n_changed + n_empty, or all refused."""

    n_rows: int
    n_new: int = 0
    n_unchanged: int = 0
    n_changed: int = 0
    n_empty: int = 0  # lines of the reading list that nobody filled in yet
    n_removed: int = 0  # levels of an earlier version of a changed case
    audit_ids: tuple[str, ...] = ()  # whose cases the verdicts of the file are, the earliest first
    errors: tuple[RowError, ...] = ()


class BadValue(ValueError):
    """A value that a row must not have."""


def import_readings(
    store: Store, rows: Iterable[Mapping[str, Any]], *, is_replacing: bool = False
) -> ImportedReadings:
    """Check and store the rows of a file of readings; with any error nothing is stored.

    The same file twice changes nothing. A case that the same reader read otherwise before is an error, unless
    `is_replacing`: then the file's version takes its place.
    """
    now = dt.datetime.now(dt.UTC)
    with store.write() as connection:
        cases = dict(connection.execute("SELECT case_id, audit_id FROM audit_unit").fetchall())
        listed = list(rows)
        filled = [(n, row) for n, row in enumerate(listed, FIRST_ROW) if not is_unfilled(row)]
        found, errors = read_rows_of_readings(filled, cases, now)
        stored = _stored(connection)
        errors += [] if is_replacing else _changed_errors(found, stored)
        if errors:
            errors.sort(key=lambda error: error.row)
            return ImportedReadings(len(listed), n_empty=len(listed) - len(filled), errors=tuple(errors))
        counts = _store(connection, [record for _, record in found], stored)
    audits = sorted({record.audit_id for _, record in found}, key=lambda name: (len(name), name))
    return replace(counts, n_rows=len(listed), n_empty=len(listed) - len(filled), audit_ids=tuple(audits))


def is_unfilled(row: Mapping[str, Any]) -> bool:
    """A line of the reading list as it was written: a case and no verdict."""
    return not any(_text(row, name) for name in ("grade", "not_evaluable", "level", "cause"))


def read_rows_of_readings(
    rows: Sequence[tuple[int, Mapping[str, Any]]], cases: Mapping[str, str], now: dt.datetime
) -> tuple[list[tuple[int, AuditReadingRecord]], list[RowError]]:
    """Rows (with their numbers) as records, and what is wrong with the others or with rows that meet. Pure."""
    found: list[tuple[int, AuditReadingRecord]] = []
    errors: list[RowError] = []
    for number, row in rows:
        try:
            found.append((number, read_reading(row, cases, now)))
        except BadValue as error:
            errors.append(RowError(number, str(error)))
    return found, errors + _meeting_errors(found)


def read_reading(row: Mapping[str, Any], cases: Mapping[str, str], now: dt.datetime) -> AuditReadingRecord:
    """One row as a record. Raises BadValue with what is wrong and what may stand there."""
    case_id, reader = _text(row, "case_id"), _text(row, "reader")
    if case_id not in cases:
        raise BadValue("case_id is none of the reading list")
    if not reader:
        raise BadValue("reader is empty: initials will do")
    level = _level(_text(row, "level"))
    is_evaluable = not _yes(row, "not_evaluable")
    grade = _grade(_text(row, "grade"), is_evaluable)
    depression = _yes(row, "endplate_depression") if _text(row, "endplate_depression") else None
    cause = _cause(_text(row, "cause"), grade)
    return AuditReadingRecord(
        cases[case_id],
        case_id,
        reader,
        _yes(row, "adjudication"),
        level,
        is_evaluable,
        grade,
        depression,
        cause,
        now,
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    text = "" if value is None else str(value).strip()
    return text[:-2] if name == "grade" and text.endswith(".0") else text  # spreadsheets write 2 as 2.0


def _yes(row: Mapping[str, Any], name: str) -> bool:
    text = _text(row, name).lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise BadValue(f"{name} is neither yes nor no")


def _level(text: str) -> str:
    level = text.upper()
    if level in ("", WHOLE_STUDY.upper()):
        return WHOLE_STUDY
    if not _LEVEL.fullmatch(level):
        raise BadValue("level is none of T1 to T13 and L1 to L6; empty for the whole study")
    return level


def _grade(text: str, is_evaluable: bool) -> int | None:
    if not is_evaluable:
        if text:
            raise BadValue("not evaluable, but with a grade: leave one of the two empty")
        return None
    if text not in GRADES:
        raise BadValue("grade is none of 0, 1, 2, 3 (Genant); or say yes under not_evaluable")
    return GRADES[text]


def _cause(text: str, grade: int | None) -> str | None:
    cause = text.lower() or None
    if cause is not None and cause not in CAUSES:
        raise BadValue(f"cause is none of {', '.join(CAUSES)}")
    if cause is not None and not grade:
        raise BadValue("a cause without a fracture: give a grade from 1 to 3, or leave it empty")
    return cause


def _meeting_errors(found: Sequence[tuple[int, AuditReadingRecord]]) -> list[RowError]:
    """Rows of one case and reader that cannot both stand: the same level twice, or whole-study and not evaluable."""
    errors: list[RowError] = []
    levels: dict[tuple[str, str, bool], dict[str, tuple[int, AuditReadingRecord]]] = {}
    for number, record in found:
        key = (record.case_id, record.reader, record.is_adjudication)
        there = levels.setdefault(key, {})
        if record.level in there:
            errors.append(
                RowError(number, f"the same case, reader and level as row {there[record.level][0]}")
            )
            continue
        there[record.level] = (number, record)
    for rows in levels.values():
        if len(rows) > 1 and WHOLE_STUDY in rows:
            errors.append(
                RowError(rows[WHOLE_STUDY][0], "a row for the whole study beside rows for single levels")
            )
        if len({record.is_evaluable for _, record in rows.values()}) > 1:
            number = next(number for number, record in rows.values() if not record.is_evaluable)
            errors.append(RowError(number, "not evaluable beside levels with a grade"))
    return errors


def _key(record: AuditReadingRecord) -> ReadingKey:
    return record.case_id, record.reader, record.is_adjudication, record.level


def _verdict(record: AuditReadingRecord) -> tuple[object, ...]:
    return record.is_evaluable, record.grade, record.has_endplate_depression, record.cause


def _stored(connection: Connection) -> dict[ReadingKey, AuditReadingRecord]:
    rows = connection.execute("SELECT * FROM audit_reading").fetchall()
    return {
        _key(record): record
        for record in (AuditReadingRecord(*(*row[:-1], row[-1].replace(tzinfo=dt.UTC))) for row in rows)
    }


def _changed_errors(
    found: Sequence[tuple[int, AuditReadingRecord]], stored: Mapping[ReadingKey, AuditReadingRecord]
) -> list[RowError]:
    """A reader's case that is stored with other levels or other verdicts."""
    before = _by_case(stored.values())
    now = _by_case(record for _, record in found)
    changed = {key for key, verdicts in now.items() if key in before and before[key] != verdicts}
    return [
        RowError(
            number, "this reader's verdict on the case is stored and differs: --replace takes the new one"
        )
        for number, record in found
        if _key(record)[:3] in changed
    ]


def _by_case(
    records: Iterable[AuditReadingRecord],
) -> dict[tuple[str, str, bool], dict[str, tuple[object, ...]]]:
    cases: dict[tuple[str, str, bool], dict[str, tuple[object, ...]]] = {}
    for record in records:
        cases.setdefault(_key(record)[:3], {})[record.level] = _verdict(record)
    return cases


def _store(
    connection: Connection,
    found: Sequence[AuditReadingRecord],
    stored: Mapping[ReadingKey, AuditReadingRecord],
) -> ImportedReadings:
    new = [record for record in found if _key(record) not in stored]
    changed = [r for r in found if _key(r) in stored and _verdict(stored[_key(r)]) != _verdict(r)]
    read_again = {_key(record)[:3] for record in found}
    gone = [key for key in stored if key[:3] in read_again and key not in {_key(record) for record in found}]
    for key in gone:
        connection.execute(
            "DELETE FROM audit_reading WHERE case_id = ? AND reader = ? AND is_adjudication = ? AND level = ?",
            list(key),
        ).fetchall()
    insert_all(connection, WAREHOUSE_TABLES, to_arrow(LandingBatch(audit_readings=[*new, *changed])))
    n_same = len(found) - len(new) - len(changed)
    return ImportedReadings(len(found), len(new), n_same, len(changed), n_removed=len(gone))
