"""What a night asks of the warehouse, as rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from duckdb import DuckDBPyConnection as Connection

from warehouse.night_records import CanaryRecord, NightRecord
from warehouse.queries import query

BASELINE_STUDIES = (
    2_000  # decided studies, from the first on: a baseline that moved along would follow every drift
)
BEGINNING = dt.date(1970, 1, 1)
HISTORY_NIGHTS = 60


@dataclass(frozen=True, slots=True)
class NightStudy:
    """One decided study: of tonight, or of the baseline."""

    study_key: str
    patient_key: str | None
    is_tonight: bool
    outcome: str
    reason: str | None
    scanner: str
    kernel: str
    logit: float | None
    probability: float | None
    is_flagged: bool | None
    series_key: str | None
    is_scored_tonight: bool
    is_superseding: bool
    domain_distance: float | None = None  # of a score beyond the domain too; None: the model has no yardstick

    @property
    def is_scored(self) -> bool:
        """Scored by the model of the night."""
        return self.logit is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something damaged that the archive holds now, and when a morning page told of it."""

    series_key: str
    series_revision: str
    reason: str
    n: int
    n_reported: int | None
    first_reported_at: dt.datetime | None  # UTC, without a zone, as stored
    last_reported_at: dt.datetime | None


def night_studies(
    connection: Connection, archive_key: str, run_id: str, model_digest: str, baseline_from: dt.date | None
) -> list[NightStudy]:
    """Decided studies of tonight and of the baseline, in a fixed order."""
    rows = connection.execute(
        query("night_studies"),
        {
            "archive_key": archive_key,
            "run_id": run_id,
            "model_digest": model_digest,
            "baseline_from": baseline_from or BEGINNING,
            "n_baseline": BASELINE_STUDIES,
        },
    ).fetchall()
    return [NightStudy(*row) for row in rows]


def night_problems(connection: Connection, archive_key: str) -> list[Problem]:
    """What is damaged now."""
    rows = connection.execute(query("night_problems"), {"archive_key": archive_key}).fetchall()
    return [Problem(*row) for row in rows]


def night_history(connection: Connection, archive_key: str) -> list[NightRecord]:
    """The newest nights, oldest first."""
    found = connection.execute(
        query("night_history"), {"archive_key": archive_key, "n_nights": HISTORY_NIGHTS}
    )
    names = [column[0] for column in found.description]
    return [_night(dict(zip(names, row, strict=True))) for row in found.fetchall()]


def watermark(connection: Connection, archive_key: str) -> dt.datetime | None:
    """Up to when arrivals are in the warehouse, UTC; None before the first night."""
    rows = connection.execute(
        "SELECT arrived_until FROM watermark WHERE archive_key = ?", [archive_key]
    ).fetchall()
    return rows[0][0].replace(tzinfo=dt.UTC) if rows else None


def enrolled_canary(connection: Connection) -> list[CanaryRecord]:
    """Every enrolled case of every model."""
    found = connection.execute("SELECT * FROM canary")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [CanaryRecord(**{**row, "enrolled_at": row["enrolled_at"].replace(tzinfo=dt.UTC)}) for row in rows]


def _night(row: dict[str, object]) -> NightRecord:
    row.pop("started_at")
    return NightRecord(**row)  # type: ignore[arg-type]
