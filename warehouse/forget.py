"""Erases a patient: identity, pseudonym, scores and slabs; and sees to it that no later sweep brings them back.

What stays is the bare count: a study without a person, excluded as `opted_out`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duckdb import DuckDBPyConnection as Connection

from warehouse import schema
from warehouse.connect import connecting, transaction
from warehouse.errors import UnknownPatient
from warehouse.lock import writer_lock
from warehouse.reasons import message_for
from warehouse.tombstones import OF_SERIES, OPTED_OUT, Tombstones, add_tombstones, read_tombstones
from warehouse.upkeep import rewrite

if TYPE_CHECKING:
    from warehouse.store import Store


@dataclass(frozen=True, slots=True)
class SlabKey:
    """Names one slab file to delete."""

    series_key: str
    series_revision: str
    storage_recipe: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased, and what the caller has still to delete: slab files, and these studies in the index."""

    patient_keys: tuple[str, ...]
    study_keys: tuple[str, ...]
    # (series_key, series_revision) of everyone erased so far: no slab file of any of them may stay
    series: tuple[tuple[str, str], ...]
    slabs: tuple[SlabKey, ...]
    study_instance_uids: tuple[str, ...]


def forget(
    store: Store, *, patient_id: str | None = None, patient_key: str | None = None, issuer: str | None = None
) -> Forgotten:
    """Erase a patient by PatientID (of one issuer, or of all) or by pseudonym; then publish without them.

    Both files are written anew, so that nothing of the patient can be read from their free pages, and the previous
    published copy goes. A patient key that is not known yet gets its tombstone all the same. Raises UnknownPatient for
    a PatientID that is not in the identity file.
    """
    patients = _patients(store, patient_id, patient_key, issuer)
    studies, named, issuers = _known_of(store, patients)
    with store.write() as connection:
        gone = _tombstones(connection, patients, studies)
        gone.issuers = issuers
        reports = _reports(connection, named)
        _erase_reports(connection, reports, _REPORT_TABLES)
        slabs = _erase(connection, gone)
        shared = _shared_series(connection)
        add_tombstones(connection, gone)
        everyone_gone = read_tombstones(connection)
    # Behind the warehouse: killed in between, the identity file still knows whom to forget when this runs again.
    with writer_lock(store.paths.lock, wait_s=store.wait_s):
        uids = _erase_identities(store, everyone_gone, reports, shared)
        rewrite(store.paths.identity, schema.IDENTITY, wait_s=store.wait_s)
        rewrite(store.paths.warehouse, schema.WAREHOUSE, wait_s=store.wait_s)
    if store.paths.published.exists():
        store.publish()
        store.paths.previous.unlink(missing_ok=True)
    series = tuple(_split(name) for name in sorted(everyone_gone.series))
    return Forgotten(tuple(sorted(patients)), tuple(sorted(gone.studies)), series, slabs, uids)


def _patients(store: Store, patient_id: str | None, patient_key: str | None, issuer: str | None) -> set[str]:
    if (patient_id is None) == (patient_key is None):
        raise ValueError("give either a PatientID or a patient key")
    if patient_key is not None:
        return {patient_key}
    with (
        writer_lock(store.paths.lock, wait_s=store.wait_s),
        connecting(store.paths.identity, is_read_only=True, wait_s=store.wait_s) as identity,
    ):
        rows = identity.execute(
            "SELECT patient_key FROM patient_identity "
            "WHERE patient_id = $patient_id AND ($issuer IS NULL OR issuer_of_patient_id = $issuer)",
            {"patient_id": patient_id, "issuer": issuer},
        ).fetchall()
    if not rows:
        raise UnknownPatient
    return {row[0] for row in rows}


_SERIES_NAME = "series_key || ':' || series_revision"  # as `series_name` writes it
_REPORT_TABLES = ("report_statement", "report")
_REPORT_IDENTITY_TABLES = ("report_evidence", "report_text")


def _known_of(store: Store, patients: set[str]) -> tuple[set[str], set[str], set[str]]:
    """The patients' studies, also those that have left the archive; reports that name the patients, or the number of
    such a study and nobody else; and who issued the PatientIDs.
    """
    with (
        writer_lock(store.paths.lock, wait_s=store.wait_s),
        connecting(store.paths.identity, is_read_only=True, wait_s=store.wait_s) as identity,
    ):
        _keys_into(identity, "asked_patient", patients)
        studies = identity.execute(
            "SELECT study_key FROM study_identity SEMI JOIN asked_patient ON key = patient_key"
        ).fetchall()
        reports = identity.execute(
            "SELECT report_key FROM report_text WHERE (patient_id IS NULL AND accession_number IN ("
            "SELECT trim(accession_number) FROM study_identity SEMI JOIN asked_patient ON key = patient_key)) "
            "OR patient_id IN ("
            "SELECT trim(patient_id) FROM patient_identity SEMI JOIN asked_patient ON key = patient_key)"
        ).fetchall()
        issuers = identity.execute(
            "SELECT DISTINCT issuer_of_patient_id FROM patient_identity SEMI JOIN asked_patient ON key = patient_key "
            "WHERE issuer_of_patient_id IS NOT NULL"
        ).fetchall()
    return {row[0] for row in studies}, {row[0] for row in reports}, {row[0] for row in issuers}


def _reports(connection: Connection, named: set[str]) -> set[str]:
    """Reports linked to the studies that go, and of the `named` ones those that are linked to nobody else's."""
    _keys_into(connection, "named_report", named)
    rows = connection.execute(
        "SELECT report_key FROM report WHERE study_key IN (SELECT key FROM gone_study) "
        "OR (study_key IS NULL AND report_key IN (SELECT key FROM named_report))"
    ).fetchall()
    return {row[0] for row in rows}


