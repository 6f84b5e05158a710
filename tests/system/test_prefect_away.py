"""A Prefect server that is not there, or ends in the middle: the ledger is the truth, nothing is lost or doubled."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support import warehouse_under_the_key_of

from warehouse.compare import differences

pytestmark = pytest.mark.slow

NOBODY_LISTENS = "http://127.0.0.1:9/api"  # discard: no Prefect answers on this port


def test_T54_no_prefect_server_at_start_ends_with_10(ovf, hospital: Path, tmp_path: Path) -> None:
    away = replace(ovf, environment={**ovf.environment, "PREFECT_API_URL": NOBODY_LISTENS})
    done = away("sweep", hospital / "archive", "--warehouse", tmp_path / "w.duckdb", expect=10)
    assert "PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_T54_prefect_server_killed_in_the_middle_costs_nothing(
    ovf, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    disturbed = warehouse_under_the_key_of(undisturbed, tmp_path / "other")
    environment = {k: v for k, v in ovf.environment.items() if k != "PREFECT_API_URL"}
    alone = replace(ovf, environment=environment)  # starts a server of its own
    sweep = ("sweep", hospital / "archive", "--warehouse", disturbed, "--shard-size", 1)
    with alone.started(*sweep) as process:
        _wait_for_shards(disturbed)
        _server_of(process.pid).kill()
        assert process.wait(timeout=280) == 0  # it is started again
    assert differences(undisturbed, disturbed) == []


def _server_of(pid: int) -> psutil.Process:
    return next(p for p in psutil.Process(pid).children() if "prefect.server" in " ".join(p.cmdline()))


def _wait_for_shards(warehouse: Path) -> None:
    """Until the first slab is written, so that work is under way."""
    deadline = time.monotonic() + 120
    while not list(warehouse.parent.rglob("*.jp2")):
        assert time.monotonic() < deadline, "no work began"
        time.sleep(0.1)
