"""T10: a decoder that crashes, hangs or eats memory costs its call, never the process that asked."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import pytest
from slab_cases import MemorySource, scan

from tasks.instance import FileRef
from tasks.sandbox import DecoderCrash, DecoderMemory, DecoderTimeout, Sandbox
from tasks.slab import DEFAULT_RECIPE, SlabRejected, build_slab

GIB = 1 << 30


def double(value: int) -> int:
    return 2 * value


def pid_of_child() -> int:
    return os.getpid()


def crash() -> None:
    ctypes.string_at(0)


def hang() -> None:
    while True:
        pass


def sleep_holding_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(60)


def allocate(n_bytes: int) -> int:
    return int(np.ones(n_bytes, np.uint8).sum())


def print_much() -> str:
    os.write(1, b"libfoo: warning\n" * 1000)
    print("to stdout")
    return "done"


def reject() -> None:
    raise SlabRejected("size_mismatch", found_bytes=3, expected_bytes=4)


class OddError(Exception):
    """Cannot cross a process boundary: its arguments are not those of its constructor."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


def raise_odd() -> None:
    raise OddError(1, 2)


class CrashingSource(MemorySource):
    """An archive whose reading crashes the process, and counts how often it was tried."""

    def open(self, ref: FileRef) -> BinaryIO:
        with Path(os.environ["OVF_TEST_TRIES"]).open("a") as file:
            file.write("x")
        crash()
        raise AssertionError


class HangingSource(MemorySource):
    """An archive that never answers."""

    def open(self, ref: FileRef) -> BinaryIO:
        hang()
        raise AssertionError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(memory_bytes=GIB, timeout_s=20) as shared:
        yield shared


def test_calls_share_one_child(sandbox: Sandbox) -> None:
    assert sandbox.call(double, 21) == 42
    first = sandbox.call(pid_of_child)
    assert first == sandbox.call(pid_of_child) == sandbox.pid != os.getpid()


def test_T10_a_crash_is_named_and_the_next_call_works(sandbox: Sandbox) -> None:
    before = sandbox.call(pid_of_child)
    with pytest.raises(DecoderCrash):
        sandbox.call(crash)
    assert sandbox.call(pid_of_child) != before


@pytest.mark.parametrize("function", [hang, sleep_holding_the_interpreter])
def test_T10_an_endless_loop_ends_in_time(function: Any) -> None:
    with Sandbox(memory_bytes=GIB, timeout_s=30) as patient:
        patient.call(double, 1)  # the start is not counted
        patient.timeout_s = 1.0
        started = time.monotonic()
        with pytest.raises(DecoderTimeout):
            patient.call(function)
        assert time.monotonic() - started < 5
        patient.timeout_s = 30
        assert patient.call(double, 2) == 4


def test_T09_memory_is_bounded_and_the_child_lives_on(sandbox: Sandbox) -> None:
    assert sandbox.call(allocate, 100 << 20) == 100 << 20
    before = sandbox.call(pid_of_child)
    with pytest.raises(DecoderMemory):
        sandbox.call(allocate, 3 * GIB)
    assert sandbox.call(pid_of_child) == before


def test_decoders_may_print(sandbox: Sandbox) -> None:
    assert sandbox.call(print_much) == "done"


def test_rejections_and_odd_errors_cross_the_boundary(sandbox: Sandbox) -> None:
    with pytest.raises(SlabRejected) as caught:
        sandbox.call(reject)
    assert caught.value.numbers == {"found_bytes": 3, "expected_bytes": 4}
    with pytest.raises(Exception, match="OddError"):
        sandbox.call(raise_odd)


def test_large_arrays_come_back(sandbox: Sandbox) -> None:
    back = sandbox.call(np.zeros, (3000, 1000))
    assert back.shape == (3000, 1000)


def test_a_slab_made_in_the_child_is_the_same(sandbox: Sandbox) -> None:
    plan, source = scan(n_slices=45)
    slab = sandbox.call(build_slab, plan, source)
    assert np.array_equal(slab.slab_xzy_hu, build_slab(plan, source).slab_xzy_hu)
    result = sandbox.slab(plan, source, None, DEFAULT_RECIPE, None)
    assert result.rejection is None
    assert result.record == slab.record


def test_T10_a_crashing_decoder_is_tried_twice_then_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"
    monkeypatch.setenv("OVF_TEST_TRIES", str(tries))
    plan, source = scan(n_slices=20)
    with Sandbox(memory_bytes=GIB, timeout_s=20) as fresh:
        result = fresh.slab(plan, CrashingSource(source.files), None, DEFAULT_RECIPE, None)
        assert result.rejection is not None
        assert (result.rejection.outcome, result.rejection.reason) == ("quarantined", "decoder_crash")
        assert tries.read_text() == "xx"
        after = fresh.slab(*scan(n_slices=45), None, DEFAULT_RECIPE, None)
        assert after.rejection is None  # the rest of the shard is scored


def test_T10_a_hanging_decoder_is_quarantined() -> None:
    plan, source = scan(n_slices=20)
    with Sandbox(memory_bytes=GIB, timeout_s=1) as fresh:
        result = fresh.slab(plan, HangingSource(source.files), None, DEFAULT_RECIPE, None)
    assert result.rejection is not None
    assert result.rejection.reason == "decoder_timeout"


def test_a_child_outlives_the_thread_that_asked_first() -> None:
    with Sandbox(memory_bytes=GIB, timeout_s=20) as fresh:
        pids: list[int] = []
        thread = threading.Thread(target=lambda: pids.append(fresh.call(pid_of_child)))
        thread.start()
        thread.join()
        time.sleep(0.2)
        assert fresh.call(pid_of_child) == pids[0]


def test_a_child_that_was_killed_between_calls_is_replaced(sandbox: Sandbox) -> None:
    os.kill(sandbox.call(pid_of_child), signal.SIGKILL)
    time.sleep(0.2)
    assert sandbox.call(double, 3) == 6


def test_the_child_dies_with_its_parent() -> None:
    script = (
        "import time, threading\n"
        "from tasks.sandbox import Sandbox\n"
        "from test_sandbox import hang, pid_of_child\n"
        "box = Sandbox(memory_bytes=1 << 30, timeout_s=600)\n"
        "print(box.call(pid_of_child), flush=True)\n"
        "box.call(hang)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        if psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
