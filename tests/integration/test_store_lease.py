"""The lease on an archive: one sweep at a time, and nothing stale after a kill or a reboot."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse.errors import ArchiveBusy
from warehouse.lease import Holder, archive_lease, holder_of, is_running

KEY = "0123456789abcdef"
HOLD = """
import sys, time
from pathlib import Path
from warehouse.lease import archive_lease
with archive_lease(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def another_sweep(leases: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(leases), KEY],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_T42_a_second_sweep_is_told_who_runs(tmp_path: Path) -> None:
    with (
        another_sweep(tmp_path) as process,
        pytest.raises(ArchiveBusy) as caught,
        archive_lease(tmp_path, KEY),
    ):
        pass
    assert caught.value.pid == process.pid
    assert caught.value.host == socket.gethostname()
    assert caught.value.started_at.startswith("20")
    assert str(process.pid) in str(caught.value)


def test_T42_status_sees_the_holder_and_does_not_disturb_it(tmp_path: Path) -> None:
    with another_sweep(tmp_path) as process:
        holder = holder_of(tmp_path, KEY)
        assert holder is not None
        assert holder.pid == process.pid
        assert is_running(holder)
        with pytest.raises(ArchiveBusy), archive_lease(tmp_path, KEY):
            pass


def test_T42_asking_about_our_own_lease_does_not_drop_it(tmp_path: Path) -> None:
    check = HOLD.replace("time.sleep(60)", "pass")
    with archive_lease(tmp_path, KEY):
        holder = holder_of(tmp_path, KEY)
        assert holder is not None
        assert holder.pid == os.getpid()
        second = subprocess.run(
            [sys.executable, "-c", check, str(tmp_path), KEY],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert "ArchiveBusy" in second.stderr


def test_T42_a_killed_sweep_leaves_nothing_stale(tmp_path: Path) -> None:
    with another_sweep(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holder_of(tmp_path, KEY) is None
        with archive_lease(tmp_path, KEY) as holder:
            assert holder.pid == os.getpid()
    assert holder_of(tmp_path, KEY) is None


def test_T42_a_lease_from_before_a_reboot_is_taken_over(tmp_path: Path) -> None:
    """The lock outlived its host's reboot, as on some network file systems: the boot id gives it away."""
    with another_sweep(tmp_path):
        written = json.loads((tmp_path / f"{KEY}.json").read_text())
        (tmp_path / f"{KEY}.json").write_text(json.dumps(written | {"boot_id": "of an earlier start"}))
        with archive_lease(tmp_path, KEY) as holder:
            assert holder.pid == os.getpid()


def test_two_sweeps_of_one_process_are_kept_apart(tmp_path: Path) -> None:
    with archive_lease(tmp_path, KEY):
        with pytest.raises(ArchiveBusy), archive_lease(tmp_path, KEY):
            pass
        with archive_lease(tmp_path, "another"):
            pass
    with archive_lease(tmp_path, KEY):
        pass


def test_T36_a_lease_is_never_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="never a path"), archive_lease(tmp_path, "../../etc/x"):
        pass


def test_a_holder_elsewhere_may_be_running() -> None:
    assert is_running(Holder(1, "another host", "2026-01-01", "boot")) is None
    assert is_running(Holder(os.getpid(), socket.gethostname(), "2026-01-01", "an earlier start")) is False
