"""A lease on an archive: one sweep of it at a time, on any host that shares the folder.

The kernel's lock says whether a holder lives (it lets go when the holder dies); a file beside it says who it is. Where
a lock outlives its host's reboot (some network file systems), the boot id gives it away and the lease is taken over.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from warehouse.errors import ArchiveBusy
from warehouse.paths import private_files, replace_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAFE_NAME = re.compile(r"^[0-9A-Za-z_-]{1,128}$")
_HELD = (errno.EAGAIN, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    pid: int
    host: str
    started_at: str  # ISO 8601, UTC
    boot_id: str

    @classmethod
    def this_process(cls) -> Holder:
        """A holder that is us, from now on."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), now, _boot_id())

    @property
    def is_gone_with_reboot(self) -> bool:
        """It was on this host before the host was started again."""
        return self.host == socket.gethostname() and self.boot_id != _boot_id()


# POSIX locks do not keep one process's own sweeps apart.
_held_here: dict[Path, Holder] = {}


@contextmanager
def archive_lease(leases: Path, archive_key: str) -> Iterator[Holder]:
    """Hold the lease on an archive. Raises ArchiveBusy naming process, host and start of the one who has it."""
    if not _SAFE_NAME.match(archive_key):
        raise ValueError("an archive key is a pseudonym, never a path")
    lock_path, holder_path = leases / f"{archive_key}.lock", leases / f"{archive_key}.json"
    if lock_path in _held_here:
        raise _busy(_held_here[lock_path])
    handle = _lock(lock_path, holder_path)
    try:
        holder = _held_here[lock_path] = Holder.this_process()
        replace_file(holder_path, json.dumps(asdict(holder)).encode())
        yield holder
    finally:
        _held_here.pop(lock_path, None)
        holder_path.unlink(missing_ok=True)
        os.close(handle)  # lets go


def holder_of(leases: Path, archive_key: str) -> Holder | None:
    """Who sweeps an archive now; None when nobody does. What a killed process left behind does not count."""
    holder = _noted(leases / f"{archive_key}.json")
    return None if holder is None or is_running(holder) is False else holder


def is_running(holder: Holder) -> bool | None:
    """Whether the holder's process lives; None when it is on another host."""
    if holder.host != socket.gethostname():
        return None
    if holder.is_gone_with_reboot:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lock(lock_path: Path, holder_path: Path) -> int:
    for attempt in range(2):
        handle = _open(lock_path)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            os.close(handle)
            if error.errno not in _HELD:
                raise
        holder = _noted(holder_path)
        if attempt == 0 and holder is not None and holder.is_gone_with_reboot:
            lock_path.unlink(missing_ok=True)  # a lock that outlived its host: start with a new file
            continue
        raise _busy(holder)
    raise AssertionError("unreachable")


def _noted(holder_path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(holder_path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _open(lock_path: Path) -> int:
    with private_files():
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _busy(holder: Holder | None) -> ArchiveBusy:
    if holder is None:  # between its lock and its file
        return ArchiveBusy(0, "an unknown host", "a moment ago")
    return ArchiveBusy(holder.pid, holder.host, holder.started_at)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
