"""Runs of the command, and of the bare loop, as processes of their own on given cores: seconds, processor, memory."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): what outlives its parent becomes ours, so that its time is counted
_ORPHANS_S = 30.0
_SAMPLE_S = 0.1
_STUDIES = re.compile(r"studies: +([\d,]+) found = ([\d,]+) scored")


@dataclass(frozen=True)
class Run:
    """One process from start to end, with everything it started."""

    wall_s: float
    processor_s: float  # of all its processes
    peak_mb: float  # of the process itself, without those it started
    n_scored: int
    others_share: float  # of this machine's cores, that other processes used meanwhile
    flow_s: float | None = None  # as the warehouse says: without imports and Prefect's start
    has_workers: bool = False  # whether any were started

    def as_dict(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def run_sweep(archive: Path, warehouse: Path, model: str, *, n_workers: int, n_cores: int) -> Run:
    """`ovf sweep`, in a warehouse that may exist. Raises RuntimeError when it fails."""
    command = [sys.executable, "-m", "flows.cli", "sweep", str(archive), "--workers", str(n_workers)]
    command += ["--warehouse", str(warehouse), "--model", model]
    done = _run(command, warehouse.parent, n_cores)
    studies = _STUDIES.search(done.output)
    if studies is None:
        raise RuntimeError("the sweep printed no summary")
    return Run(
        wall_s=done.wall_s,
        processor_s=done.processor_s,
        peak_mb=done.peak_mb,
        n_scored=int(studies[2].replace(",", "")),
        others_share=done.others_share,
        flow_s=_flow_s(warehouse),
        has_workers="local workers" in done.errors,
    )


def _flow_s(warehouse: Path) -> float:
    """Seconds from the start to the end of the newest run."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        newest = connection.execute(
            "SELECT started_at, finished_at FROM run ORDER BY started_at DESC LIMIT 1"
        ).fetchone()
    assert newest is not None
    return float((newest[1] - newest[0]).total_seconds())


def run_bare_loop(archive: Path, warehouse: Path, model: str) -> Run:
    """`benchmarks.bare_loop` on one core."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", str(archive), str(warehouse), model]
    done = _run(command, warehouse.parent, 1)
    n_scored = json.loads(done.output)["n_scored"]
    return Run(done.wall_s, done.processor_s, done.peak_mb, n_scored, done.others_share)


@dataclass(frozen=True)
class _Done:
    wall_s: float
    processor_s: float
    peak_mb: float
    others_share: float
    output: str
    errors: str


def _run(command: list[str], folder: Path, n_cores: int) -> _Done:
    folder.mkdir(parents=True, exist_ok=True)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    before_s, busy_s, started = _children_s(), _busy_s(), time.perf_counter()
    with _on_cores(n_cores):
        process = subprocess.Popen(
            command,
            env={**os.environ, "OVF_PROGRESS": "plain"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    peak = _PeakMemory(process.pid)
    output, errors = process.communicate()
    wall_s, busy_s = time.perf_counter() - started, _busy_s() - busy_s
    peak.stop()
    if process.returncode:
        raise RuntimeError(f"{command[2]} ended with {process.returncode}: {errors[-2000:]}")
    _reap_orphans()
    processor_s = _children_s() - before_s
    others_share = max(0.0, busy_s - processor_s) / (wall_s * (os.cpu_count() or 1))
    return _Done(wall_s, processor_s, peak.peak_mb, others_share, output, errors)


@contextlib.contextmanager
def _on_cores(n_cores: int) -> Iterator[None]:
    """What is started meanwhile stays on that many cores. Raises ValueError when there are fewer."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < n_cores:
        raise ValueError(f"needs {n_cores} cores, there are {len(allowed)}")
    os.sched_setaffinity(0, set(allowed[:n_cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(allowed))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_s() -> float:
    """Seconds that all cores together have been busy, or taken away by the host, since the machine started."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _reap_orphans() -> None:
    """Wait for what outlived the command. Raises RuntimeError when something goes on."""
    deadline = time.monotonic() + _ORPHANS_S
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(0.05)
    raise RuntimeError("the sweep left a process behind")


class _PeakMemory(threading.Thread):
    """Reads a process's own high-water mark until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._path, self._is_over = Path(f"/proc/{pid}/status"), threading.Event()
        self.peak_mb = 0.0
        self.start()

    def run(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            with contextlib.suppress(OSError):
                found = re.search(r"VmHWM:\s+(\d+) kB", self._path.read_text())
                self.peak_mb = max(self.peak_mb, int(found[1]) / 1024 if found else 0.0)

    def stop(self) -> None:
        """End the thread."""
        self._is_over.set()
        self.join()
