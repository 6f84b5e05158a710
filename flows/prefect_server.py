"""A quiet Prefect server of our own, for when `PREFECT_API_URL` is unset. Loopback only; it dies with us.

When it dies before us it is started again, on the same port over the same database: Prefect's client repeats what was
refused for a minute, and the run goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from flows.errors import PreflightError

STARTUP_TIMEOUT_S = 180.0  # a first start migrates its database: 17 s measured on two busy cores
CONNECT_TIMEOUT_S = 10.0
MOST_STARTS = 5  # of one server; if it dies more often, something is wrong with it
# The child asks the kernel itself: code that runs between fork and exec may hang beside other threads.
_CHILD = "import sys; from tasks.parent import die_with_parent; die_with_parent(int(sys.argv.pop(1))); "
_CHILD += "from uvicorn.main import main; main()"

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


@contextlib.contextmanager
def prefect_api(home: Path, *, importing: str | None = None) -> Iterator[str]:
    """Yields the address of a Prefect API: the one in `PREFECT_API_URL`, else a server started here and ended after.

    Must be entered on the main thread, before `prefect` is imported: prefect reads the environment at import.
    `importing`: a module that the caller needs, imported while the server starts; both take ten seconds and a core.
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
        if importing is not None:
            import_module(importing)
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


class PrefectServer(threading.Thread):
    """Starts the server and starts it again when it dies, from a thread that lives as long as the server may."""

    def __init__(self, port: int, log: Path, environment: dict[str, str]) -> None:
        super().__init__(daemon=True, name="prefect-server")
        self.was_up = False  # it has answered once: from then on it is worth starting again
        self.is_over = False  # the server is gone for good
        self._port, self._log, self._environment = port, log, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._lock = threading.Lock()

    def run(self) -> None:
        for _ in range(MOST_STARTS):
            with self._lock:
                if self._is_stopping:
                    break
                self._process = _start(self._port, self._log, self._environment)
            self._process.wait()
            if not self.was_up:
                break
        self.is_over = True

    def stop(self) -> None:
        """End the server for good."""
        with self._lock:
            self._is_stopping = True
        if self._process is not None:
            _stop(self._process)
        self.join(timeout=10)


def start_server(port: int, log: Path, environment: dict[str, str]) -> PrefectServer:
    """A server on loopback with this environment; it dies with the caller, and is started again when it dies alone."""
    server = PrefectServer(port, log, environment)
    server.start()
    return server


def stop_server(server: PrefectServer) -> None:
    """End a server for good, gently at first."""
    server.stop()


def _start(port: int, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # uvicorn directly: `prefect server start` would put one more process between us and the server,
    # and that one would not die with us. The server gets no API address: it is the API.
    env = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-P", "-c", _CHILD, str(os.getpid())]
    command += ["--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def wait_until_up(server: PrefectServer, url: str, log: Path) -> None:
    """Return when the server answers. Raises PreflightError."""
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.is_over:
            raise PreflightError(f"the Prefect server ended at once: read {log}, or set PREFECT_API_URL")
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/health", timeout=2),
        ):
            server.was_up = True
            return
        time.sleep(0.1)
    raise PreflightError(f"the Prefect server did not answer in {STARTUP_TIMEOUT_S:.0f} s: read {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
