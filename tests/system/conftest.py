"""The command as its users call it: a small simulated hospital, an untrained model, one Prefect server for all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from flows.prefect_server import prefect_api
from models.config import TILES_VIEW, ModelConfig
from models.heads import FractureNet
from models.lstm import ScanLstm
from models.registry import OperatingPoint, save_model, write_operating_point
from phantom.hospital import make_hospital

TIMEOUT_S = 280
GONE_WITHIN_S = 30

Ovf = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Command:
    """How to call `ovf` here: with the shared Prefect server, in a folder of its own."""

    environment: dict[str, str]
    folder: Path

    def line(self, *arguments: object) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "flows.cli", *map(str, arguments)]

    def __call__(
        self, *arguments: object, expect: int = 0, timeout_s: float = TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; the exit code must be `expect`."""
        done = subprocess.run(
            self.line(*arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == expect, (
            f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    @contextmanager
    def started(self, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
        """The command in a process session of its own; whatever happens, nothing of it is left."""
        process = subprocess.Popen(
            self.line(*arguments),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            _assert_session_is_empty(process.pid)


def _assert_session_is_empty(session: int) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while _left(session) and time.monotonic() < deadline:
        time.sleep(0.2)
    remaining = _left(session)
    for pid in remaining:
        os.kill(pid, signal.SIGKILL)
    assert not remaining, f"{len(remaining)} processes outlived the command"


def _left(session: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the real architecture with random weights: these tests ask how it runs, not what it says."""
    import torch

    torch.manual_seed(0)
    config = ModelConfig(model_id="untrained", view=TILES_VIEW)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, FractureNet(config), ScanLstm(config), config, "# untrained, for tests\n")
    write_operating_point(folder, OperatingPoint(0.5, "none: for tests", "nothing"))
    return folder


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated hospital of three patients."""
    folder = tmp_path_factory.mktemp("hospital") / "demo"
    make_hospital(folder, patients=3, seed=3)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the command: one Prefect server of our own for the whole session."""
    with prefect_api(tmp_path_factory.mktemp("prefect")) as url:
        yield {**os.environ, "PREFECT_API_URL": url, "OVF_PROGRESS": "plain"}


@pytest.fixture
def ovf(environment: dict[str, str], tmp_path: Path, untrained_model: Path) -> Command:
    """The command, scoring with the untrained model unless told otherwise."""
    return Command({**environment, "OVF_MODEL": str(untrained_model)}, tmp_path)
