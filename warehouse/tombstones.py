"""Erased patients: what carries one of their keys is not stored again. Pure; works on Arrow rows before they land.

A study of an erased patient stays as a row without person (no patient key, date, age, sex), excluded as `opted_out`,
so that everything found is still accounted for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from warehouse.reasons import message_for

Row = dict[str, Any]
OPTED_OUT = "opted_out"
# Tables of what is known of one revision of a series.
OF_SERIES = ("slab", "score", "domain_distance", "rejection", "night_problem")
_PERSONAL = ("patient_key", "study_date", "age_years", "sex")


@dataclass(slots=True)
class Tombstones:
    """Keys of erased patients, of their studies, and of the revisions of their series (`series_name`).

    And who issued their PatientIDs: reports name a patient without the issuer.
    """

    patients: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)
    issuers: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.patients or self.studies or self.series)

    def pairs(self) -> set[tuple[str, str]]:
        """(kind, key) of each tombstone."""
        return {(kind, key) for kind, keys in self.by_kind().items() for key in keys}

    def by_kind(self) -> dict[str, set[str]]:
        """The sets, as the table names them."""
        return {
            "patient": self.patients,
            "study": self.studies,
            "series": self.series,
            "issuer": self.issuers,
        }


def series_name(row: Mapping[str, Any]) -> str:
    """What names one revision of a series. Its key alone is not enough: studies of two patients may share its UID."""
    return f"{row['series_key']}:{row['series_revision']}"


def read_tombstones(connection: Connection) -> Tombstones:
    """The tombstones of an open warehouse."""
    found = Tombstones()
    sets = found.by_kind()
    for kind, key in connection.execute("SELECT kind, key FROM forgotten").fetchall():
        sets[kind].add(key)
    return found


def add_tombstones(connection: Connection, tombstones: Tombstones) -> None:
    """Write the tombstones that are not there yet, in the caller's transaction."""
    missing = sorted(tombstones.pairs() - read_tombstones(connection).pairs())
    if missing:
        connection.executemany(
            "INSERT INTO forgotten VALUES (?, ?, (now()::TIMESTAMPTZ AT TIME ZONE 'UTC')::DATE)", missing
        )


def strip(rows: Mapping[str, pa.Table], tombstones: Tombstones) -> dict[str, pa.Table]:
    """Rows without what belongs to erased patients. Adds their newly met studies and series to `tombstones`."""
    _widen(rows, tombstones)
    keep = {
        "patient_identity": lambda row: row["patient_key"] not in tombstones.patients,
        "study_identity": lambda row: row["study_key"] not in tombstones.studies,
        "series_identity": lambda row: row["study_key"] not in tombstones.studies,
        "publication": lambda row: row["study_key"] not in tombstones.studies,
        **dict.fromkeys(OF_SERIES, lambda row: series_name(row) not in tombstones.series),
    }
    change = {
        "study": lambda row: _without_person(row) if row["study_key"] in tombstones.studies else row,
        "selection": lambda row: _as_opted_out(row) if row["study_key"] in tombstones.studies else row,
    }
    stripped = dict(rows)
    for name in rows.keys() & keep.keys():
        stripped[name] = _only(rows[name], keep[name])
    for name in rows.keys() & change.keys():
        stripped[name] = _rebuild(rows[name], change[name])
    return {name: table for name, table in stripped.items() if table.num_rows}


def _widen(rows: Mapping[str, pa.Table], tombstones: Tombstones) -> None:
    for name in rows.keys() & {"study", "study_identity"}:
        for row in rows[name].select(["study_key", "patient_key"]).to_pylist():
            if row["patient_key"] in tombstones.patients:
                tombstones.studies.add(row["study_key"])
    for name in rows.keys() & {"series", "selection"}:
        for row in rows[name].select(["study_key", "series_key", "series_revision"]).to_pylist():
            if row["study_key"] in tombstones.studies:
                tombstones.series.add(series_name(row))


def _only(table: pa.Table, keep: Callable[[Row], bool]) -> pa.Table:
    return pa.Table.from_pylist([row for row in table.to_pylist() if keep(row)], schema=table.schema)


def _rebuild(table: pa.Table, change: Callable[[Row], Row]) -> pa.Table:
    return pa.Table.from_pylist([change(row) for row in table.to_pylist()], schema=table.schema)


def _without_person(row: Row) -> Row:
    return {**row, **dict.fromkeys(_PERSONAL)}


def _as_opted_out(row: Row) -> Row:
    decided = {"outcome": "excluded", "reason": OPTED_OUT, "message": message_for(OPTED_OUT)}
    return {**row, **decided, "rank": None, "rule": None}
