"""The Dask workers of a sweep: started only when there is work, local by default, or a cluster that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from flows.errors import PreflightError, SettingsError
from flows.pool import Pool
from flows.preflight import expectation, workers_of
from flows.process_pool import cores
from flows.settings import Settings
from flows.tls import Certificates, certificates_for, knock
from tasks.workers import Step, Work

CONNECT_TIMEOUT_S = 30.0

# A worker that dies takes its shard to another; after three the shard is cut in halves (tasks.shards).
_DASK = {
    "distributed.scheduler.allowed-failures": 2,
    "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S:.0f}s",
    "distributed.worker.daemon": False,
    "distributed.worker.profile.enabled": False,  # samples every thread each 10 ms, for a dashboard nobody opens
    "distributed.admin.tick.limit": "60s",  # decoding holds the interpreter; its warnings would only frighten
}


@dataclass(slots=True)
class Cluster:
    """A pool of workers that is opened when it is first asked for, and closed by `close()`."""

    settings: Settings
    shared_directory: Path  # must be the same folder on every worker
    model: str  # as the workers find it
    model_digest: str
    archive: str | None = None  # a path that every worker must be able to read
    slabs: Path | None = None  # a folder that every worker must be able to write to
    say: Callable[[str], None] = print
    _pool: Pool | None = None
    _local: LocalCluster | None = None
    _at_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def is_started(self) -> bool:
        """Whether any work has asked for workers yet."""
        return self._pool is not None

    @property
    def n_workers(self) -> int:
        """Workers there are, or will be."""
        return self._pool.n_workers if self._pool is not None else self.settings.workers or cores()

    def pool(self) -> Pool:
        """The workers; starts or connects, then checks every one of them. Raises PreflightError with a list."""
        if self._pool is None:
            dask.config.set(_DASK)
            _quieten()
            expected = self._at_end.enter_context(
                expectation(self.shared_directory, self.model, self.model_digest, self.archive, self.slabs)
            )
            connect = self._connector()
            client = self._connected(connect) if connect else self._start()
            settings = self.settings
            pool = Pool(client, expected, settings.gpu, settings.worker_wait_s, self.say, connect)
            self._at_end.callback(lambda: pool.client.close(timeout=20))  # the one there is by then
            pool.check()
            self._pool = pool
        return self._pool

    def _connector(self) -> Callable[[], Client] | None:
        """What connects to the scheduler of the settings; None when the workers are our own."""
        settings = self.settings
        if settings.scheduler is None:
            if settings.gpu != "auto":
                raise SettingsError("setting gpu: it is for the workers of a --scheduler")
            return None
        address = settings.scheduler if "://" in settings.scheduler else f"tcp://{settings.scheduler}"
        certificates = certificates_for(address, settings.tls_ca, settings.tls_cert, settings.tls_key)
        knock(address, certificates)
        return partial(_connect, address, certificates, min(CONNECT_TIMEOUT_S, settings.worker_wait_s))

    def _connected(self, connect: Callable[[], Client]) -> Client:
        try:
            client = connect()
        except (OSError, TimeoutError) as error:
            raise PreflightError(f"no Dask scheduler answers at {self.settings.scheduler}") from error
        self.say(f"connected to {len(workers_of(client))} workers")
        return client

    def _start(self) -> Client:
        n_workers = self.settings.workers or cores()
        # Threads of torch and OpenBLAS beside as many workers as cores would only get in each other's way.
        threads = str(max(1, cores() // n_workers))
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
        self._at_end.callback(self._local.close, timeout=20)
        self.say(f"started {n_workers} local workers")
        return Client(self._local, timeout=CONNECT_TIMEOUT_S, set_as_default=False)

    def close(self) -> None:
        """End what was started here; a cluster that ran before goes on."""
        with contextlib.suppress(Exception):
            self._at_end.close()
        self._pool = None

    def submit(self, function: Callable[..., Any], *args: Any) -> Work:
        """One function on some worker; starts the workers if this is the first work. Raises ClusterLost."""
        return self.pool().start(Step(function, f"crawl-{secrets.token_hex(8)}", args))


def _connect(address: str, certificates: Certificates | None, timeout_s: float) -> Client:
    """Raises OSError or TimeoutError when nobody answers."""
    security = certificates.security() if certificates is not None else None
    return Client(address, security=security, timeout=timeout_s, set_as_default=False)


def _quieten() -> None:
    """Dask's loggers set their own levels when they are imported, and Prefect prints what reaches the root."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
