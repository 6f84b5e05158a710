"""A Dask cluster that runs already: the same table, and a preflight that names what is wrong instead of hanging."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from distributed import LocalCluster
from support import warehouse_under_the_key_of

from warehouse.compare import differences

pytestmark = pytest.mark.slow


@contextmanager
def _cluster(**more: object) -> Iterator[str]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        silence_logs=50,
        **more,
    ) as cluster:
        yield cluster.scheduler_address


def test_other_cluster_gives_the_same_table(ovf, hospital: Path, undisturbed: Path, tmp_path: Path) -> None:
    remote = warehouse_under_the_key_of(undisturbed, tmp_path / "remote")
    with _cluster() as address:
        done = ovf("sweep", hospital / "archive", "--warehouse", remote, "--scheduler", address)
    assert "connected to 2 workers" in done.stderr
    assert differences(undisturbed, remote) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_T40_worker_that_declares_a_gpu_it_lacks_is_named(ovf, hospital: Path, tmp_path: Path) -> None:
    with _cluster(resources={"GPU": 1}) as address:
        done = ovf(
            "sweep",
            hospital / "archive",
            "--warehouse",
            tmp_path / "w.duckdb",
            "--scheduler",
            address,
            expect=10,
        )
    assert "worker 0" in done.stderr
    assert "CUDA" in done.stderr
