"""A child process that decodes, bounded in memory and time, so that a bomb costs one series and not the worker.

The child stays alive between calls; a call costs two pickles. It may be used inside a Dask worker, whose daemonic
processes may have no children of `multiprocessing`: it is a plain subprocess with pickles over pipes. It dies with
its parent. One call at a time.

Run as `python -m tasks.sandbox` it is that child.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

from tasks.parent import die_with_parent

if TYPE_CHECKING:
    from models.config import ViewRecipe
    from tasks.decode import PixelSource
    from tasks.plan import SeriesPlan
    from tasks.recipe import SlabRecipe
    from tasks.slab import SlabResult

P = ParamSpec("P")
R = TypeVar("R")

_Started: TypeAlias = "subprocess.Popen[bytes] | OSError"
_HEAD = struct.Struct("<Q")
START_TIMEOUT_S = 60.0  # to import numpy and pydicom on a busy machine
MOST_ANSWER_BYTES = 1 << 30


class SandboxError(Exception):
    """The child could not finish a call."""


class DecoderCrash(SandboxError):
    """The child died: a decoder crashed, or the kernel killed it."""


class DecoderTimeout(SandboxError):
    """The call took longer than it may; the child was killed."""


class DecoderMemory(SandboxError):
    """The call asked for more memory than it may have."""


REASON_OF: dict[type[SandboxError], str] = {
    DecoderCrash: "decoder_crash",
    DecoderTimeout: "decoder_timeout",
    DecoderMemory: "decoder_memory",
}


@dataclass(frozen=True, slots=True)
class _Failure:
    """An exception on its way back to the parent."""

    error: BaseException


class Sandbox:
    """Runs functions in a bounded child process, which is replaced when it was killed or died."""

    def __init__(self, *, memory_bytes: int, timeout_s: float) -> None:
        self._memory_bytes, self.timeout_s = memory_bytes, timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function(*args, **kwargs)` in the child. The function must be importable there.

        What it raises is raised here. DecoderCrash, DecoderTimeout, DecoderMemory: see their classes.
        """
        request = pickle.dumps((function, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            answer = self._exchange(request)
        if isinstance(answer, _Failure):
            if isinstance(answer.error, MemoryError):
                raise DecoderMemory("the call ran out of its memory") from answer.error
            raise answer.error
        return cast(R, answer)

    def slab(
        self,
        plan: SeriesPlan,
        source: PixelSource,
        slab_path: Path | None,
        recipe: SlabRecipe,
        view_recipe: ViewRecipe | None,
    ) -> SlabResult:
        """`tasks.slab.slab_task` in the child. A crash or timeout is tried once more in a fresh child.

        Then the series is quarantined: nothing a decoder does is raised here.
        """
        from tasks.slab import rejection_of, slab_task

        failure: SandboxError | None = None
        for _ in range(2):
            try:
                return self.call(slab_task, plan, source, slab_path, recipe, view_recipe)
            except DecoderMemory as error:  # the same again would end the same
                failure = error
                break
            except SandboxError as error:
                failure = error
        assert failure is not None
        return rejection_of(REASON_OF[type(failure)])

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._kill()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:  # noqa: SIM105 - at the end of the interpreter contextlib may be gone before this object
            self._kill()
        except Exception:
            pass  # the child ends with its parent

    @property
    def pid(self) -> int | None:
        """Process id of the living child, or None."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def _exchange(self, request: bytes) -> Any:
        child = self._living_child()
        deadline = time.monotonic() + self.timeout_s
        try:
            _send(child.stdin, request, deadline)
            return pickle.loads(_receive(child.stdout, deadline))
        except TimeoutError:
            self._kill()
            raise DecoderTimeout("the call ran out of its time") from None
        except (EOFError, OSError):
            code = self._kill()
            raise DecoderCrash(f"the decoding process ended with code {code}") from None
        except BaseException:  # an interrupt, or an answer that cannot be read: the pipe is out of step
            self._kill()
            raise

    def _living_child(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._kill()
            self._child = _spawner().spawn(self._memory_bytes)
            try:
                _receive(self._child.stdout, time.monotonic() + START_TIMEOUT_S)  # its greeting
            except (EOFError, OSError, TimeoutError):
                code = self._kill()
                raise DecoderCrash(f"the decoding process did not start (code {code})") from None
        return self._child

    def _kill(self) -> int | None:
        """End the child and reap it; returns its exit code."""
        child, self._child = self._child, None
        if child is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return child.wait()


def _send(pipe: IO[bytes] | None, message: bytes, deadline: float) -> None:
    assert pipe is not None
    data = memoryview(_HEAD.pack(len(message)) + message)
    descriptor = pipe.fileno()
    os.set_blocking(descriptor, False)
    while data:
        _, ready, _ = select.select([], [descriptor], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(descriptor, data) :]


def _receive(pipe: IO[bytes] | None, deadline: float) -> bytes:
    assert pipe is not None
    (length,) = _HEAD.unpack(_read_exactly(pipe.fileno(), _HEAD.size, deadline))
    if length > MOST_ANSWER_BYTES:
        raise EOFError
    return _read_exactly(pipe.fileno(), length, deadline)


def _read_exactly(descriptor: int, n_bytes: int, deadline: float) -> bytes:
    parts, n_missing = [], n_bytes
    while n_missing:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(descriptor, min(n_missing, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        n_missing -= len(part)
    return b"".join(parts)


class _Spawner(threading.Thread):
    """Starts children from a thread that lives as long as the process.

    The death signal fires when the thread that forked ends, not the process: a child started from a task's thread
    would be killed with that thread.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="sandbox-spawner")
        self.pid = os.getpid()
        self._jobs: queue.SimpleQueue[tuple[int, queue.SimpleQueue[_Started]]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            memory_bytes, answers = self._jobs.get()
            try:
                answers.put(_start_child(memory_bytes))
            except OSError as error:
                answers.put(error)

    def spawn(self, memory_bytes: int) -> subprocess.Popen[bytes]:
        """A new child. OSError when the system has no process left."""
        answers: queue.SimpleQueue[_Started] = queue.SimpleQueue()
        self._jobs.put((memory_bytes, answers))
        answer = answers.get()
        if isinstance(answer, OSError):
            raise answer
        return answer


_spawners: list[_Spawner] = []
_spawner_lock = threading.Lock()


def _spawner() -> _Spawner:
    with _spawner_lock:
        if not _spawners or _spawners[-1].pid != os.getpid():  # threads do not survive a fork
            _spawners[:] = [_Spawner()]
        return _spawners[0]


def _start_child(memory_bytes: int) -> subprocess.Popen[bytes]:
    # One thread each: the cluster's workers are the parallelism, and thread pools eat address space.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.sandbox", str(os.getpid()), str(memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=environment,
        start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
    )


# ---- the child -------------------------------------------------------------------------------------------------


def child_main(parent_pid: int, memory_bytes: int) -> None:
    """Answer calls on stdin and stdout until the parent closes them or dies."""
    die_with_parent(parent_pid)
    requests, answers = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)  # decoders that print must not write into the protocol
    os.dup2(quiet, 1)
    import tasks.slab  # noqa: F401 - all imports before memory is bounded, so that every call has the same room

    _bound_memory(memory_bytes)
    _write_all(answers, b"ready")
    while True:
        head = _read_or_none(requests, _HEAD.size)
        if head is None:
            return
        body = _read_or_none(requests, _HEAD.unpack(head)[0])
        if body is None:
            return
        _write_all(answers, _answer(body))


def _bound_memory(memory_bytes: int) -> None:
    """Address space: what is in use now plus the allowance. No core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = 0
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = used + memory_bytes
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _answer(body: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(body)
        return pickle.dumps(function(*args, **kwargs), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(_Failure(MemoryError()))
    except Exception as error:
        return _pickled_failure(error)


def _pickled_failure(error: Exception) -> bytes:
    error.__traceback__ = error.__context__ = error.__cause__ = None
    try:
        data = pickle.dumps(_Failure(error))
        pickle.loads(data)
    except Exception:  # an exception that cannot travel: its kind does
        return pickle.dumps(_Failure(SandboxError(type(error).__name__)))
    return data


def _read_or_none(descriptor: int, n_bytes: int) -> bytes | None:
    parts, n_missing = [], n_bytes
    while n_missing:
        part = os.read(descriptor, min(n_missing, 1 << 20))
        if not part:
            return None
        parts.append(part)
        n_missing -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, message: bytes) -> None:
    data = memoryview(_HEAD.pack(len(message)) + message)
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    # Pickles name this module by its import name, not `__main__`.
    from tasks.sandbox import child_main as imported_main

    imported_main(int(sys.argv[1]), int(sys.argv[2]))
