"""Killed at any moment, the next sweep ends with the table of an undisturbed one, and no process stays behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from support import conserved_levels, warehouse_under_the_key_of

from phantom.hospital import make_hospital
from warehouse.compare import differences

pytestmark = pytest.mark.slow

CHAOS_SWEEP_S = 3600


def test_T41_killed_sweep_ends_like_an_undisturbed_one(
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disturbed = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    for wait_s in (6.0, 14.0):
        _kill_after(ovf, _sweep(hospital, disturbed), wait_s)
    last = ovf(*_sweep(hospital, disturbed))
    conserved_levels(last.stdout)
    assert differences(undisturbed, disturbed) == []
    assert not list((disturbed.parent / "staging").rglob("*.arrow"))


def test_T40_killed_worker_costs_nothing(ovf, hospital: Path, undisturbed: Path, tmp_path: Path) -> None:
    disturbed = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    log = tmp_path / "sweep.log"
    with ovf.started(*_sweep(hospital, disturbed, "--shard-size", 1), log=log) as sweep:
        worker = _wait_for_worker(sweep, log)
        time.sleep(2)
        worker.kill()
        assert sweep.wait(timeout=280) == 0
    assert differences(undisturbed, disturbed) == []


@pytest.mark.long
def test_T55_worker_that_dies_late_has_no_finished_shard_done_again(
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disturbed = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    n_slabs = len(_slabs(undisturbed))
    log = tmp_path / "sweep.log"
    with ovf.started(*_sweep(hospital, disturbed, "--shard-size", 1, "--workers", 1), log=log) as sweep:
        worker = _wait_for_worker(sweep, log)
        _wait_for(lambda: len(_slabs(disturbed)) >= n_slabs - 1)
        done = _slabs(disturbed)
        worker.kill()
        assert sweep.wait(timeout=280) == 0
    # Everything but the shard that was at work (its slab may be the newest) is the file it was.
    again = [path for path, written in done.items() if _slabs(disturbed)[path] != written]
    assert len(again) <= 1
    assert differences(undisturbed, disturbed) == []


@pytest.mark.long
def test_T42_second_sweep_of_one_archive_is_refused(ovf, hospital: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w" / "w.duckdb"
    with ovf.started(*_sweep(hospital, warehouse)) as first:
        _wait_for(lambda: any((warehouse.parent / "runs").glob("*.json")))
        second = ovf(*_sweep(hospital, warehouse), expect=12)
        assert str(first.pid) in second.stderr
        during = ovf.inside("status", "--warehouse", warehouse)
        assert str(first.pid) in during.stdout
        assert first.wait(timeout=280) == 0
    ovf(*_sweep(hospital, warehouse))  # the lease is free again


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_T41_ten_random_kills_over_a_hundred_studies(ovf, tmp_path: Path) -> None:
    """`make chaos`; CHAOS_SEED=... repeats a run, CHAOS_PATIENTS=... makes it shorter."""
    seed = int(os.environ.get("CHAOS_SEED", time.time()))
    patients = int(os.environ.get("CHAOS_PATIENTS", "95"))  # some have two studies: 106 with seed 445
    print(f"CHAOS_SEED={seed} CHAOS_PATIENTS={patients}")
    rng = random.Random(seed)
    hospital = tmp_path / "hospital"
    make_hospital(hospital, patients=patients, seed=seed % 1000)
    undisturbed = tmp_path / "one" / "w.duckdb"
    ovf(*_sweep(hospital, undisturbed), timeout_s=CHAOS_SWEEP_S)
    disturbed = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    for _ in range(10):
        _kill_after(ovf, _sweep(hospital, disturbed, "--shard-size", 4), rng.uniform(2, 45))
    ovf(*_sweep(hospital, disturbed, "--shard-size", 4), timeout_s=CHAOS_SWEEP_S)
    assert differences(undisturbed, disturbed) == []


def _sweep(hospital: Path, warehouse: Path, *more: object) -> list[object]:
    return ["sweep", hospital / "archive", "--warehouse", warehouse, "--workers", 2, *more]


def _kill_after(ovf, arguments: list[object], wait_s: float) -> None:
    """kill -9 of the command alone: its helpers must notice by themselves."""
    with ovf.started(*arguments) as process:
        try:
            process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


def _slabs(warehouse: Path) -> dict[str, int]:
    """Every slab kept beside a warehouse and when it was written."""
    folder = warehouse.parent / "slabs"
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*.jp2")}


def _wait_for(condition, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def _wait_for_worker(sweep: subprocess.Popen[bytes], log: Path) -> psutil.Process:
    """A Dask worker of the command: a child that multiprocessing spawned and that has begun to decode."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        assert sweep.poll() is None, f"the sweep ended before a worker was seen: {log.read_text()[-3000:]}"
        for child in psutil.Process(sweep.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # short-lived helpers end while we look
                if "tasks.sandbox" in " ".join(child.cmdline()):
                    found.append(child.parent() or child)
                    return True
        return False

    _wait_for(is_there)
    return found[0]
