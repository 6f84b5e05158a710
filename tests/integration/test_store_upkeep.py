"""What an operator does to a warehouse: back it up, restore it, migrate it, forget a patient."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
import warehouse_rows as rows
from stores import copied

from tasks.identity import load_key, load_or_create_key
from warehouse import records, schema
from warehouse.checks import run_checks
from warehouse.compare import differences
from warehouse.errors import IdentityMissing, UnknownPatient, WarehouseDamaged, WarehouseMissing, WrongSchema
from warehouse.landing import LandingBatch, write_staging
from warehouse.queries import query
from warehouse.store import Store


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two studies of one patient and one of another; crawled, scored, published. Copied, never changed."""
    store = Store.open(tmp_path_factory.mktemp("swept") / "warehouse.duckdb", wait_s=5.0)
    load_or_create_key(store.paths.key)
    batch = LandingBatch(runs=[rows.run()], archives=[rows.archive(n_files=60, n_studies=3, n_series=6)])
    for name, patient in (("a", "p"), ("b", "p"), ("c", "q")):
        batch.extend(rows.one_scored_study(name, patient=patient))
    store.land(batch)
    store.publish()
    return store


@pytest.fixture
def store(swept: Store, tmp_path: Path) -> Store:
    return copied(swept, tmp_path / "w")


def exported(store: Store) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return connection.execute(query("export_scores"), {"model_digest": None}).fetchall()


def failed_checks(store: Store) -> list[str]:
    with store.read_live() as connection:
        return [f"{result.name}: {result.examples}" for result in run_checks(connection) if not result.passed]


# --- backup


def test_a_backup_opens_as_a_warehouse(store: Store, tmp_path: Path) -> None:
    target = store.backup(tmp_path / "backup")
    restored = Store.open(target / "warehouse.duckdb", create=False)
    assert differences(store.paths.warehouse, restored.paths.warehouse) == []
    assert load_key(restored.paths.key) == load_key(store.paths.key)
    restored.publish()
    with restored.read_identified() as connection:
        found = connection.execute(query("export_scores_identified"), {"model_digest": None}).fetchall()
    assert {row[-4] for row in found} == {"PID-p", "PID-q"}
    assert json.loads((target / "backup.json").read_text())["n_rows"]["score"] == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in target.glob("*.*"))


def test_T44_the_restore_drill(store: Store, tmp_path: Path) -> None:
    """A backup goes back, with its ledger, and the landings since then simply land again."""
    target = store.backup(tmp_path / "backup")
    later = rows.one_scored_study("d")
    store.land(later)
    for name in ("warehouse.duckdb", "warehouse.ledger.json", "identity.duckdb"):
        (store.paths.directory / name).write_bytes((target / name).read_bytes())
    assert store.land(later).new_rows("score") == 1


def test_a_backup_does_not_overwrite(store: Store, tmp_path: Path) -> None:
    store.backup(tmp_path / "backup")
    with pytest.raises(FileExistsError):
        store.backup(tmp_path / "backup")


def test_a_damaged_warehouse_is_not_backed_up(store: Store, tmp_path: Path) -> None:
    with duckdb.connect(store.paths.warehouse) as connection:
        connection.execute("DELETE FROM score").fetchall()
    with pytest.raises(WarehouseDamaged):
        store.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


# --- migrate


