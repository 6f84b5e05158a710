"""`ovf judge`: a frozen model on the frozen test set of simulated scans, or on real anatomy with made fractures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.console import make_console

app = typer.Typer(
    help="Judge a frozen model: on the frozen simulated test set, or on made fractures.", no_args_is_help=True
)


@app.command()
def protocol(
    model: Annotated[Path, typer.Argument(help="folder of a model with its operating point")],
    workers: Annotated[
        int, typer.Option(min=1, help="processes that simulate scans; 1: none beside the scoring")
    ] = 2,
    number: Annotated[
        int | None,
        typer.Option("--protocol", help="number of the frozen test set; the latest when not given"),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="only each so many-th study; 1: all")] = 1,
    first: Annotated[int, typer.Option(min=0, help="number of the first study, from 0")] = 0,
) -> None:
    """Score a frozen test set of simulated scans (`phantom/protocol-N`); every use is logged beside the model.

    Example: ovf judge protocol my-model
    """
    from flows.protocol_evaluation import judge_on_protocol
    from phantom.protocol import LATEST

    console, chosen = make_console(), LATEST if number is None else number
    console.print(
        judge_on_protocol(model, workers=workers, say=console.print, number=chosen, every=every, first=first)
    )


@app.command()
def twins(
    model: Annotated[Path, typer.Argument(help="folder of a model with its operating point")],
    real_series: Annotated[
        list[Path],
        typer.Option(help="folder of a real CT series, a volume in NIfTI, or a sagittal image; repeatable"),
    ],
    real_marks: Annotated[list[Path], typer.Option(help="its vertebrae: one file for all, or one for each")],
    out: Annotated[Path, typer.Option(help="folder for twins.csv and twins.json")],
    pairs: Annotated[int, typer.Option(min=1, help="twins and shams of each scan")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="seed of levels, shapes and losses")] = 1,
) -> None:
    """Score twins of real scans, one vertebra lowered, against their shams. Only scans that no training saw count.

    Example: ovf judge twins my-model --real-series ct/one --real-marks vertebrae.csv --out twins-of-one
    """
    from flows.real_scans import read_sources
    from flows.twin_evaluation import judge_on_twins

    console = make_console()
    sources = read_sources(real_series, real_marks)
    console.print(judge_on_twins(model, sources, out, pairs=pairs, seed=seed, say=console.print))
