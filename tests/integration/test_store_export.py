"""What leaves the warehouse as a file: one row per study, whole or not at all, identified only when asked."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest
import warehouse_rows as rows
from stores import copied

from warehouse.export import write_rows
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.store import Store


@pytest.fixture(scope="module")
def two_archives(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A scored study, one that is too short, one that failed, one that is quarantined; in two archives. Copied."""
    store = Store.open(tmp_path_factory.mktemp("archives") / "warehouse.duckdb", wait_s=5.0)
    batch = rows.one_scored_study("a")
    batch.operating_points.append(rows.operating_point(threshold=0.4))
    batch.runs.append(rows.run())
    batch.studies.append(rows.study("study-a", archive_key="archive-2", n_series=2, n_files=20))
    for name, reason in (("b", "too_short"), ("c", None), ("d", None)):
        batch.studies.append(rows.study(f"study-{name}"))
        batch.series.append(rows.series(f"series-{name}", f"study-{name}"))
        batch.selections.append(rows.selection(f"series-{name}", f"study-{name}", reason=reason))
    batch.rejections = [rows.rejection("series-c", "worker_died"), rows.rejection("series-d", "decode")]
    store.land(batch)
    store.publish()
    return store


@pytest.fixture
def store(two_archives: Store, tmp_path: Path) -> Store:
    return copied(two_archives, tmp_path / "w")


def test_a_csv_has_one_row_per_study(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "made" / "scores.csv"
    with store.read() as connection:
        assert write_rows(connection, query("export_scores"), target, {"model_digest": None}) == 4
    with target.open(newline="", encoding="utf-8") as stream:
        found = {row["study_key"]: row for row in csv.DictReader(stream)}
    outcomes = {key: (row["outcome"], row["reason"]) for key, row in found.items()}
    assert outcomes == {
        "study-a": ("scored", ""),
        "study-b": ("excluded", "too_short"),
        "study-c": ("failed", "worker_died"),
        "study-d": ("quarantined", "decode"),
    }
    probability = 1 / (1 + math.exp(-(2 * 0.5 - 1)))
    assert float(found["study-a"]["probability"]) == pytest.approx(probability)
    assert found["study-a"]["flagged"] == "true"
    assert {found[key]["flagged"] for key in ("study-b", "study-c", "study-d")} == {""}
    assert not any("PID" in value for row in found.values() for value in row.values())
    assert not any(path.stat().st_mode & 0o077 for path in (target, target.parent))


def test_an_export_tells_what_was_noticed_on_a_scan(store: Store) -> None:
    batch = rows.one_scored_study("e")
    batch.selections = [
        replace(one, flags=["tilt_resampled", "slices_missing_outside:2@168.0..177.0"])
        for one in batch.selections
    ]
    batch.slabs = [
        replace(rows.slab(one.series_key), flags=["qc_metal", "tilt_resampled"]) for one in batch.scores
    ]
    store.land(batch)
    store.publish()
    with store.read() as connection:
        exported = connection.execute(query("export_scores"), {"model_digest": None}).df()
    found = dict(zip(exported["study_key"], exported["remarks"], strict=True))
    assert found["study-e"] == "qc_metal; slices_missing_outside:2@168.0..177.0; tilt_resampled"
    assert list(exported["remarks"].isna()) == [key != "study-e" for key in exported["study_key"]]


def test_an_identified_parquet_says_who_it_is(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "scores.parquet"
    with store.read_identified() as connection:
        write_rows(connection, query("export_scores_identified"), target, {"model_digest": None})
    found = pyarrow.parquet.read_table(target).to_pylist()[0]
    assert found["patient_id"] == "PID-a"
    assert found["accession_number"] == "ACC-a"
    assert found["study_instance_uid"] == "1.2.3.a"
    assert found["series_instance_uid"] == "1.2.3.a.0"


def test_a_failed_export_leaves_the_file_before_it(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "scores.csv"
    target.write_text("as it was")
    with store.read() as connection, pytest.raises(duckdb.Error):
        write_rows(connection, "SELECT error('half-way') FROM study", target, {})
    assert target.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["scores.csv"]


def test_another_operating_point_changes_flags_and_scores_nothing_again(store: Store) -> None:
    before = flags(store)
    store.land(LandingBatch(operating_points=[rows.operating_point("strict", threshold=0.9)]))
    store.publish()
    assert (before, flags(store)) == ([(True,)], [(False,)])


def flags(store: Store) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return connection.execute("SELECT is_flagged FROM flagged").fetchall()


def test_without_an_operating_point_there_is_no_flag(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "warehouse.duckdb")
    store.land(rows.one_scored_study())
    assert flags(store) == [(None,)]


def test_a_named_model_that_has_not_scored_a_study_leaves_it_pending(store: Store) -> None:
    with store.read() as connection:
        found = connection.execute(query("export_scores"), {"model_digest": "another"}).fetchall()
    assert found[0][9:12] == ("pending", None, "not scored by this model yet")
    assert [row[9] for row in found] == ["pending", "excluded", "failed", "quarantined"]


def test_status_and_summary_count_each_archive_by_itself(store: Store) -> None:
    store.land(LandingBatch(archives=[rows.archive(n_files=50, n_studies=4, n_series=5)]))
    store.publish()
    with store.read() as connection:
        connection.execute(query("status"))
        names = [column[0] for column in connection.description]
        (line,) = connection.fetchall()
        only = connection.execute(query("summary"), {"archive_key": "archive-2"}).fetchall()
        flagged = connection.execute(
            query("flagged_count"), {"archive_key": "archive-1", "model_digest": "model-1"}
        ).fetchall()
    status = dict(zip(names, line, strict=True))
    assert (status["state"], status["n_studies_found"], status["scored"]) == ("running", 4, 1)
    assert [(row[0], row[1], row[3]) for row in only if row[0] == "study"] == [("study", "scored", 1)]
    assert flagged == [(1,)]
