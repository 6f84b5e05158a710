"""Prefect on loopback with login: a server, a work pool and a worker, started here and ended here.

    with local_prefect(folder) as prefect:
        prefect.deploy(document)             # deployments like those of prefect.yaml
        run = prefect.start("archive-sweep/archive-sweep")
        prefect.wait(run)

Everything ends with the block, and when this process is killed: server and worker ask the kernel to die with it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from prefect.client.base import PrefectHttpxSyncClient

from flows.prefect_server import QUIET, free_port, start_server, stop_server, wait_until_up
from tasks.parent import die_with_parent

ROOT = Path(__file__).parents[1]
POOL = "ovf"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
POLL_S = 1.0
RUNS_STOP_WITHIN_S = 15.0
WORKER_STOPS_WITHIN_S = 2.0  # to tell the server of runs that ended
# What a real server has and the one of a single sweep has not: schedules, late runs, automations.
SERVICES = (
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED",
)


@dataclass
class LocalPrefect:
    """A running server with its pool and worker."""

    url: str
    login: str  # NAME:PASSWORD
    environment: dict[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def client(self) -> httpx.Client:
        """A client of the API that logs in, raises for every error, and asks again where the server asks for it.

        Prefect answers 503 while another writer holds its SQLite file.
        """
        name, _, password = self.login.partition(":")
        return PrefectHttpxSyncClient(base_url=self.url, auth=(name, password), timeout=60, trust_env=False)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """One call of the API. The trailing slash matters to Prefect."""
        with self.client() as client:
            return client.post(f"{self.url}{path}", json=body).json()

    def prefect(self, *arguments: str) -> None:
        """One call of Prefect's own command, as an operator would make it."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"prefect {arguments[0]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")

    def deploy(self, document: dict[str, Any]) -> None:
        """Deploy everything of a document like prefect.yaml."""
        path = self.folder / "prefect.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        self.prefect("deploy", "--all", "--prefect-file", str(path))

    def start_worker(self) -> None:
        """A worker of the pool, its output in worker.log."""
        with (self.folder / "worker.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"],
                    env=self.environment,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that what it starts can be ended with it
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, called from the main thread
                )
            )

    def start(self, name: str) -> str:
        """Have a deployment (FLOW/DEPLOYMENT) run now; returns the id of the run."""
        with self.client() as client:
            found = client.get(f"{self.url}/deployments/name/{name}").json()
        run = self.post(f"/deployments/{found['id']}/create_flow_run", {})
        return str(run["id"])

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment that are not merely planned, the earliest first."""
        body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [run for run in self.post("/flow_runs/filter", body) if run["state_type"] != "SCHEDULED"]

    def wait(self, run_id: str, timeout_s: float = 1800) -> str:
        """Wait until a run has ended; returns the type of its state. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self.client() as client:
                state = client.get(f"{self.url}/flow_runs/{run_id}").json()["state"]
            if state["type"] in ENDED:
                return str(state["type"])
            time.sleep(POLL_S)
        raise TimeoutError(f"the run did not end in {timeout_s:.0f} s: read {self.folder / 'worker.log'}")

    def artifact(self, key: str) -> str:
        """The newest artifact of a key, as Markdown; empty when there is none."""
        body = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
        found = self.post("/artifacts/filter", body)
        return str(found[0]["data"]) if found else ""


@contextlib.contextmanager
def local_prefect(folder: Path, **environment: str) -> Iterator[LocalPrefect]:
    """Start server, pool and worker with a fresh password; end them, and what the worker started, after."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = free_port()
    login = f"ovf:{secrets.token_urlsafe(18)}"
    url = f"http://127.0.0.1:{port}/api"
    quiet = {**QUIET, "PREFECT_LOGGING_LEVEL": "WARNING", "PREFECT_LOGGING_TO_API_ENABLED": "true"}
    ours = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        **quiet,
        **dict.fromkeys(SERVICES, "true"),
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_API_AUTH_STRING": login,  # asked of every caller
        "PREFECT_API_AUTH_STRING": login,  # given by every client
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        **environment,
    }
    server = start_server(port, folder / "server.log", ours)
    prefect = LocalPrefect(url, login, ours, folder)
    try:
        wait_until_up(server, url, folder / "server.log")
        prefect.prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
        prefect.start_worker()
        yield prefect
    finally:
        for process in prefect.processes:
            _end_group(process)
        stop_server(server)


def deployments(
    changes: dict[str, Any], only: tuple[str, ...], *, has_schedules: bool = False
) -> dict[str, Any]:
    """Some deployments of prefect.yaml, with parameters that are given replaced; without schedules unless asked."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    document.pop("definitions", None)
    chosen = [each for each in document["deployments"] if each["name"] in only]
    for each in chosen:
        each["parameters"] = {
            name: {**value, **changes[name]}
            if isinstance(value, dict) and name in changes
            else changes.get(name, value)
            for name, value in each["parameters"].items()
        }
        if not has_schedules:
            each.pop("schedules", None)
    return {**document, "deployments": chosen}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a worker and every run that it started.

    Runs get time to end in good order. The worker itself would take longer than they do, with nothing left to end.
    """
    runs: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        runs = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    psutil.wait_procs(runs, RUNS_STOP_WITHIN_S)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(WORKER_STOPS_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