def test_T60_an_older_warehouse_is_migrated_and_a_copy_kept(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    for file in (path, tmp_path / "identity.duckdb"):
        duckdb.connect(file).close()
    (tmp_path / "published").mkdir()
    shutil.copy(path, tmp_path / "published")
    with pytest.raises(WrongSchema, match="run `ovf migrate`"):
        Store.open(path, create=False)
    steps = [*schema.IDENTITY.migrations, *schema.WAREHOUSE.migrations]
    assert Store.migrate(path) == [step.name for step in steps]
    Store.open(path, create=False).read().close()  # the copy of the readers as well
    assert Store.migrate(path) == []
    assert Store.open(path, create=False).land(rows.one_scored_study()).new_rows("score") == 1
    assert sorted(file.name for file in tmp_path.glob("*.schema0.duckdb")) == [
        "identity.schema0.duckdb",
        "warehouse.schema0.duckdb",
    ]


def test_T60_a_newer_warehouse_is_left_alone(store: Store) -> None:
    with store.write() as connection:
        connection.execute("UPDATE schema_migration SET version = 99")
    before = store.paths.warehouse.read_bytes()
    with pytest.raises(WrongSchema, match="newer version"):
        Store.migrate(store.paths.warehouse)
    assert store.paths.warehouse.read_bytes() == before


def test_a_migration_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(WarehouseMissing):
        Store.migrate(tmp_path / "warehouse.duckdb")


def test_a_migration_that_fails_leaves_the_version_before_it() -> None:
    broken = schema.Migration(
        1, "0001_broken.sql", "CREATE TABLE a (x BIGINT); CREATE TABLE b (y NO_SUCH_TYPE);"
    )
    with duckdb.connect() as connection:
        with pytest.raises(duckdb.Error):
            schema._apply(connection, broken)
        assert schema.version_of(connection) == 0
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []


# --- forget


def files_with(folder: Path, text: str) -> list[str]:
    return sorted(
        path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
    )


def test_T57_a_forgotten_patient_is_in_no_file(store: Store) -> None:
    assert "identity.duckdb" in files_with(store.paths.directory, "PID-p")
    erased = store.forget(patient_id="PID-p")
    assert erased.patient_keys == ("patient-p",)
    assert erased.study_keys == ("study-a", "study-b")
    assert erased.study_instance_uids == ("1.2.3.a", "1.2.3.b")
    assert [slab.series_key for slab in erased.slabs] == ["series-a-0", "series-b-0"]
    assert files_with(store.paths.directory, "PID-p") == []
    assert files_with(store.paths.directory, "1.2.3.a") == []
    assert "identity.duckdb" in files_with(store.paths.directory, "PID-q")
    assert not store.paths.previous.exists()


def test_a_study_that_has_left_the_archive_is_forgotten_too(store: Store) -> None:
    with store.write() as connection:
        connection.execute("DELETE FROM study WHERE study_key = 'study-a'").fetchall()
        connection.execute("DELETE FROM selection WHERE study_key = 'study-a'").fetchall()
    erased = store.forget(patient_id="PID-p")
    assert erased.study_keys == ("study-a", "study-b")
    assert [slab.series_key for slab in erased.slabs] == ["series-a-0", "series-b-0"]
    assert files_with(store.paths.directory, "1.2.3.a") == []
    with store.read_live() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(1,)]


def test_an_identity_file_that_is_gone_is_not_made_anew(store: Store) -> None:
    away = store.paths.identity.rename(store.paths.identity.with_suffix(".away"))
    with pytest.raises(IdentityMissing, match="put it back"):
        store.land(rows.one_scored_study("d", patient="q"))
    with pytest.raises(IdentityMissing):
        Store.migrate(store.paths.warehouse)
    assert not store.paths.identity.exists()
    away.rename(store.paths.identity)
    store.land(rows.one_scored_study("d", patient="q"))


def test_what_stays_of_a_forgotten_patient_is_the_count(store: Store) -> None:
    store.forget(patient_key="patient-p")
    found = exported(store)
    assert [(row[1], row[3], row[4], row[5], row[9], row[10], row[14]) for row in found[:2]] == [
        (None, None, None, None, "excluded", "opted_out", None)
    ] * 2
    assert found[2][9] == "scored"
    assert failed_checks(store) == []


def test_a_forgotten_patient_does_not_come_back(store: Store) -> None:
    """Not with a new sweep, not with a new study, not from what a killed run had staged."""
    store.forget(patient_id="PID-p")
    again = rows.one_scored_study("a", patient="p")
    again.extend(rows.one_scored_study("new", patient="p"))
    write_staging(store.paths.staging / "old-run" / "shard.arrow", again)
    store.land_staging()
    store.publish()
    assert files_with(store.paths.directory, "PID-p") == []
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(1,)]
        gone = "SELECT count(*) FROM study WHERE patient_key = 'patient-p'"
        assert connection.execute(gone).fetchall() == [(0,)]
        outcomes = "SELECT outcome, reason, count(*) FROM study_outcome GROUP BY ALL ORDER BY ALL"
        assert connection.execute(outcomes).fetchall() == [("excluded", "opted_out", 3), ("scored", None, 1)]
    # a shard that brings nothing but a score, and an identity alone
    store.land(LandingBatch(scores=[rows.score("series-new-0")]))
    store.land(
        LandingBatch(patient_identities=[records.PatientIdentity("patient-p", "north", "PID-p", None)])
    )
    assert files_with(store.paths.directory, "PID-p") == []
    with store.read_live() as connection:
        assert connection.execute("SELECT count(*) FROM score").fetchall() == [(1,)]


