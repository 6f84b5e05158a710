"""Asks every Dask worker whether it can do this sweep, before any work is sent.

Work for a resource that no worker has would wait for ever and say nothing, and workers with other code would give
other scores. Every answer is compared with the driver's own; all faults of all workers are listed at once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import PreflightError
from flows.version import code_digest

if TYPE_CHECKING:
    from distributed import Client

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
class Answer:
    """What one worker says of itself."""

    code_digest: str
    libraries: dict[str, str]
    model_digest: str
    has_gpu: bool
    token: str
    has_openjpeg: bool


def report(token_path: str, model: str) -> Answer:
    """Runs on a worker: versions, weights, decoders, GPU, and the token that the driver wrote to shared storage."""
    import torch

    from models.loading import load_model
    from models.registry import ModelError
    from tasks.openjpeg import NoOpenJpegError, glymur_module

    try:
        digest = load_model(model).digest  # checks the weights' hash too
    except (ModelError, OSError) as error:
        digest = f"missing ({type(error).__name__})"
    try:
        token = Path(token_path).read_text()
    except OSError as error:
        token = f"unreadable ({type(error).__name__})"
    try:
        glymur_module()
        has_openjpeg = True
    except NoOpenJpegError:
        has_openjpeg = False
    return Answer(code_digest(), _libraries(), digest, torch.cuda.is_available(), token, has_openjpeg)


def check_workers(
    client: Client, shared_directory: Path, model: str, model_digest: str
) -> dict[str, float] | None:
    """Check all workers; returns the resources that scoring asks for ({"GPU": 1} where workers declare one, else None).

    Raises PreflightError with one line a fault.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise PreflightError("the Dask scheduler has no workers: start some, then sweep again")
    shared_directory.mkdir(parents=True, exist_ok=True)
    token_path = shared_directory / f"preflight-{secrets.token_hex(4)}"
    token = secrets.token_hex(16)
    token_path.write_text(token)
    try:
        answers = client.run(report, str(token_path), model, on_error="return")
    finally:
        token_path.unlink(missing_ok=True)
    gpu_workers = {address for address, info in workers.items() if info["resources"].get("GPU", 0) >= 1}
    faults = [
        f"worker {number} ({address}): {fault}"
        for number, (address, answer) in enumerate(sorted(answers.items()))
        for fault in _faults(answer, token, model_digest, address in gpu_workers)
    ]
    if faults:
        raise PreflightError("the cluster cannot do this sweep:\n  " + "\n  ".join(faults))
    return {"GPU": 1} if gpu_workers else None


def _faults(answer: Answer | BaseException, token: str, model_digest: str, declares_gpu: bool) -> list[str]:
    if isinstance(answer, BaseException):
        return [f"cannot answer: {type(answer).__name__}: {answer}; is ovf installed there?"]
    faults = []
    if answer.code_digest != code_digest():
        faults.append(
            f"runs other code ({answer.code_digest}, here {code_digest()}): install the same release"
        )
    for name, here in _libraries().items():
        there = answer.libraries[name]
        if there != here:
            faults.append(f"{name} is {there}, here {here}: install from the same constraints.txt")
    if answer.model_digest != model_digest:
        faults.append(f"the model is {answer.model_digest}, here {model_digest}: copy the same weights")
    if answer.token != token:
        faults.append(f"shared storage: the test file is {answer.token}: mount the warehouse's folder there")
    if not answer.has_openjpeg:
        faults.append("no OpenJPEG library: install libopenjp2-7, or Pillow's wheel")
    if declares_gpu and not answer.has_gpu:
        faults.append("declares GPU=1 but torch sees no CUDA device: check the driver")
    return faults


def _libraries() -> dict[str, str]:
    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "missing"

    return {name: installed(name) for name in LIBRARIES}
