"""Imports reports into a warehouse: store, link, label. Safe to stop and to repeat; each landing is short.

Texts go to the identity file, pseudonyms and statements to the warehouse. Links are settled anew by every import, so
that a report that came before its study finds it later.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from flows.report_links import link_report, studies_of
from flows.report_relabel import Change, relabel
from tasks.identity import Pseudonymizer, key_id_of, load_or_create_key
from tasks.report_rows import ImportedReport, read_report
from tasks.statements import Labeller
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import ReportRecord, ReportText
from warehouse.store import Store

ROWS_AT_ONCE = 2000  # a landing of so many takes a tenth of a second
TEXT_AT_ONCE = 64 * 1024 * 1024  # characters held in memory


@dataclass(slots=True)
class ImportCounts:
    """Where every row of a file ended: n_rows = new + known already + forgotten."""

    n_rows: int = 0
    n_new: int = 0
    n_known: int = 0  # the same content was there, or stood in the file twice
    n_forgotten: int = 0  # of erased patients: not stored
    n_unreadable_dates: int = 0
    n_unknown_statuses: int = 0
    n_empty: int = 0  # new ones without text
    ended: Counter[tuple[str, str | None]] = field(default_factory=Counter)  # all reports of the warehouse
    statements: list[tuple[str, str, int]] = field(default_factory=list)  # statement, wording, studies
    changes: list[Change] = field(default_factory=list)  # labels of earlier reports that changed


def import_reports(store: Store, rows: Iterable[Mapping[str, Any]], labeller: Labeller) -> ImportCounts:
    """Import the rows of a file (columns as `tasks.report_rows`), label what is new or changed, and publish."""
    key = load_or_create_key(store.paths.key)
    store.bind_key(key_id_of(key))
    counts = ImportCounts()
    groups: set[str] = set()
    forgotten = _forgotten_names(store, key)
    for chunk in _chunks(rows):
        groups |= _store_chunk(store, Pseudonymizer(key, ""), chunk, counts, forgotten)
    groups |= _settle_links(store)
    counts.changes = relabel(store, labeller, groups)
    with store.read_live() as connection:
        ended = connection.execute(query("report_counts")).fetchall()
        counts.statements = connection.execute(query("statement_counts")).fetchall()
    counts.ended = Counter({(outcome, reason): n for outcome, reason, n in ended})
    store.publish()
    return counts


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[ImportedReport]]:
    """Rows in lists that are short both in rows and in characters."""
    reports = (read_report(row) for row in rows)
    while chunk := list(islice(reports, 1)):
        n_characters = len(chunk[0].text)
        while len(chunk) < ROWS_AT_ONCE and n_characters < TEXT_AT_ONCE:
            following = next(reports, None)
            if following is None:
                break
            chunk.append(following)
            n_characters += len(following.text)
        yield chunk


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """How to tell a report of an erased patient: by the PatientID it gives, at every site known here.

    Reports name no issuer: those of erased patients are tried, too, unless a patient who stays has the ID.
    """

    pseudonymizers: tuple[Pseudonymizer, ...]
    issuers: tuple[str, ...]
    patient_keys: frozenset[str]
    staying_ids: frozenset[str]

    def covers(self, report: ImportedReport) -> bool:
        issuers = (None,) if report.patient_id in self.staying_ids else (None, *self.issuers)
        keys = (
            named.patient_key(report.patient_id, issuer)
            for named in self.pseudonymizers
            for issuer in issuers
        )
        return any(key in self.patient_keys for key in keys)


def _forgotten_names(store: Store, key: bytes) -> _Forgotten:
    gone = store.forgotten()
    if not gone.patients:
        return _Forgotten((), (), frozenset(), frozenset())
    with store.read_live_identified() as connection:
        sites = connection.execute("SELECT DISTINCT site FROM archive ORDER BY site").fetchall()
        staying = connection.execute("SELECT trim(patient_id) FROM identity.patient_identity").fetchall()
    return _Forgotten(
        tuple(Pseudonymizer(key, site) for (site,) in sites),
        tuple(sorted(gone.issuers)),
        frozenset(gone.patients),
        frozenset(patient_id for (patient_id,) in staying),
    )


def _store_chunk(
    store: Store,
    names: Pseudonymizer,
    chunk: list[ImportedReport],
    counts: ImportCounts,
    forgotten: _Forgotten,
) -> set[str]:
    """Land what is new of a chunk; returns the groups whose labels may change."""
    keyed: dict[str, ImportedReport] = {}
    staying = [report for report in chunk if not forgotten.covers(report)]
    for report in staying:
        keyed.setdefault(report.key(names.report_key), report)
    counts.n_rows += len(chunk)
    counts.n_forgotten += len(chunk) - len(staying)
    counts.n_known += len(staying) - len(keyed)
    accession_numbers = {report.accession_number for report in keyed.values() if report.accession_number}
    with store.read_live_identified() as connection:
        known = {
            row[0]
            for row in connection.execute(query("report_known"), {"report_keys": list(keyed)}).fetchall()
        }
        studies = studies_of(connection, accession_numbers)
        last = connection.execute("SELECT coalesce(max(sequence), 0) FROM report").fetchall()[0][0]
    batch = LandingBatch()
    groups = set()
    for report_key, report in keyed.items():
        if report_key in known:
            counts.n_known += 1
            continue
        _count_new(counts, report)
        link = link_report(report.accession_number, report.patient_id, report.status, studies)
        batch.reports.append(
            ReportRecord(
                report_key=report_key,
                study_key=link.study_key,
                status=report.status,
                reported_at=report.reported_at,
                sequence=last + len(batch.reports) + 1,
                n_characters=len(report.text),
                outcome=link.outcome,
                reason=link.reason,
                message=link.message,
                reader_group=report.reader_group,
            )
        )
        batch.report_texts.append(
            ReportText(report_key, report.accession_number, report.patient_id, report.report_id, report.text)
        )
        groups.add(report.accession_number or f"report {report_key}")
    store.land(batch)
    return groups


def _count_new(counts: ImportCounts, report: ImportedReport) -> None:
    counts.n_new += 1
    counts.n_unreadable_dates += report.has_unreadable_date
    counts.n_unknown_statuses += report.has_unknown_status
    counts.n_empty += not report.text.strip()


def _settle_links(store: Store) -> set[str]:
    """Link anew what was not linked, or whose study has gone; returns the groups that changed."""
    with store.read_live_identified() as connection:
        rows = connection.execute(query("report_unsettled")).fetchall()
        columns = [column[0] for column in connection.description]
        told = [dict(zip(columns, row, strict=True)) for row in rows]
        studies = studies_of(connection, {row["accession_number"] for row in told if row["accession_number"]})
    batch = LandingBatch()
    groups = set()
    for row in told:
        number, patient_id = row.pop("accession_number"), row.pop("patient_id")
        link = link_report(number, patient_id, row["status"], studies)
        if (link.study_key, link.reason) == (row["study_key"], row["reason"]):
            continue
        changed = {
            "study_key": link.study_key,
            "outcome": link.outcome,
            "reason": link.reason,
            "message": link.message,
        }
        batch.reports.append(ReportRecord(**(row | changed | {"reported_at": _aware(row["reported_at"])})))
        groups.add(number or f"report {row['report_key']}")
    store.land(batch)
    return groups


def _aware(moment: Any) -> Any:
    return None if moment is None else moment.replace(tzinfo=dt.UTC)
