"""Which study a report belongs to: by accession number, and by PatientID where the report gives one. Never a guess."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from duckdb import DuckDBPyConnection as Connection

from warehouse.queries import query
from warehouse.reasons import message_for, reason_of


class KnownStudy(NamedTuple):
    """A study of the identity file."""

    study_key: str
    patient_id: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """Where a report ended."""

    study_key: str | None
    outcome: str  # linked | pending | quarantined | excluded
    reason: str | None
    message: str | None


def studies_of(connection: Connection, accession_numbers: Collection[str]) -> dict[str, list[KnownStudy]]:
    """Accession number → its studies, from a connection with the identity file attached."""
    found: dict[str, list[KnownStudy]] = {}
    given = {"accession_numbers": sorted(accession_numbers)}
    for number, study_key, patient_id in connection.execute(query("report_studies"), given).fetchall():
        found.setdefault(number, []).append(KnownStudy(study_key, patient_id))
    return found


def link_report(
    accession_number: str | None,
    patient_id: str | None,
    status: str,
    studies: Mapping[str, list[KnownStudy]],
) -> Link:
    """The study of a report, or the reason why it has none.

    A PatientID in the report must be the study's, character by character; it also decides between several studies with
    one accession number. Where the study has no PatientID, nothing contradicts the report.
    """
    if status == "cancelled":
        return _unlinked("report_cancelled")
    if accession_number is None:
        return _unlinked("link_no_accession")
    candidates = studies.get(accession_number, [])
    if not candidates:
        return _unlinked("link_no_study")
    fitting = [s for s in candidates if patient_id is None or s.patient_id in (None, patient_id)]
    if not fitting:
        return _unlinked("link_patient")
    if len({study.study_key for study in fitting}) > 1:
        return _unlinked("link_ambiguous", len(fitting))
    return Link(fitting[0].study_key, "linked", None, None)


def _unlinked(reason: str, n_studies: int = 0) -> Link:
    return Link(None, reason_of(reason).outcome.value, reason, message_for(reason, measured=n_studies))
