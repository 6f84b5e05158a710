"""Records and tables say the same; every table, column and view says what it is."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator

import duckdb
import pytest
import warehouse_rows as rows
from duckdb import DuckDBPyConnection as Connection

from warehouse import errors, records, schema
from warehouse.checks import checks
from warehouse.headers import description_of
from warehouse.landing import LandingBatch, to_arrow
from warehouse.queries import query
from warehouse.reasons import REASONS, Outcome, message_for, reason_of
from warehouse.tables import ALL_TABLES, IDENTITY_TABLES, INTERNAL_TABLES, WAREHOUSE_TABLES, Meeting, Table


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        yield connection


@pytest.fixture(scope="module")
def identity() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        schema.migrate(connection, schema.IDENTITY)
        yield connection


def columns_of(connection: Connection, table: str) -> list[str]:
    """`name TYPE` of each column, with NULL where it may be null."""
    found = connection.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE table_name = ? ORDER BY column_index",
        [table],
    ).fetchall()
    return [f"{name} {kind}{' NULL' if nullable else ''}" for name, kind, nullable in found]


def fields_of(table: Table) -> list[str]:
    return [
        f"{name} {kind}{' NULL' if nullable else ''}" for name, (kind, nullable) in table.sql_types.items()
    ]


@pytest.mark.parametrize("table", WAREHOUSE_TABLES, ids=lambda table: table.name)
def test_record_and_table_have_the_same_columns(warehouse: Connection, table: Table) -> None:
    assert columns_of(warehouse, table.name) == fields_of(table)


@pytest.mark.parametrize("table", IDENTITY_TABLES, ids=lambda table: table.name)
def test_identity_record_and_table_have_the_same_columns(identity: Connection, table: Table) -> None:
    assert columns_of(identity, table.name) == fields_of(table)


def test_every_record_has_its_table() -> None:
    assert {table.record for table in WAREHOUSE_TABLES} == set(records.WAREHOUSE_RECORDS)
    assert {table.record for table in IDENTITY_TABLES} == set(records.IDENTITY_RECORDS)


def test_no_table_is_without_a_record(warehouse: Connection) -> None:
    found = {row[0] for row in warehouse.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert found == {table.name for table in WAREHOUSE_TABLES} | set(INTERNAL_TABLES)


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_keys_are_columns_that_are_never_null(table: Table) -> None:
    assert set(table.key) <= set(table.columns)
    assert table.lookup in table.key
    assert not [name for name in table.key if table.sql_types[name][1]]


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_rules_of_landing_fit_the_columns(table: Table) -> None:
    needed = {Meeting.UNLESS_FINAL: "outcome", Meeting.UNLESS_KEPT: "is_kept", Meeting.RECOUNT: "n_files"}
    assert needed.get(table.meeting, table.key[0]) in table.columns


@pytest.mark.parametrize("kind", ["tables", "columns", "views"])
def test_everything_has_a_comment(warehouse: Connection, identity: Connection, kind: str) -> None:
    sql = {
        "tables": "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL",
        "columns": (
            "SELECT table_name || '.' || column_name FROM duckdb_columns() "
            "WHERE comment IS NULL AND table_name IN (SELECT table_name FROM duckdb_tables())"
        ),
        "views": "SELECT view_name FROM duckdb_views() WHERE comment IS NULL AND NOT internal",
    }[kind]
    for connection in (warehouse, identity):
        assert [row[0] for row in connection.execute(sql).fetchall()] == []


@pytest.mark.parametrize("table", [*ALL_TABLES], ids=lambda table: table.name)
def test_the_comment_of_a_table_names_its_key(
    warehouse: Connection, identity: Connection, table: Table
) -> None:
    connection = identity if table in IDENTITY_TABLES else warehouse
    comment = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE table_name = ?", [table.name]
    ).fetchall()[0][0]
    assert f"Key: {', '.join(table.key)}." in comment


def test_the_run_table_is_wholly_volatile(warehouse: Connection) -> None:
    comments = warehouse.execute("SELECT comment FROM duckdb_columns() WHERE table_name = 'run'").fetchall()
    assert len(comments) == len(dataclasses.fields(records.RunRecord))
    assert all("volatile" in comment for (comment,) in comments)


def test_volatile_columns_are_those_that_runs_may_differ_in(warehouse: Connection) -> None:
    found = warehouse.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE contains(comment, 'volatile') "
        "AND table_name IN ('study', 'series', 'selection', 'slab', 'rejection', 'score') ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("score", "device"),
        ("score", "duration_s"),
        ("score", "run_id"),
        ("score", "scored_at"),
        ("study", "run_id"),
    ]


def test_a_repeated_migration_changes_nothing(warehouse: Connection) -> None:
    assert schema.migrate(warehouse, schema.WAREHOUSE) == []
    assert schema.version_of(warehouse) == schema.WAREHOUSE.version


def test_messages_in_views_are_those_of_the_reasons() -> None:
    text = "\n".join(schema.WAREHOUSE.views)
    assert f"'{message_for('not_chosen')}'" in text


def test_outcomes_in_views_are_known() -> None:
    text = "\n".join(schema.WAREHOUSE.views)
    assert all(f"'{outcome.value}'" in text for outcome in Outcome)


@pytest.mark.parametrize("code", REASONS)
def test_every_message_can_be_made_without_its_numbers(code: str) -> None:
    message = message_for(code)
    assert message
    assert "{" not in message


def test_a_reason_keeps_its_detail_out_of_the_code() -> None:
    assert reason_of("no_decoder:1.2.840").code == "no_decoder"
    assert message_for("too_short", measured=12.4, limit=100) == "the series covers 12 mm, 100 mm are needed"
    with pytest.raises(KeyError):
        reason_of("never_heard_of")


@pytest.mark.parametrize(
    "error",
    [
        errors.WarehouseLocked("warehouse.duckdb", 12, "host", 3.0),
        errors.WarehouseLocked("warehouse.duckdb", None, None, 3.0),
        errors.ArchiveBusy(12, "host", "2026-01-01T00:00:00+00:00"),
        errors.WrongSchema(3, 5),
        errors.WrongSchema(6, 5),
        errors.WarehouseMissing("warehouse.duckdb"),
        errors.WrongKey("a", "b"),
        errors.WarehouseDamaged("the last 2 landings are missing from it"),
        errors.UnknownPatient(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: errors.WarehouseError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_messages_of_errors_say_what_to_do() -> None:
    assert (
        str(errors.WrongSchema(3, 5)) == "warehouse is at schema 3, this version needs 5: run `ovf migrate`"
    )
    assert "newer version of ovf" in str(errors.WrongSchema(6, 5))
    assert "process 12 on host" in str(errors.ArchiveBusy(12, "host", "then"))


@pytest.mark.parametrize("name", sorted(checks()))
def test_every_check_says_what_its_rows_mean(name: str) -> None:
    assert description_of(checks()[name]).endswith(".")


@pytest.mark.parametrize("name", ["summary", "status", "conservation", "export_scores", "pending_studies"])
def test_every_query_says_what_it_gives(name: str) -> None:
    assert description_of(query(name))


def test_export_has_the_columns_of_the_contract(warehouse: Connection) -> None:
    described = warehouse.execute(query("export_scores"), {"model_digest": None})
    assert [column[0] for column in described.description] == [
        *("study_key", "patient_key", "site", "study_date", "age_years", "sex", "manufacturer", "model_name"),
        *("n_series", "outcome", "reason", "message", "series_key", "model_id", "model_digest"),
        *("probability", "flagged", "n_slices", "domain_distance", "remarks"),
        "report_statement",
    ]
    assert described.fetchall() == []


def test_a_missing_value_is_refused_where_none_may_be() -> None:
    broken = dataclasses.replace(rows.score("a"), logit=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"score\.logit may not be None"):
        to_arrow(LandingBatch(scores=[broken]))


def test_a_time_without_a_zone_is_refused() -> None:
    broken = dataclasses.replace(rows.run(), started_at=rows.START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="UTC"):
        to_arrow(LandingBatch(runs=[broken]))


def test_a_batch_takes_records_only() -> None:
    batch = LandingBatch.of([rows.study("a"), rows.score("b"), rows.study("c")])
    assert [study.study_key for study in batch.studies] == ["a", "c"]
    assert len(batch.scores) == 1
    with pytest.raises(TypeError, match="str is not a record"):
        LandingBatch.of(["a"])
