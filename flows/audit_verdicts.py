"""Makes one verdict of what the readers of a case found, and counts how well they agree. Pure; reads no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from estimates.agreement import cohens_kappa
from estimates.result import Estimate, Refused
from warehouse.records import AuditReadingRecord

# Classes of a case, from none to severe; the last three are no osteoporotic fractures.
NONE = "none"
GRADE_1 = "grade 1"
GRADE_1_ENDPLATE = "grade 1 with endplate depression"
GRADE_2 = "grade 2"
GRADE_3 = "grade 3"
OTHER_CAUSES = ("traumatic", "pathological", "treated")
OSTEOPOROTIC = (GRADE_1, GRADE_1_ENDPLATE, GRADE_2, GRADE_3)


class Endpoint(StrEnum):
    """What counts as a case. PRIMARY: grade ≥ 2, or grade 1 with endplate depression."""

    PRIMARY = "grade >= 2, or grade 1 with endplate depression"
    ANY_GRADE = "grade >= 1"


CASE_CLASSES = {
    Endpoint.PRIMARY: (GRADE_1_ENDPLATE, GRADE_2, GRADE_3),
    Endpoint.ANY_GRADE: OSTEOPOROTIC,
}


class Settled(StrEnum):
    """How a case got its verdict, or why it has none."""

    ADJUDICATED = "adjudicated"
    AGREED = "agreed"
    SINGLE = "single reader"
    UNSETTLED = "readers differ, not adjudicated"
    NOT_EVALUABLE = "not evaluable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one case. `finding` is a class above; None when there is none."""

    case_id: str
    finding: str | None
    settled: Settled
    n_readers: int  # without the adjudicator
    levels: tuple[str, ...]  # with a fracture, from the top; empty when read as a whole


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two readers of the same cases agree; None with the reason where kappa is not defined."""

    n_both: int
    table: tuple[tuple[int, ...], ...]  # grades 0 to 3, first reader in rows
    endpoint_kappa: Estimate | None
    grade_kappa: Estimate | None
    why_not: str | None


def verdicts_of(readings: Iterable[AuditReadingRecord]) -> dict[str, Verdict]:
    """Case → verdict, of every case with a reading.

    An adjudication counts alone; else readers who agree on the class; where two agree on both endpoints and differ in
    grade alone, the lower grade counts. Readers who differ otherwise leave the case unsettled until it is adjudicated.
    """
    cases: dict[str, dict[tuple[bool, str], list[AuditReadingRecord]]] = {}
    for reading in readings:
        cases.setdefault(reading.case_id, {}).setdefault(
            (reading.is_adjudication, reading.reader), []
        ).append(reading)
    return {case_id: _verdict(case_id, by_reader) for case_id, by_reader in sorted(cases.items())}


def _verdict(case_id: str, by_reader: Mapping[tuple[bool, str], list[AuditReadingRecord]]) -> Verdict:
    adjudications = [rows for (is_final, _), rows in sorted(by_reader.items()) if is_final]
    opinions = [rows for (is_final, _), rows in sorted(by_reader.items()) if not is_final]
    n_readers = len(opinions) or len(adjudications)
    deciding = adjudications or opinions
    findings = [finding_of(rows) for rows in deciding]
    levels = sorted(
        {r.level for rows in deciding for r in rows if r.grade and r.level != "study"}, key=_place
    )
    if None in findings:
        is_all = all(finding is None for finding in findings)
        how = Settled.NOT_EVALUABLE if is_all else Settled.UNSETTLED
        return Verdict(case_id, None, how, n_readers, ())
    known = [finding for finding in findings if finding is not None]
    if len({_endpoints(finding) for finding in known}) > 1:
        return Verdict(case_id, None, Settled.UNSETTLED, n_readers, ())
    how = Settled.ADJUDICATED if adjudications else Settled.AGREED if len(known) > 1 else Settled.SINGLE
    return Verdict(case_id, min(known, key=_severity), how, n_readers, tuple(levels))


def _severity(finding: str) -> int:
    return (NONE, *OTHER_CAUSES, *OSTEOPOROTIC).index(finding)


def _endpoints(finding: str) -> tuple[object, ...]:
    """What two readers must agree on: both endpoints, and the class of what is no osteoporotic fracture."""
    other = finding if finding in OTHER_CAUSES else ""
    return (*(finding in classes for classes in CASE_CLASSES.values()), other)


def _place(level: str) -> int:
    return (100 if level[0] == "L" else 0) + int(level[1:])


def finding_of(rows: Sequence[AuditReadingRecord]) -> str | None:
    """The class of one reader's rows: the most severe osteoporotic one, else the cause; None: not evaluable."""
    if not all(row.is_evaluable for row in rows):
        return None
    found = {_class(row) for row in rows}
    return max(found, key=_severity)


def _class(row: AuditReadingRecord) -> str:
    if not row.grade:
        return NONE
    if row.cause in OTHER_CAUSES:
        return row.cause
    if row.grade == 1:
        return GRADE_1_ENDPLATE if row.has_endplate_depression else GRADE_1
    return GRADE_2 if row.grade == 2 else GRADE_3


def agreement_of(readings: Iterable[AuditReadingRecord]) -> Agreement:
    """Kappa of the two readers who read most cases in common: the primary endpoint, and grades with linear weights."""
    by_reader: dict[str, dict[str, list[AuditReadingRecord]]] = {}
    for reading in readings:
        if not reading.is_adjudication:
            by_reader.setdefault(reading.reader, {}).setdefault(reading.case_id, []).append(reading)
    pair = _pair(by_reader)
    if pair is None:
        return Agreement(0, (), None, None, "no case has been read by two readers")
    first, second = (by_reader[reader] for reader in pair)
    both = sorted(case for case in first.keys() & second.keys() if _judged(first[case], second[case]))
    grades = Counter((_grade(first[case]), _grade(second[case])) for case in both)
    table = np.array([[grades[i, j] for j in range(4)] for i in range(4)])
    cases = Counter((_is_case(first[case]), _is_case(second[case])) for case in both)
    endpoint = np.array([[cases[i, j] for j in (False, True)] for i in (False, True)])
    given = f"{len(both)} cases of the audit sample read by two readers; not weighted to the archive"
    shown = tuple(tuple(int(n) for n in row) for row in table)
    try:
        by_endpoint = cohens_kappa(endpoint, given=given).named("kappa of the primary endpoint")
        by_grade = cohens_kappa(table, "linear", given=given).named("kappa of grades, linear weights")
    except Refused as error:
        return Agreement(len(both), shown, None, None, str(error))
    return Agreement(len(both), shown, by_endpoint, by_grade, None)


def _pair(by_reader: Mapping[str, Mapping[str, object]]) -> tuple[str, str] | None:
    names = sorted(by_reader)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    common = {pair: len(by_reader[pair[0]].keys() & by_reader[pair[1]].keys()) for pair in pairs}
    best = max(common, key=lambda pair: (common[pair], pair), default=None)
    return best if best and common[best] else None


def _judged(*opinions: Sequence[AuditReadingRecord]) -> bool:
    return all(row.is_evaluable for rows in opinions for row in rows)


def _grade(rows: Sequence[AuditReadingRecord]) -> int:
    return max(row.grade or 0 for row in rows)


def _is_case(rows: Sequence[AuditReadingRecord]) -> bool:
    return finding_of(rows) in CASE_CLASSES[Endpoint.PRIMARY]
