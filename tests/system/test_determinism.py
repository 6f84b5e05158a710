"""The same archive gives the same scores whatever the number of workers, the size of shards, or the order of files."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import pytest
from support import warehouse_under_the_key_of

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_T53_workers_shards_names_and_order_of_files_change_no_score(
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    other = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    renamed = _renamed_copy(hospital / "archive", tmp_path / "renamed")
    ovf("sweep", renamed, "--warehouse", other, "--workers", 1, "--shard-size", 1)
    before, after = (_scores(ovf, warehouse, tmp_path) for warehouse in (undisturbed, other))
    assert before == after
    assert any(row["outcome"] == "scored" for row in before.values())


def _renamed_copy(archive: Path, target: Path) -> Path:
    """Every file under another name in another folder, so that a walk meets them in another order."""
    for path in sorted(p for p in archive.rglob("*") if p.is_file()):
        key = hashlib.sha256(path.relative_to(archive).as_posix().encode()).hexdigest()
        # A zip keeps its ending: it is how a reader of folders tells an archive from a file.
        copy = target / key[:2] / (key[2:14] + (".zip" if path.suffix == ".zip" else ""))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def _scores(ovf, warehouse: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Study key → its row of the export, to the last digit."""
    out = folder / "scores.csv"
    ovf("export", "scores", "--warehouse", warehouse, "--out", out)
    with out.open(encoding="utf-8", newline="") as stream:
        return {row["study_key"]: row for row in csv.DictReader(stream)}
