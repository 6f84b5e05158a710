"""The Dask workers of a sweep: started only when there is work, local by default, or a cluster that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from flows.errors import PreflightError
from flows.preflight import check_workers

CONNECT_TIMEOUT = "30s"
GPU = "GPU"  # the resource a worker declares with `dask worker --resources GPU=1`

# A worker that dies takes its shard to another; after three the shard is cut in halves (tasks.shards).
_DASK = {
    "distributed.scheduler.allowed-failures": 2,
    "distributed.comm.timeouts.connect": CONNECT_TIMEOUT,
    "distributed.worker.daemon": False,
    "distributed.worker.profile.enabled": False,  # samples every thread each 10 ms, for a dashboard nobody opens
    "distributed.admin.tick.limit": "60s",  # decoding holds the interpreter; its warnings would only frighten
}


@dataclass(slots=True)
class Cluster:
    """A Dask client that is opened at the first call of `client()` and closed by `close()`."""

    scheduler: str | None
    workers: int | None
    shared_directory: Path  # must be the same folder on every worker
    model: str
    model_digest: str
    on_start: Callable[[str], None] = print
    _client: Client | None = None
    _local: LocalCluster | None = None
    _score_resources: dict[str, float] | None = field(default=None)

    @property
    def is_started(self) -> bool:
        """Whether any work has asked for workers yet."""
        return self._client is not None

    @property
    def n_workers(self) -> int:
        """Workers there are, or will be."""
        if self._client is not None:
            return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        return self.workers or _cores()

    @property
    def score_resources(self) -> dict[str, float] | None:
        """Where scores run: on workers that declare a GPU, if there are any, else anywhere."""
        return self._score_resources

    def client(self) -> Client:
        """The client; starts or connects, then checks every worker. Raises PreflightError with a list."""
        if self._client is None:
            dask.config.set(_DASK)
            _quieten()
            self._client = self._connect() if self.scheduler else self._start()
            self._score_resources = check_workers(
                self._client, self.shared_directory, self.model, self.model_digest
            )
        return self._client

    def _connect(self) -> Client:
        try:
            client = Client(self.scheduler, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise PreflightError(f"no Dask scheduler answers at {self.scheduler}") from error
        self.on_start(f"connected to {len(client.scheduler_info(n_workers=-1)['workers'])} workers")
        return client

    def _start(self) -> Client:
        n_workers = self.workers or _cores()
        # Threads of torch and OpenBLAS beside as many workers as cores would only get in each other's way.
        threads = str(max(1, _cores() // n_workers))
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, threads)
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": threads}})
        self._local = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # decoding is bounded in its own child; Dask's limit would kill the innocent
            local_directory=str(self.shared_directory / "dask"),
            silence_logs=logging.CRITICAL,
        )
        self.on_start(f"started {n_workers} local workers")
        return Client(self._local, timeout=CONNECT_TIMEOUT, set_as_default=False)

    def close(self) -> None:
        """End what was started here; a cluster that ran before goes on."""
        for part in (self._client, self._local):
            if part is not None:
                with contextlib.suppress(Exception):
                    part.close(timeout=20)
        self._client = self._local = None

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """A plain Dask future; starts the workers if this is the first work."""
        return self.client().submit(function, *args, pure=False)


def _quieten() -> None:
    """Dask's loggers set their own levels when they are imported, and Prefect prints what reaches the root."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
