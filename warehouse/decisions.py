"""Asks the warehouse what is still to be decided, and takes decisions back. Works on an open connection.

A decision is made under five digests: selection profile, reader, storage recipe, view recipe, model. Another value of
any of them decides again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from warehouse.connect import value_of
from warehouse.queries import query


@dataclass(frozen=True, slots=True)
class DecisionKey:
    """The five digests that a decision is made under."""

    profile_digest: str
    reader_version: str
    storage_recipe: str
    view_recipe: str
    model_digest: str


def pending_studies(
    connection: Connection,
    archive_key: str,
    studies: Iterable[tuple[str, str | None]],
    key: DecisionKey,
) -> set[str]:
    """Of the (study_key, study_revision) that an archive holds now, the study keys that still need work.

    A study whose revision is not known yet (None) needs work. One statement, whatever the number of studies.
    """
    _register(connection, "index_study", ("study_key", "study_revision"), studies)
    try:
        parameters = {"archive_key": archive_key, **asdict(key)}
        return {row[0] for row in connection.execute(query("pending_studies"), parameters).fetchall()}
    finally:
        connection.unregister("index_study")


def known_answers(
    connection: Connection, series: Iterable[tuple[str, str]], key: DecisionKey
) -> dict[tuple[str, str], str]:
    """Of the given (series_key, series_revision), those scored or finally rejected, with their outcome."""
    _register(connection, "wanted_series", ("series_key", "series_revision"), series)
    try:
        rows = connection.execute(query("known_answers"), asdict(key)).fetchall()
    finally:
        connection.unregister("wanted_series")
    answers = {(row[0], row[1]): str(row[2]) for row in rows if row[2] != "scored"}
    return answers | {(row[0], row[1]): "scored" for row in rows if row[2] == "scored"}


def requeue(connection: Connection, reason: str) -> int:
    """Delete the decisions with this reason code (with any detail); returns how many studies they belong to.

    The next sweep decides those studies again. Scores stay.
    """
    parameters = {"reason": reason}
    n_studies = int(value_of(connection, query("requeued_studies"), parameters))
    connection.execute(query("requeue_selections"), parameters).fetchall()
    connection.execute(query("requeue_rejections"), parameters).fetchall()
    return n_studies


def retire_vanished(connection: Connection, archive_key: str, study_keys: Iterable[str]) -> int:
    """Delete an archive's study rows that are not among `study_keys`; only after a complete crawl."""
    _register(connection, "index_study", ("study_key",), ((key,) for key in study_keys))
    try:
        return int(value_of(connection, query("retire_vanished"), {"archive_key": archive_key}))
    finally:
        connection.unregister("index_study")


def _register(
    connection: Connection, name: str, columns: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]
) -> None:
    """Make rows of texts readable as a relation."""
    listed = list(rows)
    arrays = [pa.array([row[position] for row in listed], pa.string()) for position in range(len(columns))]
    connection.register(name, pa.table(arrays, names=list(columns)))
