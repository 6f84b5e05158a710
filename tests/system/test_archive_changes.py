"""An archive lives: files come late, models change, patients opt out, disks fill. Nothing is lost or doubled."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from ovf_command import Command, save_untrained
from support import conserved_levels, warehouse_under_the_key_of

from phantom.hospital import make_hospital
from warehouse.compare import differences

pytestmark = pytest.mark.slow


@pytest.fixture
def archive(tmp_path: Path, small_hospital: Path) -> Path:
    """A copy of the smallest hospital's archive, to be changed."""
    return Path(shutil.copytree(small_hospital / "archive", tmp_path / "archive"))


@pytest.fixture(scope="module")
def small_hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "demo"
    make_hospital(folder, patients=2, seed=11, columns=128)
    return folder


@pytest.fixture(scope="module")
def small_warehouse(
    tmp_path_factory: pytest.TempPathFactory,
    environment: dict[str, str],
    untrained_model: Path,
    small_hospital: Path,
) -> Path:
    """The smallest hospital, swept once; tests work on copies."""
    folder = tmp_path_factory.mktemp("small-warehouse")
    command = Command({**environment, "OVF_MODEL": str(untrained_model)}, folder)
    command("sweep", small_hospital / "archive", "--warehouse", folder / "w.duckdb")
    return folder / "w.duckdb"


def _copy(warehouse: Path, folder: Path) -> Path:
    """A warehouse with all that lies beside it, to be written to."""
    return Path(shutil.copytree(warehouse.parent, folder, dirs_exist_ok=True)) / warehouse.name


def _query(warehouse: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _largest_folder(archive: Path) -> Path:
    folders = [path for path in archive.rglob("*") if path.is_dir()]
    return max(folders, key=lambda folder: sum(child.is_file() for child in folder.iterdir()))


@pytest.mark.long
def test_late_slice_makes_a_new_revision_and_keeps_the_history(ovf, archive: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    series = _largest_folder(archive)
    late = sorted(path for path in series.iterdir() if path.is_file())[-1]
    kept = tmp_path / "late-slice"
    shutil.move(late, kept)
    ovf("sweep", series, "--warehouse", warehouse)
    before = _query(warehouse, "SELECT count(*) FROM score")[0][0]
    shutil.move(kept, late)
    conserved_levels(ovf("sweep", series, "--warehouse", warehouse).stdout)
    assert _query(warehouse, "SELECT count(*) FROM score")[0][0] == before + 1
    assert _query(warehouse, "SELECT count(*) FROM current_score")[0][0] == before
    ovf.inside("check", "--warehouse", warehouse)


@pytest.mark.long
def test_other_model_scores_beside_the_first_and_export_asks_which(
    ovf, small_hospital: Path, small_warehouse: Path, tmp_path: Path
) -> None:
    archive, warehouse = small_hospital / "archive", _copy(small_warehouse, tmp_path)
    second = save_untrained(tmp_path / "second-model", "second", seed=1)
    ovf("sweep", archive, "--warehouse", warehouse, "--model", second)
    per_model = dict(_query(warehouse, "SELECT model_id, count(*) FROM current_score GROUP BY model_id"))
    assert per_model["untrained"] == per_model["second"] > 0
    refused = ovf.inside("export", "scores", "--warehouse", warehouse, "--out", "s.csv", expect=10)
    assert "--model" in refused.stderr
    ovf.inside("export", "scores", "--warehouse", warehouse, "--out", "s.csv", "--model", "second")


def test_requeued_decisions_are_made_again(
    ovf, small_hospital: Path, small_warehouse: Path, tmp_path: Path
) -> None:
    archive, warehouse = small_hospital / "archive", _copy(small_warehouse, tmp_path)
    decided = _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'")
    assert decided[0][0] > 0
    done = ovf("requeue", "--reason", "localizer", "--warehouse", warehouse)
    assert "decided again" in done.stdout
    assert _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'") == [(0,)]
    conserved_levels(ovf("sweep", archive, "--warehouse", warehouse).stdout)
    assert _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'") == decided
    ovf("requeue", "--reason", "no-such-reason", "--warehouse", warehouse, expect=10)


@pytest.mark.long
def test_forgotten_patient_stays_forgotten(
    ovf, small_hospital: Path, small_warehouse: Path, tmp_path: Path
) -> None:
    archive, warehouse = small_hospital / "archive", _copy(small_warehouse, tmp_path)
    patient = _query(
        warehouse.with_name("identity.duckdb"), "SELECT patient_id, patient_key FROM patient_identity"
    )[0]
    ovf("forget", "--patient-id", patient[0], "--yes", "--warehouse", warehouse)
    conserved_levels(ovf("sweep", archive, "--warehouse", warehouse).stdout)
    ovf.inside("check", "--warehouse", warehouse)
    assert _query(warehouse, f"SELECT count(*) FROM study WHERE patient_key = '{patient[1]}'") == [(0,)]
    for path in [*tmp_path.glob("*.duckdb"), *(tmp_path / "published").glob("*")]:
        assert str(patient[0]).encode() not in path.read_bytes(), path.name


def test_backup_restores(ovf, small_warehouse: Path, tmp_path: Path) -> None:
    warehouse, copy = _copy(small_warehouse, tmp_path / "w"), tmp_path / "copy"
    ovf("backup", copy, "--warehouse", warehouse)
    restored = next(copy.glob("w*.duckdb"))
    assert differences(warehouse, restored) == []
    ovf.inside("check", "--warehouse", restored)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tiny file system for the slabs")
def test_T39_full_disk_fails_cleanly_and_is_made_good(
    ovf, small_hospital: Path, small_warehouse: Path, tmp_path: Path
) -> None:
    archive, disturbed = (
        small_hospital / "archive",
        warehouse_under_the_key_of(small_warehouse, tmp_path / "w"),
    )
    slabs = disturbed.parent / "slabs"
    slabs.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", slabs], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a tiny file system")
    try:
        done = ovf("sweep", archive, "--warehouse", disturbed, expect=20)
        assert "sweep again" in done.stdout
        assert conserved_levels(done.stdout)["studies"]["failed"] > 0
    finally:
        subprocess.run(["umount", slabs], check=True)
    conserved_levels(ovf("sweep", archive, "--warehouse", disturbed).stdout)
    assert differences(small_warehouse, disturbed) == []
