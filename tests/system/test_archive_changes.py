"""An archive lives: files come late, models change, patients opt out, disks fill. Nothing is lost or doubled."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from ovf_command import save_untrained
from support import conserved_levels, warehouse_under_the_key_of

from warehouse.compare import differences

pytestmark = pytest.mark.slow


@pytest.fixture
def archive(tmp_path: Path, hospital: Path) -> Path:
    """A copy of the hospital's archive, to be changed."""
    return Path(shutil.copytree(hospital / "archive", tmp_path / "archive"))


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
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    archive, warehouse = hospital / "archive", _copy(undisturbed, tmp_path)
    second = save_untrained(tmp_path / "second-model", "second", seed=1)
    ovf("sweep", archive, "--warehouse", warehouse, "--model", second)
    per_model = dict(_query(warehouse, "SELECT model_id, count(*) FROM current_score GROUP BY model_id"))
    assert per_model["untrained"] == per_model["second"] > 0
    refused = ovf.inside("export", "scores", "--warehouse", warehouse, "--out", "s.csv", expect=10)
    assert "--model" in refused.stderr
    ovf.inside("export", "scores", "--warehouse", warehouse, "--out", "s.csv", "--model", "second")


def test_requeued_decisions_are_made_again(ovf, hospital: Path, undisturbed: Path, tmp_path: Path) -> None:
    archive, warehouse = hospital / "archive", _copy(undisturbed, tmp_path)
    decided = _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'")
    assert decided[0][0] > 0
    done = ovf.inside("requeue", "--reason", "localizer", "--warehouse", warehouse)
    assert "decided again" in done.stdout
    assert _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'") == [(0,)]
    conserved_levels(ovf("sweep", archive, "--warehouse", warehouse).stdout)
    assert _query(warehouse, "SELECT count(*) FROM selection WHERE reason = 'localizer'") == decided
    ovf.inside("requeue", "--reason", "no-such-reason", "--warehouse", warehouse, expect=10)


@pytest.mark.long
def test_forgotten_patient_stays_forgotten(ovf, hospital: Path, undisturbed: Path, tmp_path: Path) -> None:
    archive, warehouse = hospital / "archive", _copy(undisturbed, tmp_path)
    patient = _query(
        warehouse.with_name("identity.duckdb"), "SELECT patient_id, patient_key FROM patient_identity"
    )[0]
    ovf.inside("forget", "--patient-id", patient[0], "--yes", "--warehouse", warehouse)
    conserved_levels(ovf("sweep", archive, "--warehouse", warehouse).stdout)
    ovf.inside("check", "--warehouse", warehouse)
    assert _query(warehouse, f"SELECT count(*) FROM study WHERE patient_key = '{patient[1]}'") == [(0,)]
    for path in [*tmp_path.glob("*.duckdb"), *(tmp_path / "published").glob("*")]:
        assert str(patient[0]).encode() not in path.read_bytes(), path.name


def test_backup_restores(ovf, undisturbed: Path, tmp_path: Path) -> None:
    warehouse, copy = _copy(undisturbed, tmp_path / "w"), tmp_path / "copy"
    ovf.inside("backup", copy, "--warehouse", warehouse)
    restored = next(copy.glob("w*.duckdb"))
    assert differences(warehouse, restored) == []
    ovf.inside("check", "--warehouse", restored)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tiny file system for the slabs")
def test_T39_full_disk_fails_cleanly_and_is_made_good(
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    archive, disturbed = (
        hospital / "archive",
        warehouse_under_the_key_of(undisturbed, tmp_path / "w"),
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
    assert differences(undisturbed, disturbed) == []
