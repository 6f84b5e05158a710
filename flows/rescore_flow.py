"""The flow of a rescoring, for its deployment: another model over the slabs that were kept, on demand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.errors import OvfError
from flows.rescore import rescore

ARTIFACT = "ovf-rescore"


@flow(name="rescore", persist_result=False, retries=0, validate_parameters=False)
def rescore_slabs(
    warehouse: str,
    model: str,
    slabs: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Score every kept slab that this model has not scored; returns the counts.

    Raises what `ovf rescore` raises, and OvfError where a slab was left without a score.
    """
    done = rescore(Path(warehouse), model, Path(slabs) if slabs else None, workers, scheduler)
    told = asdict(done)
    rows = [f"| {name.removeprefix('n_').replace('_', ' ')} | {value} |" for name, value in told.items()]
    create_markdown_artifact(
        "\n".join(["| | |", "|---|---|", *rows]), key=ARTIFACT, description=f"Scores of {model}"
    )
    if done.n_lacking:
        raise OvfError(
            f"{done.n_lacking} of {done.n_wanted} kept slabs have no score: the artifact {ARTIFACT} says why"
        )
    return told
