"""The writer's lock: one process, one thread at a time, for one landing.

A POSIX lock (`fcntl.lockf`): the kernel lets go when the holder dies, and a forked child does not inherit it. It does
not keep threads of one process apart, so a thread lock per path stands before it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from warehouse.errors import WarehouseLocked

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 1.0

Result = TypeVar("Result")
_thread_locks: dict[str, threading.Lock] = {}
_registry_lock = threading.Lock()


class StillHeld(Exception):
    """One attempt failed: someone holds it. Carries the holder's process id and host where known."""

    def __init__(self, pid: int | None, host: str | None) -> None:
        super().__init__(pid, host)
        self.pid, self.host = pid, host


def retry_while_held(attempt: Callable[[], Result], *, file_name: str, wait_s: float) -> Result:
    """Call `attempt` until it does not raise StillHeld, with growing pauses; WarehouseLocked after `wait_s`."""
    start_s, pause_s = time.monotonic(), FIRST_PAUSE_S
    while True:
        try:
            return attempt()
        except StillHeld as held:
            waited_s = time.monotonic() - start_s
            if waited_s >= wait_s:
                raise WarehouseLocked(file_name, held.pid, held.host, waited_s) from None
        time.sleep(min(pause_s * random.uniform(0.5, 1.5), max(wait_s - waited_s, FIRST_PAUSE_S)))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@contextmanager
def writer_lock(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock file at `path`. Raises WarehouseLocked with the holder's process id and host after `wait_s`."""
    thread_lock = _thread_lock(path)
    if not thread_lock.acquire(timeout=wait_s):
        raise WarehouseLocked(path.name, os.getpid(), socket.gethostname(), wait_s)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            retry_while_held(lambda: _try_lock(handle), file_name=path.name, wait_s=wait_s)
            yield
        finally:
            os.close(handle)  # closing lets go
    finally:
        thread_lock.release()


def _try_lock(handle: int) -> None:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (11, 13):  # EAGAIN, EACCES: held; anything else is a fault of the file system
            raise
        raise StillHeld(*_holder(handle)) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def _holder(handle: int) -> tuple[int | None, str | None]:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return int(holder["pid"]), str(holder["host"])
    except (ValueError, KeyError, TypeError):
        return None, None


def _thread_lock(path: Path) -> threading.Lock:
    with _registry_lock:
        return _thread_locks.setdefault(str(path.resolve()), threading.Lock())
