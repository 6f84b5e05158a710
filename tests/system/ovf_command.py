"""The command as a process, and a model for it to score with."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil

from flows.cli import run
from models.config import ModelConfig, ViewRecipe
from models.heads import FractureNet
from models.loading import save_model
from models.lstm import ScanLstm
from models.registry import OperatingPoint, write_operating_point

TIMEOUT_S = 280
GONE_WITHIN_S = 30
PRINTED = "printed.txt"  # what the undisturbed sweep said, beside its warehouse
# A sixteenth of the shipped view's pixels: scoring is not what these tests wait for.
COARSE_VIEW = ViewRecipe("coarse", "tiles", pixel_mm=5.0, tile_rows=56, tile_cols=32, tile_stride=46)


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

    def inside(self, *arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """The same in this process, without the seconds of a start: for verbs that start no other process."""
        out, err = io.StringIO(), io.StringIO()
        line = [str(argument) for argument in arguments]
        with (
            patch.dict(os.environ, self.environment),
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run(line)
        done = subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())
        assert code == expect, f"exit {code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    @contextmanager
    def started(self, *arguments: object, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """The command in a process session of its own; whatever happens, nothing of it is left. `log`: what it says."""
        with (log or Path(os.devnull)).open("wb") as output:
            process = subprocess.Popen(
                self.line(*arguments),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
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


def save_untrained(folder: Path, model_id: str, seed: int) -> Path:
    """A model folder of the real architecture with random weights: these tests ask how it runs, not what it says."""
    import torch

    torch.manual_seed(seed)
    config = ModelConfig(model_id=model_id, view=COARSE_VIEW)
    save_model(folder, FractureNet(config), ScanLstm(config), config, f"# {model_id}, for tests\n")
    write_operating_point(folder, OperatingPoint(0.5, "none: for tests", "nothing"))
    return folder
