"""`ovf twins`: real anatomy with made fractures."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from flows.console import megabytes
from flows.errors import SettingsError


def twins(
    series_dir: Annotated[
        Path, typer.Argument(help="folder with one axial CT series, or a CT volume in NIfTI")
    ],
    marks: Annotated[
        Path,
        typer.Option(help="where the vertebral bodies lie: .csv of endplates, .nii(.gz) or DICOM SEG masks"),
    ],
    out: Annotated[Path, typer.Option(help="folder to make; must be new or empty")],
    number: Annotated[int, typer.Option(min=1, max=10_000, help="how many twins, each with its sham")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="the same seed makes the same files")] = 1,
    slabs_only: Annotated[
        bool, typer.Option("--slabs-only", help="slabs with dense truth instead of DICOM files; faster")
    ] = False,
    labels: Annotated[
        str | None, typer.Option(help="numbering of a NIfTI mask: totalsegmentator | verse; else found out")
    ] = None,
) -> None:
    """Make twins of a real scan: one vertebra lowered by 0-60 %, and a sham with the same heights beside each.

    Nothing that names the patient is carried over, but the pictures stay the patient's: treat them as such.

    Example: ovf twins my-series --marks vertebrae.csv --out my-twins --number 20
    """
    from phantom.real.ct_series import RealDataError
    from phantom.real.mark_files import read_marks
    from phantom.real.scan_files import read_real_scan
    from phantom.real.twin_archives import write_twins

    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} is not empty: name a new folder")
    try:
        series = read_real_scan(series_dir)
        bodies = read_marks(marks, series, scheme=labels)
    except RealDataError as error:
        raise SettingsError(str(error)) from error
    if series.is_image and not slabs_only:
        raise SettingsError("one sagittal image makes no axial series: add --slabs-only")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("twins", total=2 * number)
        made = write_twins(
            out,
            series,
            bodies,
            number,
            seed,
            slabs_only=slabs_only,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    print(
        f"{number:,} twins and as many shams of {len(bodies)} vertebrae ({bodies[0].level}-{bodies[-1].level}), "
        f"{megabytes(made.n_bytes)} in {out}: {'slabs' if slabs_only else 'archive'}/, truth.csv, truth_vertebrae.csv"
    )
    if not slabs_only:
        print(f"Next:  ovf sweep {shlex.quote(str(out / 'archive'))}")
