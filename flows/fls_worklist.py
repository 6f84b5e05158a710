"""The worklist of the fracture liaison service: whose flagged scan was reported without a fracture. Identified."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection as Connection

from flows.audit_frame import AuditError, AuditModel, studies_at_hand
from flows.errors import SettingsError
from tasks.fhir import WorklistEntry, WorklistModel, worklist_bundle
from tasks.publish_facts import SIMULATED_ONLY, UNVERIFIED
from tasks.report_files import plain_cell
from warehouse.paths import replace_file
from warehouse.queries import query

EVERY_ROW = 2**31
CSV_NAME, FHIR_NAME = "worklist.csv", "worklist.fhir.json"
_OPEN_TO_OTHERS = 0o077


def fls_entries(
    connection: Connection, model: AuditModel, *, from_age_years: int, length: int
) -> list[WorklistEntry]:
    """At most `length` patients of each list of the audit's worklist; each patient once, by the likeliest scan.

    The connection has the identity file attached. Raises AuditError when the model flags nothing for want of an
    operating point.
    """
    if model.operating_point_id is None:
        raise AuditError("the model has no current operating point: nothing is flagged, so there is no list")
    asked = {
        "model_digest": model.model_digest,
        "rule": "patient-day",
        "from_age": from_age_years,
        "length": EVERY_ROW,
    }
    with studies_at_hand(connection, model.model_digest):
        found = connection.execute(query("audit_worklist"), asked)
        columns = [column[0] for column in found.description]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    chosen = _one_a_patient(rows, length)
    known = connection.execute(
        query("fls_identities"), {"study_keys": [row["study_key"] for row, _ in chosen]}
    )
    names = {row[0]: row[1:] for row in known.fetchall()}
    places: dict[str, int] = {}
    entries = []
    for row, n_more in chosen:
        places[row["list"]] = places.get(row["list"], 0) + 1
        entries.append(_entry(row, places[row["list"]], n_more, names.get(row["study_key"], (None,) * 4)))
    return entries


def _one_a_patient(rows: list[dict[str, Any]], length: int) -> list[tuple[dict[str, Any], int]]:
    """The first row of each patient in each list, at most `length` a list, and how many more there were."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    n_rows: dict[tuple[str, str], int] = {}
    for row in rows:
        who = (row["list"], row["patient_key"] or row["unit_key"])
        first.setdefault(who, row)
        n_rows[who] = n_rows.get(who, 0) + 1
    kept = []
    n_listed: dict[str, int] = {}
    for (name, person), row in first.items():
        n_listed[name] = n_listed.get(name, 0) + 1
        if n_listed[name] <= length:
            kept.append((row, n_rows[name, person] - 1))
    return kept


def _entry(row: dict[str, Any], place: int, n_more: int, who: tuple[Any, ...]) -> WorklistEntry:
    patient_id, issuer, accession, study_uid = who
    return WorklistEntry(
        list=row["list"],
        place=place,
        patient_id=patient_id,
        issuer_of_patient_id=issuer,
        accession_number=accession,
        study_instance_uid=study_uid,
        study_date=row["study_date"],
        age_years=row["age_years"],
        sex=row["sex"] if row["sex"] in ("F", "M", "O") else None,
        site=row["site"],
        report_statement=row["statement"],
        probability=row["probability"],
        n_more_scans=n_more,
        study_key=row["study_key"],
        patient_key=row["patient_key"],
    )


def worklist_model(model: AuditModel, test_system: str | None) -> WorklistModel:
    """What stands beside every row. Raises AuditError for a model of simulated scans without a test system."""
    if model.is_simulated_only and test_system is None:
        raise AuditError(
            "this model was trained on simulated scans only: its list may go to a test system and to no service "
            "(name it with --test-system NAME; the files will say so)"
        )
    parts = [UNVERIFIED, *([SIMULATED_ONLY] if model.is_simulated_only else [])]
    parts += [f"made for the test system {test_system}"] if test_system else []
    assert model.operating_point_id is not None
    assert model.threshold is not None
    return WorklistModel(
        model.model_id, model.model_digest, model.operating_point_id, model.threshold, "; ".join(parts)
    )


def write_worklist(
    folder: Path, entries: list[WorklistEntry], model: WorklistModel, *, is_test: bool, at: dt.datetime
) -> None:
    """CSV and FHIR into a folder that is the owner's alone. Raises SettingsError for one that others can look into."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & _OPEN_TO_OTHERS:
        raise SettingsError(f"others can look into {folder}: chmod 700 {folder}, or name another folder")
    names = [field.name for field in fields(WorklistEntry)]
    beside = asdict(model)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*names, *beside])
    writer.writeheader()
    for each in entries:
        writer.writerow({name: plain_cell(value) for name, value in (asdict(each) | beside).items()})
    replace_file(folder / CSV_NAME, stream.getvalue().encode())
    bundle = worklist_bundle(entries, model, at=at, is_test=is_test)
    replace_file(folder / FHIR_NAME, json.dumps(bundle, indent=1, ensure_ascii=False).encode())
