"""`ovf train`: train a model with the project's own code (first form: on simulated scans)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.console import make_console


def train(
    out: Annotated[Path, typer.Option(help="folder for checkpoints and, at the end, the model")],
    recipe: Annotated[str, typer.Option(help="quick | refine (with --start) | published")] = "quick",
    patients: Annotated[
        int | None, typer.Option(min=40, help="simulated patients; the recipe's own number unless told")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="id or folder of a model to begin from; random weights unless told")
    ] = None,
    model_id: Annotated[str, typer.Option(help="name of the model")] = "ovf-phantom",
    seed: Annotated[int, typer.Option(min=0, help="seed of patients, split and weights")] = 1,
) -> None:
    """Train a model on simulated scans. Stops and resumes at its last checkpoint.

    Example: ovf train --recipe quick --out my-model
    """
    from flows.train import train_on_phantoms

    console = make_console()
    console.print(
        train_on_phantoms(
            out,
            recipe=recipe,
            patients=patients,
            seed=seed,
            start=start,
            model_id=model_id,
            say=console.print,
        )
    )
