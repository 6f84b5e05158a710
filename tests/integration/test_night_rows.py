"""What a night asks of the warehouse: questions that are still open, and what a killed run decided before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest
import warehouse_rows as rows
from duckdb import DuckDBPyConnection as Connection

from flows.night_end import n_unanswered
from flows.night_rows import night_studies
from warehouse import schema
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.night_records import NightRecord
from warehouse.tables import WAREHOUSE_TABLES

ARCHIVE = "archive-1"
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def warehouse() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        yield connection


def land(warehouse: Connection, batch: LandingBatch) -> None:
    insert_all(warehouse, WAREHOUSE_TABLES, to_arrow(batch))


@pytest.mark.parametrize(
    ("reason", "n"), [("pacs_query", 1), ("pacs_unreachable", 1), ("pacs_pull", 0), ("decode", 0)]
)
def test_a_series_that_nobody_could_ask_about_holds_the_watermark(
    warehouse: Connection, reason: str, n: int
) -> None:
    batch = rows.one_scored_study(n_series=1)
    batch.scores.clear()
    batch.archives.append(rows.archive(n_files=10, n_studies=1, n_series=1))
    batch.runs.append(rows.run())
    batch.rejections.append(rows.rejection("series-a-0", reason))
    land(warehouse, batch)
    assert n_unanswered(warehouse, ARCHIVE) == n


def night(run_id: str) -> NightRecord:
    return NightRecord(
        run_id=run_id, archive_key=ARCHIVE, arrived_since=None, arrived_until=START, window_ends_at=None, n_new=1,
        n_changed=0, n_carried=0, n_left=0, n_scored=1, n_flagged=0, n_failed=0, duration_s=1.0, precision="fp32",
        canary_difference=0.0, cusum_up=None, cusum_down=None,
    )  # fmt: skip


def test_what_a_killed_night_decided_is_of_the_next_one(warehouse: Connection) -> None:
    batch = LandingBatch(archives=[rows.archive(n_files=40, n_studies=4, n_series=4)])
    states = {"whole": "finished", "killed": "interrupted", "tonight": "running"}
    for day, (run_id, state) in enumerate(states.items()):
        batch.runs.append(rows.run(run_id, hours=24 * day, state=state))
        one = rows.one_scored_study(run_id, n_series=1)
        one.studies[:] = [replace(each, run_id=run_id) for each in one.studies]
        one.scores[:] = [replace(each, run_id=run_id) for each in one.scores]
        batch.extend(one)
    batch.nights.append(night("whole"))
    land(warehouse, batch)

    def tonight(run_id: str) -> set[str]:
        found = night_studies(
            warehouse,
            archive_key=ARCHIVE,
            run_id=run_id,
            model_digest=rows.KEY.model_digest,
            baseline_from=None,
        )
        return {study.study_key for study in found if study.is_tonight}

    assert tonight("tonight") == {"study-killed", "study-tonight"}
    land(warehouse, LandingBatch(nights=[night("tonight")]))
    land(warehouse, LandingBatch(runs=[rows.run("later", hours=240)]))
    assert tonight("later") == set()
