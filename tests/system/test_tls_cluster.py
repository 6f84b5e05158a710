"""A cluster as hospitals have one: scheduler and workers of their own under TLS, disturbed while a sweep runs."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dask_processes import DaskProcesses, dask_processes, make_certificates
from distributed import LocalCluster
from support import conserved_levels, warehouse_under_the_key_of

from flows.cluster import Cluster
from flows.errors import Exit, PreflightError, SettingsError, exit_code_of
from flows.settings import read_settings
from flows.tls import certificates_for, knock
from models.registry import describe_model
from warehouse.compare import differences

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "models", "warehouse", "estimates", "reports", "phantom")
FILES = {"tls_ca": "ca.pem", "tls_cert": "client.pem", "tls_key": "client.key"}
PATIENCE_S = 15
GPU = ("--resources", "GPU=1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A scheduler and a worker that decodes."""
    with dask_processes(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.start_worker("cpu-1")
        cluster.wait_for("cpu-1")
        yield cluster


def test_unfit_workers_are_listed_and_end_with_10(
    cluster: DaskProcesses, untrained_model: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "unfit"
    shared.mkdir()
    other = _changed_copy_of_the_code(tmp_path / "code")
    cluster.start_worker("other-code", PYTHONPATH=str(other))
    # In a mount namespace of its own, an empty folder lies over the shared one.
    hide = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    cluster.start_worker("no-storage", under=("unshare", "-rm", "sh", "-c", hide, str(shared)))
    cluster.keep("cpu-1", "other-code", "no-storage")

    tls = {name: cluster.folder / file for name, file in FILES.items()}
    settings = read_settings(scheduler=cluster.address, gpu="required", progress="none", **tls)
    digest = describe_model(untrained_model).digest
    sweep = Cluster(settings, shared, str(untrained_model), digest, str(tmp_path), shared / "slabs")
    with contextlib.closing(sweep), pytest.raises(PreflightError) as caught:
        sweep.pool()
    assert exit_code_of(caught.value) is Exit.SETTINGS
    assert not list(shared.glob("preflight-*"))

    lines = str(caught.value).splitlines()[1:]
    with cluster.client() as client:
        address = cluster.workers(client)
    of = {name: [line for line in lines if address[name] in line] for name in address}
    assert not of["cpu-1"]
    assert "runs other code" in of["other-code"][0]
    assert "shared storage" in of["no-storage"][0]
    assert (
        lines[-1]
        == "  none of 3 workers declares GPU=1: start one with `--resources GPU=1`, or take --gpu auto"
    )
    assert len(lines) == 3


@pytest.mark.long
@pytest.mark.timeout(600)
def test_T40_T55_disturbed_cluster_gives_the_undisturbed_table(
    ovf, cluster: DaskProcesses, hospital: Path, undisturbed: Path, tmp_path: Path
) -> None:
    remote = warehouse_under_the_key_of(undisturbed, tmp_path / "remote")
    ovf = replace(ovf, environment={**ovf.environment, **cluster.environment})
    impatient = replace(ovf, environment={**ovf.environment, "OVF_WORKER_WAIT_S": str(PATIENCE_S)})
    # Paths of the driver's own folder: the workers have others.
    sweep = ["sweep", hospital / "archive", "--warehouse", "remote/w.duckdb", "--slabs", "remote/slabs"]
    sweep += ["--scheduler", cluster.address, "--gpu", "label", "--shard-size", "1"]

    # The only worker that may score dies, and nobody replaces it.
    cluster.start_worker("gpu-1", *GPU)
    cluster.keep("cpu-1", "gpu-1")
    log = tmp_path / "first.log"
    with impatient.started(*sweep, log=log) as first:
        _wait_for(lambda: _slabs(remote))
        cluster.kill("gpu-1")
        assert first.wait(timeout=280) == 10, log.read_text()
    assert f"no worker with GPU=1 for {PATIENCE_S} s" in log.read_text()

    # The next sweep goes on. Its decoding worker dies, another joins, and then the scheduler is started anew.
    cluster.start_worker("gpu-2", *GPU)
    cluster.keep("cpu-1", "gpu-2")
    log = tmp_path / "second.log"
    n_slabs = len(_slabs(remote))
    with ovf.started(*sweep, log=log) as second:
        _wait_for(lambda: "connected to 2 workers" in log.read_text())
        cluster.start_worker("cpu-2")
        cluster.kill("cpu-1")
        _wait_for(lambda: len(_slabs(remote)) > n_slabs)
        for name in ("scheduler", "cpu-2", "gpu-2"):
            cluster.kill(name)
        cluster.start_scheduler()
        cluster.start_worker("cpu-3")
        cluster.start_worker("gpu-3", *GPU)
        assert second.wait(timeout=280) == 0, log.read_text()
    assert "connected again" in log.read_text()
    conserved_levels(log.read_text())
    assert differences(undisturbed, remote) == []
    with cluster.client() as client:
        addresses = cluster.workers(client)
        given = client.run(
            lambda dask_worker: [str(e[0]) for e in dask_worker.state.log if e[1] == "compute-task"]
        )
    scored = {name: [key for key in given[address] if "score-" in key] for name, address in addresses.items()}
    assert scored["gpu-3"]
    assert len(set(scored["gpu-3"])) == len(scored["gpu-3"])
    assert not scored["cpu-3"]


def test_address_and_certificates_that_do_not_fit_are_named_at_once(
    cluster: DaskProcesses, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "strangers")
    ours = {name: cluster.folder / f"{file}" for name, file in FILES.items()}
    theirs = {name: tmp_path / "strangers" / f"{file}" for name, file in FILES.items()}
    knock(cluster.address, certificates_for(cluster.address, **ours))  # fits

    plain = cluster.address.replace("tls://", "tcp://")
    with pytest.raises(PreflightError, match="write tls://"):
        knock(plain, certificates_for(plain, None, None, None))
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as local:
        address = local.scheduler_address.replace("tcp://", "tls://")
        with pytest.raises(PreflightError, match="speaks no TLS"):
            knock(address, certificates_for(address, **ours))
    with pytest.raises(PreflightError, match="is --tls-ca the authority"):
        knock(cluster.address, certificates_for(cluster.address, **theirs))
    with pytest.raises(PreflightError, match="refuses our certificate"):
        knock(cluster.address, certificates_for(cluster.address, **{**theirs, "tls_ca": ours["tls_ca"]}))
    with pytest.raises(SettingsError, match="tls_cert, tls_key"):
        knock(cluster.address, certificates_for(cluster.address, **{**ours, "tls_key": theirs["tls_key"]}))
    with pytest.raises(SettingsError, match="tls_ca"):
        knock(cluster.address, certificates_for(cluster.address, **{**ours, "tls_ca": tmp_path / "no.pem"}))
    with pytest.raises(SettingsError, match="tls_ca is missing"):
        certificates_for(cluster.address, None, None, None)
    with pytest.raises(SettingsError, match="not be encrypted"):
        certificates_for(plain, **ours)


def _changed_copy_of_the_code(target: Path) -> Path:
    """All rooms, with one line more in one file. The weights, which are large, stay where they are."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (target / "models" / "weights").symlink_to(ROOT / "models" / "weights")
    with (target / "tasks" / "slab.py").open("a", encoding="utf-8") as source:
        source.write("# one line more\n")
    return target


def _slabs(warehouse: Path) -> list[Path]:
    return list((warehouse.parent / "slabs").rglob("*.jp2"))


def _wait_for(condition, timeout_s: float = 280) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
