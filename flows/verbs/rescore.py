"""`ovf rescore`: another model's scores, from the slabs that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import Exit
from flows.verbs.options import DEFAULT, INSTALLED_MODEL, WarehouseOption


def rescore(
    model: Annotated[str, typer.Option(help=INSTALLED_MODEL)],
    slabs: Annotated[Path | None, typer.Option(help="folder of the kept slabs, if the sweep had one")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="local Dask workers; default: one a core")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler")] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Score the kept slabs with a model that has not scored them; the archive is not read.

    May be stopped and called again. Its scores stand beside those of other models and take over nothing: name the
    model where scores are read, or sweep with it.

    Example: ovf rescore --model ovf-phantom-2
    """
    from flows.rescore import rescore as run

    done = run(warehouse, model, slabs, workers, scheduler)
    print(
        f"{done.model_id}: {done.n_scored:,} of {done.n_wanted:,} kept slabs scored; "
        f"{done.n_unreadable:,} gone or damaged, {done.n_not_finite:,} without a finite answer."
    )
    if done.n_not_kept:
        print(f"{done.n_not_kept:,} series have no kept slab: only a sweep with this model can score them.")
    if done.n_died:
        print(f"{done.n_died:,} series were in shards whose workers died: call this again.")
    if done.n_unreadable:
        print(
            "Slabs that are gone or damaged: is --slabs the folder of the sweep? Else sweep those series again."
        )
    if done.n_lacking:
        raise typer.Exit(Exit.RETRIABLE)
