"""What an audit draws from: the units of a warehouse with their cells, and the model and lexicon that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from estimates.audit_cells import Frame, build_frame
from flows.errors import SettingsError
from flows.scored_models import scored_model
from warehouse.queries import query

RULES = ("first", "last", "patient-day", "all")
# The target condition is defined for adults of 50 or more; younger ones stand in a row of their own.
FROM_AGE_YEARS = 50


class AuditError(SettingsError):
    """An audit cannot be drawn or told from what the warehouse holds; the message says what to do."""


@dataclass(frozen=True, slots=True)
class AuditModel:
    """The model whose flags are audited, its operating point, and the lexicon that reads the reports."""

    model_id: str
    model_digest: str
    is_simulated_only: bool
    operating_point_id: str | None
    threshold: float | None
    lexicon_digest: str | None
    lexicon_names: str | None


def audit_model(connection: Connection, name: str | None, say: Callable[[str], None] = print) -> AuditModel:
    """The model of that name (`flows.scored_models`), or the only one that has scored. Raises SettingsError."""
    found = audit_model_of(connection, scored_model(connection, name, say).model_digest)
    assert found is not None
    return found


def audit_model_of(connection: Connection, digest: str) -> AuditModel | None:
    """The model of that digest; None when it has scored nothing here."""
    rows = connection.execute(query("audit_model"), {"model_digest": digest}).fetchall()
    return AuditModel(*rows[0]) if rows else None


# The queries name the macro `audit_studies`; a temporary one of that name stands before the installed one.
_MACRO = "CREATE TEMP MACRO audit_studies(wanted_model) AS TABLE SELECT * FROM audit_studies_at_hand"
_PUT_AWAY = "DROP MACRO TABLE IF EXISTS temp.audit_studies; DROP TABLE IF EXISTS temp.audit_studies_at_hand"


@contextmanager
def studies_at_hand(
    connection: Connection, model_digest: str, operating_point_id: str | None = None
) -> Iterator[None]:
    """Works out `audit_studies` of one model once, for all queries inside: with a million studies that takes seconds.

    Inside, the queries see this model whatever they are asked for, flagged by this one of its operating points (None:
    the current one). The database file is not written to.
    """
    asked = {"model_digest": model_digest}
    studies = "SELECT * FROM audit_studies($model_digest::VARCHAR)"
    if operating_point_id is not None and not _is_current(connection, model_digest, operating_point_id):
        studies, asked["operating_point_id"] = query("audit_studies_at_point"), operating_point_id
    try:
        connection.execute(f"CREATE TEMP TABLE audit_studies_at_hand AS {studies}", asked).fetchall()
        connection.execute(_MACRO)
        yield
    finally:
        for statement in _PUT_AWAY.split(";"):
            connection.execute(statement)


def _is_current(connection: Connection, model_digest: str, operating_point_id: str) -> bool:
    model = audit_model_of(connection, model_digest)
    return model is not None and model.operating_point_id == operating_point_id


def read_units(connection: Connection, model_digest: str | None, rule: str, from_age_years: int) -> pa.Table:
    """The units of the frame, sorted by key; columns of `audit_units.sql`."""
    asked = {"model_digest": model_digest, "rule": rule, "from_age": from_age_years}
    return connection.sql(query("audit_units"), params=asked).to_arrow_table()


def frame_of(units: pa.Table) -> Frame:
    """The cells of the units. Raises AuditError when a scored one has no flag, for want of an operating point."""
    if units["ai"].null_count:
        raise AuditError(
            "the model has no current operating point: nothing is flagged, so there are no cells"
        )
    return build_frame(units["ai"].to_pylist(), units["report"].to_pylist(), scores_of(units))


def scores_of(units: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n,) highest calibrated probability of each unit, NaN where it was not scored."""
    return np.asarray(units["probability"].to_numpy(), dtype=np.float64)


def frame_digest(units: pa.Table, frame: Frame) -> str:
    """SHA-256 over the units and their cells: equal as long as the archive says the same."""
    cells = [f"{cell.ai}/{cell.report}/{cell.stratum}" for cell in frame.cells]
    digest = hashlib.sha256()
    for key, place in zip(units["unit_key"].to_pylist(), frame.cell_of.tolist(), strict=True):
        digest.update(f"{key}\0{cells[place]}\n".encode())
    return digest.hexdigest()


def unit_row(units: pa.Table, place: int) -> Mapping[str, Any]:
    """One unit as column name → value."""
    row: dict[str, Any] = units.slice(place, 1).to_pylist()[0]
    return row
