"""A Dask scheduler and workers as processes of their own under TLS, as a cluster has them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.security import Security

SCRIPT = Path(__file__).parents[2] / "scripts" / "cluster-certificates.sh"
UP_WITHIN_S = 120
NO_PAGES = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


@dataclass
class DaskProcesses:
    """One scheduler address. `folder` holds certificates (`make_certificates`), logs and the workers' scratch."""

    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What `ovf` reads its certificates from."""
        pair = {"OVF_TLS_CERT": f"{self.folder}/client.pem", "OVF_TLS_KEY": f"{self.folder}/client.key"}
        return {"OVF_TLS_CA": f"{self.folder}/ca.pem", **pair}

    def start_scheduler(self) -> None:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--protocol", "tls", *NO_PAGES]
        self._start("scheduler", ["scheduler", *where])

    def start_worker(
        self, name: str, *more: str, under: tuple[str, ...] = (), cwd: Path | None = None, **environment: str
    ) -> None:
        """A worker of one thread without a nanny: killed, it stays dead. It works in a folder of its own."""
        work = cwd or self.folder / name
        work.mkdir(exist_ok=True)
        one = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--name", name, *NO_PAGES]
        self._start(name, ["worker", self.address, *one, *more], under, work, environment)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    @contextmanager
    def client(self) -> Iterator[Client]:
        names = {f"tls_client_{kind}": str(self.folder / f"client.{end}") for kind, end in PAIR.items()}
        security = Security(require_encryption=True, tls_ca_file=str(self.folder / "ca.pem"), **names)
        with Client(self.address, security=security, timeout=UP_WITHIN_S, set_as_default=False) as client:
            yield client

    def keep(self, *names: str) -> None:
        """Leave only these workers, and wait for them."""
        for name in set(self.processes) - {"scheduler", *names}:
            self.kill(name)
        self.wait_for(*names)

    def wait_for(self, *names: str) -> None:
        """Until exactly these workers have registered."""
        with self.client() as client:
            deadline = time.monotonic() + UP_WITHIN_S
            while set(self.workers(client)) != set(names):
                assert time.monotonic() < deadline, f"only {set(self.workers(client))} came"
                time.sleep(0.1)

    def workers(self, client: Client) -> dict[str, Any]:
        """Name → address."""
        return {info["name"]: a for a, info in client.scheduler_info(n_workers=-1)["workers"].items()}

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def _start(
        self,
        name: str,
        arguments: list[str],
        under: tuple[str, ...] = (),
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        role = "scheduler" if name == "scheduler" else "worker"
        pair = ["--tls-cert", f"{self.folder}/{role}.pem", "--tls-key", f"{self.folder}/{role}.key"]
        tls = ["--tls-ca-file", f"{self.folder}/ca.pem", *pair]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*under, sys.executable, "-m", "dask", *arguments, *tls],
                cwd=cwd or self.folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


PAIR = {"cert": "pem", "key": "key"}


def make_certificates(folder: Path) -> None:
    """An authority and certificates for scheduler, worker and client."""
    subprocess.run([str(SCRIPT), str(folder), "scheduler", "worker", "client"], check=True, timeout=60)


@contextmanager
def dask_processes(folder: Path) -> Iterator[DaskProcesses]:
    """A scheduler that runs; whatever was started with it ends with it."""
    make_certificates(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with contextlib.closing(DaskProcesses(folder, port)) as cluster:
        cluster.start_scheduler()
        yield cluster