def _erase_reports(connection: Connection, reports: set[str], tables: tuple[str, ...]) -> None:
    _keys_into(connection, "gone_report", reports)
    for table in tables:
        connection.execute(
            f"DELETE FROM {table} WHERE report_key IN (SELECT key FROM gone_report)"
        ).fetchall()


def _tombstones(connection: Connection, patients: set[str], studies: set[str]) -> Tombstones:
    """What goes with the patients; `studies`: theirs by the identity file, the archive may hold them no longer."""
    gone = Tombstones(patients=set(patients), studies=set(studies))
    _keys_into(connection, "gone_patient", gone.patients)
    rows = connection.execute(
        "SELECT study_key FROM study SEMI JOIN gone_patient ON key = patient_key"
    ).fetchall()
    gone.studies.update(row[0] for row in rows)
    _keys_into(connection, "gone_study", gone.studies)
    rows = connection.execute(
        f"SELECT {_SERIES_NAME} FROM series SEMI JOIN gone_study ON key = study_key"
    ).fetchall()
    gone.series.update(row[0] for row in rows)
    _keys_into(connection, "gone_series", gone.series)
    return gone


def _erase(connection: Connection, gone: Tombstones) -> tuple[SlabKey, ...]:
    """Erase from the warehouse, in the caller's transaction; returns the slab files that were kept."""
    kept = connection.execute(
        "SELECT series_key, series_revision, storage_recipe FROM slab "
        f"SEMI JOIN gone_series ON key = {_SERIES_NAME} WHERE is_kept ORDER BY ALL"
    ).fetchall()
    for table in OF_SERIES:
        connection.execute(
            f"DELETE FROM {table} WHERE {_SERIES_NAME} IN (SELECT key FROM gone_series)"
        ).fetchall()
    connection.execute("DELETE FROM publication WHERE study_key IN (SELECT key FROM gone_study)").fetchall()
    connection.execute(
        "UPDATE study SET patient_key = NULL, study_date = NULL, age_years = NULL, sex = NULL "
        "WHERE study_key IN (SELECT key FROM gone_study)"
    ).fetchall()
    _erase_audited(connection)
    connection.execute(
        "UPDATE selection SET outcome = 'excluded', reason = ?, message = ?, rank = NULL, rule = NULL "
        "WHERE study_key IN (SELECT key FROM gone_study)",
        [OPTED_OUT, message_for(OPTED_OUT)],
    ).fetchall()
    return tuple(SlabKey(*row) for row in kept)


def _erase_audited(connection: Connection) -> None:
    """Readings go; a drawn unit stays as a bare count of its cell, as if it had never been read."""
    connection.execute(
        "DELETE FROM audit_reading WHERE (audit_id, case_id) IN ("
        "SELECT (audit_id, case_id) FROM audit_unit SEMI JOIN gone_patient ON key = patient_key)"
    ).fetchall()
    connection.execute(
        "UPDATE audit_unit SET unit_key = case_id, patient_key = NULL, study_key = case_id, study_keys = [], "
        "study_date = NULL, age_years = NULL, sex = NULL, scanner = 'unknown', coverage = 'unknown', "
        "statement = NULL, is_known_before = false, probability = NULL "
        "WHERE patient_key IN (SELECT key FROM gone_patient)"
    ).fetchall()


def _shared_series(connection: Connection) -> list[tuple[str, str]]:
    """(series_key, study_key) of series that go, but are those of a study that stays, too."""
    return connection.execute(
        "SELECT series_key, min(study_key) FROM series "
        "WHERE series_key IN (SELECT series_key FROM series SEMI JOIN gone_study ON key = study_key) "
        "AND study_key NOT IN (SELECT key FROM gone_study) GROUP BY series_key"
    ).fetchall()


def _erase_identities(
    store: Store, gone: Tombstones, reports: set[str], shared: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Erase from the identity file; returns the StudyInstanceUIDs that the index still holds."""
    with transaction(store.paths.identity, wait_s=store.wait_s) as connection:
        _erase_reports(connection, reports, _REPORT_IDENTITY_TABLES)
        _keys_into(connection, "gone_patient", gone.patients)
        _keys_into(connection, "gone_study", gone.studies)
        for series_key, study_key in shared:
            connection.execute(
                "UPDATE series_identity SET study_key = $study WHERE series_key = $series",
                {"study": study_key, "series": series_key},
            ).fetchall()
        found = connection.execute(
            "SELECT study_key, study_instance_uid FROM study_identity "
            "WHERE study_key IN (SELECT key FROM gone_study) OR patient_key IN (SELECT key FROM gone_patient)"
        ).fetchall()
        for table, column, keys in (
            ("series_identity", "study_key", "gone_study"),
            ("study_identity", "study_key", "gone_study"),
            ("study_identity", "patient_key", "gone_patient"),
            ("patient_identity", "patient_key", "gone_patient"),
        ):
            connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT key FROM {keys})").fetchall()
    return tuple(sorted({row[1] for row in found}))


def _split(name: str) -> tuple[str, str]:
    series_key, series_revision = name.split(":", 1)
    return series_key, series_revision


def _keys_into(connection: Connection, name: str, keys: set[str]) -> None:
    connection.execute(f"CREATE TEMP TABLE {name} (key VARCHAR)")
    if keys:
        connection.executemany(f"INSERT INTO {name} VALUES (?)", [[key] for key in sorted(keys)])
