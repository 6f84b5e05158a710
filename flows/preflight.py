"""Asks every Dask worker whether it can do this sweep, before any work is sent to it.

Work for a resource that no worker has would wait for ever and say nothing, and workers with other code would give
other scores. Every answer is compared with the driver's own; all faults of all workers are listed at once. A worker
that joins later is asked the same by its first task (`guarded`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flows.errors import PreflightError
from flows.version import code_digest

if TYPE_CHECKING:
    from distributed import Client

P = ParamSpec("P")
R = TypeVar("R")

GPU = "GPU"  # the resource a worker declares with `dask worker --resources GPU=1`
# To import torch and read the weights: 4 s, but over 120 s were seen on an overloaded machine.
ANSWER_TIMEOUT_S = 600.0

# Libraries whose version can change a pixel or a score.
LIBRARIES = (
    "numpy",
    "scipy",
    "torch",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
    "glymur",
    "distributed",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a worker must have to take part: the driver's own code, libraries and weights, and the same folders."""

    code_digest: str
    libraries: tuple[tuple[str, str], ...]
    model: str
    model_digest: str
    token_path: str  # a file on shared storage, there as long as the sweep
    token: str
    archive: str | None  # None: the archive is no path
    slabs: str | None  # None: slabs are not kept


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker says of itself."""

    faults: tuple[str, ...]
    has_gpu: bool


@contextmanager
def expectation(
    shared_directory: Path, model: str, model_digest: str, archive: str | None, slabs: Path | None
) -> Iterator[Expected]:
    """What this sweep expects of its workers; the test file lies in shared storage until the end."""
    shared_directory.mkdir(parents=True, exist_ok=True)
    if slabs is not None:
        slabs.mkdir(parents=True, exist_ok=True)
    token_path = shared_directory / f"preflight-{secrets.token_hex(4)}"
    token = secrets.token_hex(16)
    token_path.write_text(token)
    try:
        yield Expected(
            code_digest(),
            _libraries(),
            model,
            model_digest,
            str(token_path),
            token,
            archive,
            None if slabs is None else str(slabs),
        )
    finally:
        token_path.unlink(missing_ok=True)


def check_workers(client: Client, expected: Expected, gpu: str = "auto") -> dict[str, float] | None:
    """Check all workers; returns the resources that scoring asks for ({"GPU": 1} where workers declare one, else None).

    `gpu`: auto (who declares one must have one), required (somebody must), label (the label alone says who scores).
    Raises PreflightError with one line a fault.
    """
    workers = workers_of(client)
    if not workers:
        raise PreflightError("the Dask scheduler has no workers: start some, then sweep again")
    gpu_workers = {address for address, info in workers.items() if declares_gpu(info)}
    answers = _ask(client, expected)
    faults = [
        f"worker {number} ({address}): {fault}"
        for number, (address, answer) in enumerate(sorted(answers.items()))
        for fault in _faults_of(answer, asks_gpu=address in gpu_workers and gpu != "label")
    ]
    if gpu == "required" and not gpu_workers:
        faults.append(
            f"none of {len(workers)} workers declares GPU=1: start one with `--resources GPU=1`, or take --gpu auto"
        )
    if faults:
        raise PreflightError("the cluster cannot do this sweep:\n  " + "\n  ".join(faults))
    return {GPU: 1} if gpu_workers else None


def workers_of(client: Client) -> dict[str, Any]:
    """Address → what the scheduler knows of each worker, now."""
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def declares_gpu(info: Mapping[str, Any]) -> bool:
    """Whether a worker, as the scheduler knows it, declares GPU=1."""
    return bool(info["resources"].get(GPU, 0) >= 1)


async def report(expected: Expected) -> Answer:
    """Runs on a worker: what it lacks, and whether torch sees a GPU. Its event loop stays free meanwhile."""
    return await asyncio.to_thread(_answer, expected)


def _answer(expected: Expected) -> Answer:
    import torch

    return Answer(tuple(_faults_here(expected)), torch.cuda.is_available())


_passed: set[Expected] = (
    set()
)  # of this process; a fault is looked for again each time, it may have been mended


def guarded(expected: Expected, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs on a worker: `function(*args)`, if this worker is what the sweep expects. Raises PreflightError.

    The first task of a worker that joined late is its preflight; a worker that was asked before answers from memory.
    """
    if expected not in _passed:
        faults = _faults_here(expected)
        if faults:
            raise PreflightError(
                f"a worker that joined cannot do this sweep ({_address()}): " + "; ".join(faults)
            )
        _passed.add(expected)
    return function(*args, **kwargs)