def test_forgetting_again_is_fine(store: Store) -> None:
    store.forget(patient_key="patient-p")
    assert store.forget(patient_key="patient-p").study_keys == ()
    assert store.forgotten().patients == {"patient-p"}
    series = ("series-a-0", "series-a-1", "series-b-0", "series-b-1")
    assert store.forgotten().series == {f"{key}:r1" for key in series}


def of_shared_series() -> LandingBatch:
    """A study of patient q whose series has the UID of one of patient p's study a; its instances are others."""
    return LandingBatch(
        archives=[rows.archive(n_files=70, n_studies=4, n_series=7)],
        studies=[rows.study("study-e", patient_key="patient-q")],
        series=[rows.series("series-a-0", "study-e", revision="r2")],
        selections=[rows.selection("series-a-0", "study-e", series_revision="r2")],
        slabs=[rows.slab("series-a-0", revision="r2")],
        scores=[rows.score("series-a-0", revision="r2", logit=2.0)],
        study_identities=[records.StudyIdentity("study-e", "patient-q", "1.2.3.e", None)],
    )


def test_a_series_uid_of_two_patients_goes_with_neither_for_the_other(store: Store) -> None:
    """A broken archive: the scan of the one who stays keeps its slab and score, now and in the next sweep."""
    store.land(of_shared_series())
    erased = store.forget(patient_id="PID-p")
    assert ("series-a-0", "r1") in erased.series
    assert ("series-a-0", "r2") not in erased.series
    assert store.land(of_shared_series()).new_rows("score") == 0
    store.land(LandingBatch(scores=[rows.score("series-a-0")]))  # a late one of the erased patient
    with store.read_live() as connection:
        found = connection.execute("SELECT series_revision, logit FROM score WHERE series_key = 'series-a-0'")
        assert found.fetchall() == [("r2", 2.0)]
        slabs = connection.execute("SELECT series_revision FROM slab WHERE series_key = 'series-a-0'")
        assert slabs.fetchall() == [("r2",)]
    with store.read_live_identified() as connection:
        named = connection.execute(
            "SELECT study_key FROM identity.series_identity WHERE series_key = 'series-a-0'"
        ).fetchall()
    assert named == [("study-e",)]
    assert failed_checks(store) == []


def test_tombstones_of_series_from_before_revisions_counted_are_taken_over(store: Store) -> None:
    store.land(of_shared_series())
    store.forget(patient_id="PID-p")
    step = next(step for step in schema.WAREHOUSE.migrations if step.name == "0012_erased_series.sql")
    with store.write() as connection:
        before = connection.execute("SELECT kind, key FROM forgotten ORDER BY ALL").fetchall()
        connection.execute(
            "UPDATE forgotten SET key = split_part(key, ':', 1) WHERE kind = 'series'"
        ).fetchall()
        connection.execute(step.sql)
        assert connection.execute("SELECT kind, key FROM forgotten ORDER BY ALL").fetchall() == before


def test_a_patient_can_opt_out_in_advance(store: Store) -> None:
    store.forget(patient_key="patient-z")
    store.land(rows.one_scored_study("z"))
    assert files_with(store.paths.directory, "PID-z") == []


def test_an_unknown_patient_is_an_error_and_not_silence(store: Store) -> None:
    with pytest.raises(UnknownPatient):
        store.forget(patient_id="PID-nobody")
    with pytest.raises(UnknownPatient):
        store.forget(patient_id="PID-p", issuer="another issuer")
    with pytest.raises(ValueError, match="either"):
        store.forget()
