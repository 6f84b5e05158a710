"""`ovf demo`: a small simulated hospital to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from flows.console import megabytes
from flows.errors import SettingsError


def demo(
    directory: Annotated[Path, typer.Argument(help="folder to make; must be new or empty")],
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="how many patients")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="the same seed makes the same files")] = 1,
) -> None:
    """Make a small simulated hospital: CT files as an archive has them, reports, and the truth behind both.

    Example: ovf demo demo-hospital --patients 24 --seed 1
    """
    from phantom.hospital import make_hospital

    if directory.exists() and any(directory.iterdir()):
        raise SettingsError(f"{directory} is not empty: name a new folder")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("patients", total=patients)
        made = make_hospital(
            directory,
            patients=patients,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    print(
        f"{made.n_patients:,} patients, {made.n_studies:,} studies ({made.n_studies_with_fracture:,} with a fracture), "
        f"{made.n_files:,} files, {megabytes(made.n_bytes)} in {directory}: archive/, reports.csv, truth.csv"
    )
    print(f"Next:  ovf sweep {directory / 'archive'}")
