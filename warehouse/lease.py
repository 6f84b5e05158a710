"""A lease on an archive: one sweep of it at a time, on any host that sees the folder.

The lease is a lock that the kernel frees when its process ends, however it ends; the JSON beside it only says who holds
it. So nothing stale is left after a kill or a power cut, and the database is free between landings.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from warehouse.errors import ArchiveBusy
from warehouse.paths import private_files, replace_file

# `ovf status` asks for the lock for an instant; a sweep that starts in that instant tries again.
_PATIENCE_S = 1.0
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    pid: int
    host: str
    started_at: str  # ISO 8601, UTC


@contextlib.contextmanager
def archive_lease(folder: Path, archive_key: str) -> Iterator[None]:
    """Hold the lease on an archive while the block runs. Raises ArchiveBusy naming PID, host and start."""
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / f"{archive_key}.lock").open("ab")
    with stream:
        if not _locks(stream, fcntl.LOCK_EX, _PATIENCE_S):
            holder = _written(folder, archive_key)
            raise ArchiveBusy(holder.pid, holder.host, holder.started_at)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        holder = Holder(os.getpid(), socket.gethostname(), now)
        replace_file(folder / f"{archive_key}.json", json.dumps(asdict(holder)).encode())
        yield


def holder_of(folder: Path, archive_key: str) -> Holder | None:
    """Who sweeps an archive now; None when nobody does."""
    try:
        stream = (folder / f"{archive_key}.lock").open("rb")
    except FileNotFoundError:
        return None
    with stream:
        return None if _locks(stream, fcntl.LOCK_SH, 0.0) else _written(folder, archive_key)


def _locks(stream: BinaryIO, kind: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(stream, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _written(folder: Path, archive_key: str) -> Holder:
    try:
        return Holder(**json.loads((folder / f"{archive_key}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return Holder(0, "unknown", "just now")  # it has the lock and has not written its name yet
