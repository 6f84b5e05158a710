"""A quiet Prefect server of our own, for when `PREFECT_API_URL` is unset. Loopback only; it dies with us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows.errors import PreflightError

STARTUP_TIMEOUT_S = 180.0  # a first start migrates its database: 17 s measured on two busy cores
CONNECT_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

# No telemetry, no update check, no console noise, no background services: the server only keeps run states.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
}


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def prefect_api(home: Path) -> Iterator[str]:
    """Yields the address of a Prefect API: the one in `PREFECT_API_URL`, else a server started here and ended after.

    Must be entered on the main thread, before `prefect` is imported: prefect reads the environment at import.
    Raises PreflightError when the server does not answer in time.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        _must_listen(configured)
        yield configured
        return
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    before = dict(os.environ)
    os.environ.update(QUIET, PREFECT_HOME=str(home), PREFECT_API_URL=url)
    server = start_server(port, home / "server.log", dict(os.environ))
    try:
        wait_until_up(server, url, home / "server.log")
        yield url
    finally:
        stop_server(server)
        os.environ.clear()
        os.environ.update(before)


def _must_listen(url: str) -> None:
    """Only whether anybody listens: what logs in to that server, and how, is Prefect's own affair."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise PreflightError(
            f"no Prefect server listens at PREFECT_API_URL ({parts.hostname}:{port}): start it, "
            "or unset the variable and a server is started for this run"
        ) from error


def start_server(port: int, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A server on loopback with this environment; it dies with the caller. From the main thread only."""
    # uvicorn directly: `prefect server start` would put one more process between us and the server,
    # and that one would not die with us. The server gets no API address: it is the API.
    env = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, called from the main thread
        )


def wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when the server answers. Raises PreflightError."""
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise PreflightError(f"the Prefect server ended at once: read {log}, or set PREFECT_API_URL")
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/health", timeout=2),
        ):
            return
        time.sleep(0.1)
    raise PreflightError(f"the Prefect server did not answer in {STARTUP_TIMEOUT_S:.0f} s: read {log}")


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """End a server, gently at first."""
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
