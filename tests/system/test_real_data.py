"""Real CTs and odd DICOM objects: what can be scored is scored, everything else has a reason."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from support import conserved_levels

pytestmark = pytest.mark.slow


def test_real_archive_is_swept_with_a_reason_for_everything(ovf, real_data: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    done = ovf("sweep", real_data, "--warehouse", warehouse)
    levels = conserved_levels(done.stdout)
    assert levels["files"]["found"] == sum(path.is_file() for path in real_data.rglob("*"))
    assert levels["studies"]["failed"] == levels["studies"]["pending"] == 0
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        scored = connection.execute(
            "SELECT plane, manufacturer, n_instances FROM series JOIN score USING (series_key, series_revision)"
        ).fetchall()
        unexplained = connection.execute(
            "SELECT count(*) FROM series_outcome WHERE outcome <> 'scored' AND (reason IS NULL OR message IS NULL)"
        ).fetchall()
    volumes = sorted(n for plane, _, n in scored if plane == "axial")
    assert volumes == [99, 100]  # the two CT volumes
    assert sum(plane == "sagittal" for plane, _, _ in scored) == 10  # five patients, two dates each
    assert unexplained == [(0,)]
    ovf("check", "--warehouse", warehouse)
