"""The store on a real DuckDB file: landing, staging, locks, publishing, and what it does when something is wrong."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import warehouse_rows as rows
from stores import copied

from warehouse import schema
from warehouse.compare import differences
from warehouse.errors import WarehouseDamaged, WarehouseLocked, WarehouseMissing, WrongKey, WrongSchema
from warehouse.landing import LandingBatch, read_staging, write_staging
from warehouse.store import Store

TABLES_IN_SCORED_STUDY = {"study": 1, "series": 2, "selection": 2, "slab": 1, "score": 1, "model": 1}
HOLD_FILE = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("empty") / "warehouse.duckdb", wait_s=5.0)


@pytest.fixture
def store(empty: Store, tmp_path: Path) -> Store:
    return copied(empty, tmp_path / "w")


def count(store: Store, table: str) -> int:
    with store.read_live() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def values(store: Store, sql: str) -> list[tuple[object, ...]]:
    with store.read_live() as connection:
        return connection.execute(sql).fetchall()


@contextlib.contextmanager
def held_by_an_analyst(path: Path, seconds: float) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_FILE, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    ) as analyst:
        assert analyst.stdout is not None
        assert analyst.stdout.readline() == "held\n"
        try:
            yield analyst.pid
        finally:
            analyst.kill()


# --- opening


def test_a_new_store_is_owner_only(store: Store) -> None:
    store.land(rows.one_scored_study())
    store.publish()
    for path in store.paths.directory.rglob("*"):
        assert path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0, path.name


def test_a_missing_warehouse_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseMissing, match=r"w\.duckdb"):
        Store.open(tmp_path / "w.duckdb", create=False)


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_is_no_warehouse(tmp_path: Path, create: bool) -> None:
    with pytest.raises(WarehouseMissing, match="is a folder"):
        Store.open(tmp_path, create=create)
    assert not list(tmp_path.iterdir())


def test_the_store_travels_to_other_processes(store: Store) -> None:
    assert pickle.loads(pickle.dumps(store)) == store


def test_a_warehouse_of_another_key_is_refused(store: Store) -> None:
    store.bind_key("first")
    store.bind_key("first")
    with pytest.raises(WrongKey):
        store.bind_key("second")


@pytest.mark.parametrize(("version", "advice"), [(0, "run `ovf migrate`"), (99, "newer version of ovf")])
def test_T60_another_schema_is_refused(store: Store, version: int, advice: str) -> None:
    with store.write() as connection:
        connection.execute("UPDATE schema_migration SET version = ?", [version])
    with pytest.raises(WrongSchema, match=advice):
        store.land(rows.one_scored_study())
    with pytest.raises(WrongSchema, match=advice):
        Store.open(store.paths.warehouse)


# --- landing


def test_landing_twice_changes_nothing(store: Store) -> None:
    batch = rows.one_scored_study()
    first = store.land(batch)
    assert {name: first.new_rows(name) for name in TABLES_IN_SCORED_STUDY} == TABLES_IN_SCORED_STUDY
    again = store.land(batch)
    assert not any(again.inserted.values())
    assert not any(again.replaced.values())


def test_records_come_back_as_they_went_in(store: Store) -> None:
    batch = rows.one_scored_study()
    batch.runs.append(rows.run())
    path = store.paths.staging / "run" / "shard.arrow"
    write_staging(path, batch)
    assert read_staging(path) == batch


def test_landing_nothing_is_fine(store: Store) -> None:
    assert store.land(LandingBatch()).inserted == {}


def test_a_study_is_replaced_by_its_newer_state(store: Store) -> None:
    store.land(LandingBatch(studies=[rows.study("a", revision="r1")]))
    counts = store.land(LandingBatch(studies=[rows.study("a", revision="r2", n_files=11)]))
    assert counts.new_rows("study") == 0
    assert values(store, "SELECT study_revision, n_files FROM study") == [("r2", 11)]


def test_a_final_selection_stays_and_a_failed_one_goes(store: Store) -> None:
    final, failed = rows.selection("s", "a", reason="too_short"), rows.selection("s", "a", reason="io")
    store.land(LandingBatch(selections=[failed]))
    store.land(LandingBatch(selections=[final]))
    store.land(LandingBatch(selections=[failed]))
    assert values(store, "SELECT reason FROM selection") == [("too_short",)]


def test_a_score_clears_a_failure_and_is_not_touched_by_a_later_one(store: Store) -> None:
    store.land(LandingBatch(rejections=[rows.rejection("s", "worker_died")]))
    store.land(LandingBatch(scores=[rows.score("s")]))
    assert count(store, "rejection") == 0
    store.land(LandingBatch(rejections=[rows.rejection("s", "worker_died"), rows.rejection("t", "io")]))
    assert values(store, "SELECT series_key FROM rejection") == [("t",)]


def test_a_score_and_a_failure_in_one_batch_leave_the_score(store: Store) -> None:
    store.land(LandingBatch(scores=[rows.score("s")], rejections=[rows.rejection("s", "worker_died")]))
    assert count(store, "score") == 1
    assert count(store, "rejection") == 0


def test_a_final_rejection_clears_a_failure(store: Store) -> None:
    store.land(LandingBatch(rejections=[rows.rejection("s", "worker_died")]))
    store.land(LandingBatch(rejections=[rows.rejection("s", "decode"), rows.rejection("s", "disk_full")]))
    assert values(store, "SELECT reason FROM rejection") == [("decode",)]


def test_file_counts_are_replaced_with_their_archive(store: Store) -> None:
    found = rows.archive(n_files=5, n_studies=0, n_series=0)
    counts = [
        rows.records.FileCountRecord("archive-1", "excluded", reason, 1) for reason in ("link", "dicomdir")
    ]
    other = rows.records.FileCountRecord("archive-2", "excluded", "link", 1)
    store.land(LandingBatch(archives=[found], file_counts=[*counts, other]))
    store.land(LandingBatch(archives=[found], file_counts=counts[:1]))
    assert values(store, "SELECT archive_key, reason FROM file_count ORDER BY ALL") == [
        ("archive-1", "link"),
        ("archive-2", "link"),
    ]


def test_a_kept_slab_replaces_one_that_was_not_kept(store: Store) -> None:
    for is_kept in (False, True, False):
        store.land(LandingBatch(slabs=[rows.slab("s", is_kept=is_kept)]))
    assert values(store, "SELECT is_kept FROM slab") == [(True,)]


def test_further_copies_are_counted_in_the_series_that_is_there(store: Store) -> None:
    store.land(LandingBatch(series=[rows.series("s", "a", n_files=10)]))
    store.land(LandingBatch(series=[replace(rows.series("s", "a", n_files=12), kvp=None)]))
    assert values(store, "SELECT n_files, kvp FROM series") == [(12, 120.0)]


def test_a_new_operating_point_retires_the_current_one_of_its_model_only(store: Store) -> None:
    other = replace(rows.KEY, model_digest="model-2")
    store.land(
        LandingBatch(operating_points=[rows.operating_point("old"), rows.operating_point("x", key=other)])
    )
    store.land(LandingBatch(operating_points=[rows.operating_point("new")]))
    assert values(store, "SELECT operating_point_id, is_current FROM operating_point ORDER BY ALL") == [
        ("new", True),
        ("old", False),
        ("x", True),
    ]


def test_corrected_identities_replace_old_ones(store: Store) -> None:
    store.land(rows.one_scored_study("a"))
    corrected = replace(rows.one_scored_study("a").study_identities[0], accession_number="CORRECTED")
    store.land(LandingBatch(study_identities=[corrected]))
    with store.read_identified() as connection:
        found = connection.execute("SELECT accession_number FROM identity.study_identity").fetchall()
    assert found == [("CORRECTED",)]


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    two_rows = "INSERT INTO store_stamp VALUES ('x', 1, NULL); INSERT INTO store_stamp VALUES (NULL, 1, NULL)"
    with pytest.raises(duckdb.ConstraintException), store.write() as connection:
        connection.execute(two_rows)
    assert count(store, "store_stamp") == 1


# --- staging


def stage(store: Store, name: str, run: str = "run") -> Path:
    path = store.paths.staging / run / f"{name}.arrow"
    write_staging(path, rows.one_scored_study(name))
    return path


def test_staged_shards_of_any_run_land_and_go(store: Store) -> None:
    paths = [stage(store, "a", "run-1"), stage(store, "b", "run-2")]
    assert paths[0].stat().st_mode & 0o077 == 0
    counts = store.land_staging()
    assert counts.n_staging_files == 2
    assert counts.new_rows("score") == 2
    assert list(store.paths.staging.iterdir()) == []


def test_a_shard_that_is_gone_has_landed(store: Store) -> None:
    path = stage(store, "a")
    store.land_staging([path])
    assert store.land_staging([path]).n_staging_files == 0
    assert count(store, "score") == 1


def test_a_landed_shard_that_was_not_deleted_lands_once(store: Store) -> None:
    path = stage(store, "a")
    content = path.read_bytes()
    store.land_staging()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert store.land_staging().new_rows("score") == 0
    assert not path.exists()


@pytest.mark.parametrize("damage", ["empty", "torn", "other file", "other schema"])
def test_a_torn_staging_file_is_set_aside(
    store: Store, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = stage(store, "a"), stage(store, "b")
    content = bad.read_bytes()
    if damage == "other schema":
        import pyarrow as pa

        with (
            pa.OSFile(str(bad), "wb") as sink,
            pa.ipc.new_file(sink, pa.schema([("x", pa.int64())])) as writer,
        ):
            writer.write_batch(pa.record_batch([pa.array([1])], names=["x"]))
    else:
        bad.write_bytes(
            {"empty": b"", "torn": content[: len(content) // 2], "other file": b"x" * 999}[damage]
        )
    counts = store.land_staging()
    assert counts.bad_files == ("b.arrow",)
    assert counts.new_rows("score") == 1
    assert not good.exists()
    assert [path.name for path in bad.parent.iterdir()] == ["b.arrow.bad"]
    assert "cannot be read" in caplog.text
    assert "PID" not in caplog.text
    assert store.land_staging().n_staging_files == 0


# --- locks


def test_T43_an_analyst_who_lets_go_in_time_stops_nobody(store: Store) -> None:
    with held_by_an_analyst(store.paths.warehouse, 1.0):
        started_s = time.monotonic()
        store.land(rows.one_scored_study())
        assert time.monotonic() - started_s > 0.3
    assert count(store, "score") == 1


def test_T43_an_analyst_who_stays_is_named_and_results_stay_staged(store: Store) -> None:
    path = stage(store, "a")
    impatient = Store(store.paths, wait_s=0.3)
    with held_by_an_analyst(store.paths.warehouse, 30.0) as pid:
        with pytest.raises(WarehouseLocked, match=f"process {pid} ") as caught:
            impatient.land_staging()
        assert "kept and land with the next run" in str(caught.value)
    assert path.exists()
    assert store.land_staging().new_rows("score") == 1


def test_readers_of_the_published_copy_stop_no_writer(store: Store) -> None:
    store.land(rows.one_scored_study("a"))
    store.publish()
    with store.read() as reader:
        store.land(rows.one_scored_study("b"))
        assert reader.execute("SELECT count(*) FROM score").fetchall() == [(1,)]
    assert count(store, "score") == 2


def test_a_second_writer_waits_and_then_is_told_who_writes(store: Store) -> None:
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with store.write():
            inside.set()
            leave.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait(10)
    with pytest.raises(WarehouseLocked, match=f"process {os.getpid()} "):
        Store(store.paths, wait_s=0.1).land(rows.one_scored_study())
    leave.set()
    writer.join()
    store.land(rows.one_scored_study())


def test_many_threads_land_all_their_rows(store: Store) -> None:
    threads = [
        threading.Thread(target=store.land, args=[rows.one_scored_study(str(number))]) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(store, "study") == 6


# --- publishing


def test_the_published_copy_has_every_row_and_the_one_before_is_kept(store: Store) -> None:
    for name in ("a", "b", "c"):
        store.land(rows.one_scored_study(name))
        published = store.publish()
    assert published == store.paths.published
    counts = []
    for path in (store.paths.published, store.paths.previous):
        with duckdb.connect(path, read_only=True) as connection:
            counts.append(connection.execute("SELECT count(*) FROM score").fetchall()[0][0])
    assert counts == [3, 2]
    assert sorted(path.suffix for path in store.paths.published_directory.iterdir()) == [
        ".duckdb",
        ".duckdb",
        ".lock",
    ]


def test_the_published_copy_answers_as_the_live_file_does(store: Store) -> None:
    batch = rows.one_scored_study()
    batch.runs.append(rows.run())
    batch.operating_points.append(rows.operating_point())
    store.land(batch)
    store.publish()
    for view in (
        "series_outcome",
        "study_outcome",
        "file_outcome",
        "conservation",
        "flagged",
        "current_score",
    ):
        with store.read() as published:
            answer = published.execute(f"SELECT * FROM {view} ORDER BY ALL").fetchall()
        assert answer == values(store, f"SELECT * FROM {view} ORDER BY ALL")


def test_before_the_first_publication_readers_get_the_live_file(store: Store) -> None:
    store.land(rows.one_scored_study())
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            connection.execute("DELETE FROM score")


def test_T39_a_full_disk_publishes_nothing_by_half(store: Store) -> None:
    """The limit on file sizes stands in for a full disk: the copy fails in its middle."""
    store.land(rows.one_scored_study("a"))
    store.publish()
    store.land(rows.one_scored_study("b"))
    program = (
        "import resource, signal, sys; from pathlib import Path; from warehouse.store import Store\n"
        "store = Store.open(Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from warehouse import copying\n"
        "copying.checkpoint(store.paths.warehouse, wait_s=5)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n    copying.copy_for_readers(store.paths, wait_s=5)\n"
        "except OSError as error:\n    print('refused', error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store.paths.warehouse)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "refused 27\n"
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(1,)]
    assert not list(store.paths.published_directory.glob(".*"))
    store.publish()
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(2,)]


# --- damage


def test_T44_an_older_file_in_its_place_is_noticed(store: Store, tmp_path: Path) -> None:
    store.land(rows.one_scored_study("a"))
    older = tmp_path / "older.duckdb"
    shutil.copy(store.paths.warehouse, older)
    store.land(rows.one_scored_study("b"))
    shutil.copy(older, store.paths.warehouse)
    with pytest.raises(WarehouseDamaged, match="last 1 landings are missing"):
        store.publish()
    with pytest.raises(WarehouseDamaged, match="Restore the last backup"):
        store.land(rows.one_scored_study("c"))
    store.paths.ledger.unlink()  # the operator's word that the file is the right one
    store.land(rows.one_scored_study("b"))
    assert count(store, "study") == 2


def test_T44_another_warehouse_in_its_place_is_noticed(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other" / "warehouse.duckdb")
    shutil.copy(other.paths.warehouse, store.paths.warehouse)
    with pytest.raises(WarehouseDamaged, match="another warehouse"):
        store.publish()


def test_T44_rows_that_vanished_without_a_landing_are_noticed(store: Store) -> None:
    store.land(rows.one_scored_study("a"))
    with duckdb.connect(store.paths.warehouse) as connection:
        connection.execute("DELETE FROM score").fetchall()
    with pytest.raises(WarehouseDamaged, match="other row counts: score"):
        store.publish()


def test_T44_a_torn_log_is_noticed(store: Store) -> None:
    """The process dies between commit and checkpoint; then the log loses its end."""
    store.land(rows.one_scored_study("a"))
    program = (
        "import os, sys; from pathlib import Path; import duckdb\n"
        "from warehouse import ledger\n"
        "from warehouse.paths import WarehousePaths\n"
        "paths = WarehousePaths(Path(sys.argv[1]))\n"
        "connection = duckdb.connect(paths.warehouse)\n"
        "connection.execute(\"INSERT INTO forgotten VALUES ('patient', 'x', DATE '2026-01-01')\").fetchall()\n"
        "connection.execute('UPDATE store_stamp SET sequence = sequence + 1').fetchall()\n"
        "ledger.write_ledger(paths.ledger, ledger.count(connection))\n"
        "os._exit(0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(store.paths.warehouse)], check=True, cwd=Path(__file__).parents[2]
    )
    log = store.paths.warehouse.with_name("warehouse.duckdb.wal")
    whole = log.read_bytes()
    assert count(store, "forgotten") == 1  # an untouched log is replayed
    log.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WarehouseDamaged, match="last 1 landings are missing"):
        store.publish()


def test_compare_names_table_and_rows(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other" / "warehouse.duckdb")
    store.land(rows.one_scored_study())
    other.land(rows.one_scored_study())
    assert differences(store.paths.warehouse, other.paths.warehouse) == []
    later = replace(
        rows.study("study-a", n_series=2, n_files=20, patient_key="patient-a"), run_id="another run"
    )
    other.land(LandingBatch(studies=[later]))
    assert differences(store.paths.warehouse, other.paths.warehouse) == []
    other.land(LandingBatch(scores=[rows.score("another")]))
    assert [line.split(":")[0] for line in differences(store.paths.warehouse, other.paths.warehouse)] == [
        "score"
    ]


def test_views_are_renewed_when_the_program_brings_others(store: Store) -> None:
    with store.write() as connection:
        connection.execute("UPDATE installed_views SET digest = 'of another version'")
        connection.execute("DROP VIEW flagged")
    assert values(store, "SELECT count(*) FROM installed_views") == [(1,)]
    store.land(rows.one_scored_study())
    assert values(store, "SELECT count(*) FROM flagged") == [(1,)]
    assert schema.WAREHOUSE.views


LAND_WITHOUT_SPACE = """
import resource, signal, sys
from pathlib import Path
from warehouse.store import Store
store = Store.open(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    store.land_staging()
except Exception as error:
    print("stopped", type(error).__name__)
"""


@pytest.mark.parametrize("room", [4_096, 60_000, 300_000])
def test_T39_a_full_disk_stops_a_landing_and_loses_nothing(store: Store, tmp_path: Path, room: int) -> None:
    """A limit on file sizes stands in for a full disk. What was staged lands once there is space."""
    whole = Store.open(tmp_path / "whole" / "warehouse.duckdb")
    for number in range(30):
        stage(store, f"{number:02}")
        stage(whole, f"{number:02}")
    whole.land_staging()
    done = subprocess.run(
        [sys.executable, "-c", LAND_WITHOUT_SPACE, str(store.paths.warehouse), str(room)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    # Where the log still had room, the rows are committed there, and the next opening brings them into the file.
    is_stopped = done.stdout.startswith("stopped")
    assert is_stopped or room > 4_096
    assert len(list(store.paths.staging.rglob("*.arrow"))) == (30 if is_stopped else 0)
    store.land_staging()
    assert differences(store.paths.warehouse, whole.paths.warehouse) == []
    assert list(store.paths.staging.rglob("*.arrow")) == []
