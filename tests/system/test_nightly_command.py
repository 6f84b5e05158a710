"""Nights of a small archive through the command: left over, late, corrected, damaged, and a canary that stops."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import duckdb
import pytest
from ovf_command import Command, save_untrained
from support import conserved_levels

from flows.settings import read_settings
from flows.sweep import begin_scoring, crawl_waves, opened_sweep
from flows.sweep_end import finish
from phantom.anatomy import draw_patient
from phantom.dicom import write_ct_series
from phantom.volume import average_slices, render_volume

pytestmark = pytest.mark.slow


def _write_study(folder: Path, number: int) -> list[Path]:
    patient = draw_patient(number, coverage="chest")
    volume = average_slices(render_volume(patient, columns=96, coverage="chest", seed=number), 2)
    return write_ct_series(
        folder,
        volume.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=volume.origin_xyz_mm,
        seed=f"night {number}",
        tags={"PatientID": f"SENTINEL-{number}", "SliceThickness": f"{volume.spacing_mm[0]:.3f}"},
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights") / "archive"
    _write_study(folder / "first", 1)
    (folder / "poison.dcm").write_bytes((folder / "first" / "IM0001").read_bytes()[:400])
    return folder


@pytest.fixture(scope="module")
def warehouse(archive: Path) -> Path:
    return archive.parent / "w" / "w.duckdb"


def _rows(warehouse: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _night(ovf: Command, archive: Path, warehouse: Path, *more: object, expect: int = 0) -> str:
    arguments = ("nightly", archive, "--warehouse", warehouse, "--workers", 1, "--timezone", "Asia/Shanghai")
    done = ovf(*arguments, *more, expect=expect)
    return done.stdout if expect == 0 else done.stderr


def test_what_a_closed_window_leaves_is_pending(
    archive: Path, warehouse: Path, untrained_model: Path
) -> None:
    settings = read_settings(
        warehouse=warehouse, model=str(untrained_model), progress="none", workers=1, stable_s=0
    )
    with opened_sweep(str(archive), settings) as (context, dispatcher):
        dispatcher.is_window_over = lambda: True
        list(crawl_waves(context, dispatcher))
        begin_scoring(dispatcher)
        dispatcher.take_settled(dispatcher.index.settled_studies(None))
        dispatcher.drain()
        finish(context, dispatcher)
    assert dispatcher.n_left == 1
    assert _rows(warehouse, "SELECT outcome FROM study_outcome") == [("pending",)]


def test_first_night_takes_up_what_was_left_and_tells_what_is_damaged(
    ovf: Command, archive: Path, warehouse: Path
) -> None:
    told = _night(ovf, archive, warehouse)
    conserved_levels(told)
    assert "0 new studies, 0 changed, 1 left over" in told
    assert "Scored tonight: 1" in told
    assert "canary was enrolled" in told
    page = (warehouse.parent / "nights" / "index.html").read_text()
    assert "Damaged: new" in page
    assert "SENTINEL" not in page
    assert len(_rows(warehouse, "SELECT * FROM canary")) == 4
    assert _rows(warehouse, "SELECT count(*) FROM watermark") == [(1,)]


@pytest.mark.long
def test_T49_second_night_finds_only_what_is_new_and_a_correction_supersedes(
    ovf: Command, archive: Path, warehouse: Path
) -> None:
    before = _rows(warehouse, "SELECT arrived_until FROM watermark")
    _write_study(archive / "second", 4)  # the second patient is cut at the sides: not evaluable
    corrected = archive / "first" / "IM0010"
    corrected.write_bytes(corrected.read_bytes()[:-400] + bytes(400))
    told = _night(ovf, archive, warehouse)
    conserved_levels(told)
    assert "1 new studies, 1 changed, 0 left over" in told
    assert "Scored tonight: 2" in told
    assert _rows(warehouse, "SELECT count(*) FROM score") == [(3,)]  # history is kept
    assert _rows(warehouse, "SELECT count(*) FROM current_score") == [(2,)]
    assert _rows(warehouse, "SELECT n_scored, canary_difference < 1 FROM night ORDER BY arrived_until") == [
        (1, True),
        (2, True),
    ]
    assert _rows(warehouse, "SELECT arrived_until FROM watermark") > before
    page = (warehouse.parent / "nights" / "index.html").read_text()
    assert "1 of them supersede" in page
    assert "Damaged" not in page  # T62: told last night, so quiet for a week
    assert "1 known damaged" in page


@pytest.mark.long  # tests/integration/test_canary.py asks the same without the command
def test_T51_another_model_stops_the_night_before_it_writes(
    ovf: Command, archive: Path, warehouse: Path, tmp_path: Path
) -> None:
    state = json.loads(warehouse.with_suffix(".ledger.json").read_text())
    other = save_untrained(tmp_path / "other", "untrained", seed=1)
    told = _night(ovf, archive, warehouse, "--model", other, expect=14)
    assert "nothing was written" in told
    assert json.loads(warehouse.with_suffix(".ledger.json").read_text()) == state
    assert "stopped before writing" in (warehouse.parent / "nights" / "index.html").read_text()


def test_outside_its_window_a_night_does_nothing(ovf: Command, archive: Path, tmp_path: Path) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    window = f"{later:%H:%M}-{later + dt.timedelta(hours=1):%H:%M}"
    told = _night(ovf, archive, tmp_path / "w.duckdb", "--window", window, "--timezone", "UTC", expect=10)
    assert "outside the night's window" in told
    assert not (tmp_path / "w.duckdb").exists()
