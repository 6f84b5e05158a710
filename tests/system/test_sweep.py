"""The engineer's way: sweep, look, export, sweep again; each number is accounted for."""

from __future__ import annotations

import csv
import re
import shutil
import stat
from pathlib import Path

import duckdb
import pytest
from ovf_command import PRINTED
from support import conserved_levels, studies_of_truth

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, undisturbed: Path) -> Path:
    """Folder of one warehouse that the tests of this module share: a copy of what a sweep left."""
    return Path(shutil.copytree(undisturbed.parent, tmp_path_factory.mktemp("swept"), dirs_exist_ok=True))


def test_sweep_scores_and_accounts_for_everything(hospital: Path, swept: Path) -> None:
    printed = (swept / PRINTED).read_text()
    levels = conserved_levels(printed)
    n_files = sum(path.is_file() for path in (hospital / "archive").rglob("*"))
    assert levels["studies"]["found"] == len(studies_of_truth(hospital))
    assert levels["studies"]["scored"] > 0
    assert levels["files"]["found"] >= n_files  # members of zips count as files
    assert all(level["pending"] == level["failed"] == 0 for level in levels.values())
    assert "simulated scans only" in printed


def test_export_has_one_row_a_study(ovf, hospital: Path, swept: Path) -> None:
    out = swept / "scores.csv"
    ovf.inside("export", "scores", "--warehouse", swept / "w.duckdb", "--out", out)
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(studies_of_truth(hospital))
    scored = [row for row in rows if row["outcome"] == "scored"]
    assert scored
    assert all(0 <= float(row["probability"]) <= 1 for row in scored)
    assert all(row["reason"] for row in rows if row["outcome"] != "scored")
    assert "patient_id" not in rows[0]


def test_identified_export_names_the_patients_of_the_truth(ovf, hospital: Path, swept: Path) -> None:
    out = swept / "identified.csv"
    ovf.inside("export", "scores", "--warehouse", swept / "w.duckdb", "--out", out, "--identified")
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["accession_number"] for row in rows} == {
        row["accession_number"] for row in studies_of_truth(hospital)
    }


def test_second_sweep_does_nothing_and_starts_no_workers(ovf, hospital: Path, swept: Path) -> None:
    before = _scores(swept / "w.duckdb")
    done = ovf("sweep", hospital / "archive", "--warehouse", swept / "w.duckdb")
    assert "local workers" not in done.stderr
    assert _scores(swept / "w.duckdb") == before


def test_check_and_status_and_models(ovf, swept: Path) -> None:
    checked = ovf.inside("check", "--warehouse", swept / "w.duckdb")
    assert "NOT CONSERVED" not in checked.stdout
    status = ovf.inside("status", "--warehouse", swept / "w.duckdb")
    assert "finished" in status.stdout
    ovf.inside("model", "list")


def test_files_of_the_warehouse_are_the_owners_alone(swept: Path) -> None:
    open_files = [
        path
        for path in swept.rglob("*")
        if path.is_file() and path.suffix in {".duckdb", ".key", ".sqlite", ".jp2"}
    ]
    assert open_files
    for path in open_files:
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def test_T57_identifiers_stay_in_the_identity_file_and_the_index(ovf, hospital: Path, swept: Path) -> None:
    """PatientIDs, accession numbers and UIDs of the archive are in no file but the identity file and the index."""
    with duckdb.connect(str(swept / "identity.duckdb"), read_only=True) as connection:
        patients = connection.execute("SELECT patient_id FROM patient_identity").fetchall()
        studies = connection.execute(
            "SELECT study_instance_uid, accession_number FROM study_identity"
        ).fetchall()
    sentinels = {value for row in [*patients, *studies] for value in row if value}
    assert len(sentinels) > 4
    allowed = re.compile(r"identity\.duckdb|/index/|/identified\.csv")
    for path in swept.rglob("*"):
        if path.is_file() and not allowed.search(path.as_posix()):
            content = path.read_bytes()
            assert not [value for value in sentinels if value.encode() in content], path


@pytest.mark.long
def test_no_slabs_keeps_none_and_scores_the_same(ovf, hospital: Path, swept: Path, tmp_path: Path) -> None:
    ovf("sweep", hospital / "archive", "--warehouse", tmp_path / "w.duckdb", "--no-slabs")
    assert not list(tmp_path.rglob("*.jp2"))
    assert sorted(logit for _, logit in _scores(tmp_path / "w.duckdb")) == sorted(
        logit for _, logit in _scores(swept / "w.duckdb")
    )


def _scores(warehouse: Path) -> list[tuple[str, float]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute("SELECT series_key, logit FROM score ORDER BY series_key").fetchall()
