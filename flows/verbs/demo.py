"""`ovf demo`: a small simulated hospital to try everything on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import bar, megabytes
from flows.errors import SettingsError
from flows.process_pool import cores, process_pool

if TYPE_CHECKING:
    from phantom.families import Family


def demo(
    directory: Annotated[Path, typer.Argument(help="folder to make; must be new or empty")],
    patients: Annotated[int, typer.Option(min=1, max=100_000, help="how many patients")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="the same seed makes the same files")] = 1,
    family: Annotated[str, typer.Option(help="family of settings, such as kyphotic or low-dose")] = "base",
    slabs_only: Annotated[
        bool, typer.Option("--slabs-only", help="sagittal slabs with dense truth instead of DICOM files")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="processes that write studies; 0: one per processor core")
    ] = 0,
) -> None:
    """Make a small simulated hospital: CT files as an archive has them, reports, and the truth behind both.

    DIR/index.html shows the scans with the truth drawn over them.

    Example: ovf demo demo-hospital --patients 24 --seed 1
    """
    settings = _family(family)
    if directory.exists() and any(directory.iterdir()):
        raise SettingsError(f"{directory} is not empty: name a new folder")
    if slabs_only:
        _slabs(directory, patients, seed, settings)
    else:
        _hospital(directory, patients, seed, settings, workers or cores())
    print(f"Look:  {directory / 'index.html'}")


def _family(name: str) -> Family:
    from phantom.families import UnknownFamily, family_of

    try:
        return family_of(name)
    except UnknownFamily as error:
        raise SettingsError(str(error)) from error


def _hospital(directory: Path, patients: int, seed: int, family: Family, workers: int) -> None:
    from phantom.hospital import make_hospital
    from phantom.hospital_gallery import write_hospital_gallery

    with bar("patients", patients) as progress, process_pool(workers) as pool:
        made = make_hospital(
            directory, patients=patients, seed=seed, progress=progress, family=family, study_map=pool.map
        )
    write_hospital_gallery(directory, patients=patients, seed=seed, family=family)
    print(
        f"{made.n_patients:,} patients, {made.n_studies:,} studies ({made.n_studies_with_fracture:,} with a fracture), "
        f"{made.n_files:,} files, {megabytes(made.n_bytes)} in {directory}: archive/, reports.csv, truth.csv"
    )
    print(f"Next:  ovf sweep {shlex.quote(str(directory / 'archive'))}")


def _slabs(directory: Path, patients: int, seed: int, family: Family) -> None:
    from phantom.slab_sets import make_slabs

    with bar("patients", patients) as progress:
        made = make_slabs(directory, patients=patients, seed=seed, progress=progress, family=family)
    print(
        f"{made.n_slabs:,} slabs ({made.n_with_fracture:,} with a fracture), {megabytes(made.n_bytes)} "
        f"in {directory}: slabs/, truth.csv, truth_vertebrae.csv"
    )