def _ask(client: Client, expected: Expected) -> dict[str, Answer | BaseException]:
    """Everybody's answer; a worker that left while it was asked is no fault."""
    try:
        answers = client.sync(
            client._run, report, expected, on_error="return", callback_timeout=ANSWER_TIMEOUT_S
        )
    except TimeoutError:
        raise PreflightError(
            f"a worker has not answered in {ANSWER_TIMEOUT_S:.0f} s: restart those that hang, then sweep again"
        ) from None
    still_there = workers_of(client)
    return {a: answer for a, answer in answers.items() if a in still_there or isinstance(answer, Answer)}


def _faults_of(answer: Answer | BaseException, *, asks_gpu: bool) -> list[str]:
    if isinstance(answer, BaseException):
        what = f"{type(answer).__name__}: {answer}"
        return [f"cannot answer: {what}; is the same release of ovf installed there?"]
    faults = list(answer.faults)
    if asks_gpu and not answer.has_gpu:
        faults.append("declares GPU=1 but torch sees no CUDA device: check the driver, or take --gpu label")
    return faults


def _faults_here(expected: Expected) -> list[str]:
    """What this process lacks, one sentence each."""
    faults = []
    if code_digest() != expected.code_digest:
        here, there = code_digest(), expected.code_digest
        faults.append(f"runs other code ({here}, the sweep {there}): install the same release")
    for (name, wanted), (_, here) in zip(expected.libraries, _libraries(), strict=True):
        if here != wanted:
            faults.append(f"{name} is {here}, the sweep has {wanted}: install from the same constraints.txt")
    return faults + _missing_parts(expected) + _missing_folders(expected)


def _missing_parts(expected: Expected) -> list[str]:
    from models.loading import load_model
    from models.registry import ModelError
    from tasks.openjpeg import NoOpenJpegError, glymur_module

    faults = []
    try:
        digest = load_model(expected.model).digest  # checks the weights' hash too
    except (ModelError, OSError) as error:
        said = str(error) if isinstance(error, ModelError) else type(error).__name__
        faults.append(f"the model of the sweep cannot be loaded ({said}): copy the same weights")
    else:
        if digest != expected.model_digest:
            faults.append(
                f"the model is {digest}, the sweep has {expected.model_digest}: copy the same weights"
            )
    try:
        glymur_module()
    except NoOpenJpegError:
        faults.append("no OpenJPEG library: install libopenjp2-7, or Pillow's wheel")
    return faults


def _missing_folders(expected: Expected) -> list[str]:
    """Shared storage is proved by a secret that is read, not by a path that happens to exist."""
    try:
        token = Path(expected.token_path).read_text()
    except OSError as error:
        return [
            f"shared storage: the test file is unreadable ({type(error).__name__}): mount the warehouse's folder there"
        ]
    if token != expected.token:
        return ["shared storage: another folder lies under the warehouse's path: mount the same one there"]
    faults = []
    if expected.archive is not None and not os.access(expected.archive, os.R_OK):
        faults.append("the archive cannot be read there: mount it under the same path")
    if expected.slabs is not None and not os.access(expected.slabs, os.W_OK):
        faults.append("the folder of slabs cannot be written there: mount it under the same path")
    return faults


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return "no worker"


def _libraries() -> tuple[tuple[str, str], ...]:
    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "missing"

    return tuple((name, installed(name)) for name in LIBRARIES)
