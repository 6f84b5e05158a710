"""A Dask cluster that runs already, without TLS: a preflight that names what is wrong (more: `test_tls_cluster`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from distributed import LocalCluster

pytestmark = pytest.mark.slow


@contextmanager
def _cluster(**more: object) -> Iterator[str]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=50,
        **more,
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.long
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
