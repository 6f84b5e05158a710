"""Processes of a pool end with the command that started them, also when it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil

from flows.process_pool import map_in_order

_COMMAND = """
import os, sys
from flows.process_pool import process_pool

if __name__ == "__main__":
    pool = process_pool(2, niceness=1)
    print(*{pool.submit(os.getpid).result() for _ in range(4)}, flush=True)
    print(pool.submit(os.nice, 0).result(), flush=True)
    sys.stdin.read()
"""


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_processes_of_a_pool_end_with_a_killed_command(tmp_path) -> None:
    script = tmp_path / "command.py"
    script.write_text(_COMMAND)
    command = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with command:
        assert command.stdout is not None
        pids = [int(pid) for pid in command.stdout.readline().split()]
        niceness = int(command.stdout.readline())
        assert pids
        assert all(psutil.pid_exists(pid) for pid in pids)
        assert niceness >= 1
        command.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while alive := [pid for pid in pids if _is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)


def test_results_come_in_order_from_one_process_or_several() -> None:
    numbers = range(-5, 5)
    for workers in (1, 2):
        assert list(map_in_order(abs, numbers, workers, chunksize=2)) == [abs(number) for number in numbers]
