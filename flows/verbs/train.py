"""`ovf train`: train a model, from a hospital's own warehouse or on simulated scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.console import make_console
from flows.verbs.options import DEFAULT

if TYPE_CHECKING:
    from models.config import ViewRecipe

Doubt = Literal["leave-out", "case", "control"]


# Options that say what is learned from a warehouse; simulated scans have their truth.
OF_A_WAREHOUSE = (
    "slabs",
    "simulated",
    "match",
    "caliper",
    "controls",
    "keep_unmatched",
    "first_scan_only",
    "possible",
    "ambiguous",
)


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="folder for checkpoints and, at the end, the model")],
    recipe: Annotated[
        str,
        typer.Option(
            help="quick | published; for simulated scans also wide, and refine and deepen (with --start)"
        ),
    ] = "quick",
    warehouse: Annotated[
        Path | None, typer.Option(help="train on the slabs of this warehouse; simulated scans unless told")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="label file (docs/evaluation.md), such as the truth.csv of `ovf demo`")
    ] = None,
    from_reports: Annotated[
        bool, typer.Option("--from-reports", help="labels from what the imported reports state")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            help="what the extractor begins from: id or folder of a model, a .safetensors file of ResNet34, or "
            "random. From a warehouse: the shipped model; on simulated scans: random"
        ),
    ] = None,
    model_id: Annotated[str | None, typer.Option(help="name of the model")] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of patients, controls, split and weights")] = 1,
    possible: Annotated[Doubt, typer.Option(help="reports that doubt a fracture")] = "leave-out",
    ambiguous: Annotated[
        Doubt, typer.Option(help="reports that say deformity or height loss only")
    ] = "leave-out",
    match: Annotated[bool, typer.Option(help="draw controls matched by age and sex")] = True,
    caliper: Annotated[int, typer.Option(min=0, help="most years between a case and its control")] = 5,
    controls: Annotated[int, typer.Option(min=1, help="controls a case")] = 1,
    keep_unmatched: Annotated[
        bool, typer.Option("--keep-unmatched", help="keep cases that found no control")
    ] = False,
    first_scan_only: Annotated[
        bool, typer.Option("--first-scan-only", help="the first scan of each patient, not all")
    ] = False,
    view: Annotated[
        str | None,
        typer.Option(
            help="what the model reads: tiles-1p25-spine | tiles-1p25 | published; the recipe's unless told"
        ),
    ] = None,
    slabs: Annotated[
        Path | None, typer.Option(help="where slabs are kept: slabs/ beside the warehouse")
    ] = None,
    simulated: Annotated[
        bool,
        typer.Option("--simulated", help="the patients of the warehouse are simulated: the model says so"),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="processes that read slabs or simulate")] = 2,
    patients: Annotated[
        int | None, typer.Option(min=40, help="simulated patients; the recipe's own number unless told")
    ] = None,
    real_series: Annotated[
        list[Path] | None,
        typer.Option(
            help="folder of a real CT series, a volume in NIfTI, or a sagittal image, to make twins of; repeatable"
        ),
    ] = None,
    real_marks: Annotated[
        list[Path] | None,
        typer.Option(help="its vertebrae, as `ovf twins` reads them: one file for all, or one for each"),
    ] = None,
    real_credit: Annotated[
        str, typer.Option(help="whose scans they are, and under which licence; stands in the card")
    ] = "",
) -> None:
    """Train a model on the slabs of a warehouse, or on simulated scans. Stops and resumes at its last checkpoint.

    From a warehouse: cases and matched controls, split by patient into training, validation, calibration and test,
    stored with the weights as pseudonyms. Label files and reports are wrong at times: so is what learns from them.

    Example: ovf train --warehouse ovf-warehouse/warehouse.duckdb --from-reports --recipe quick --out my-model
    """
    if warehouse is None and labels is None and not from_reports:
        real = (tuple(real_series or ()), tuple(real_marks or ()), real_credit)
        _refuse_options_of_a_warehouse(context)
        _on_phantoms(
            out,
            recipe,
            seed,
            workers,
            start=start,
            model_id=model_id,
            patients=patients,
            view=_view(view),
            real=real,
        )
        return
    if (labels is None) is not from_reports:
        raise typer.BadParameter("say who is a case: either --labels FILE or --from-reports")
    if real_series or real_marks:
        raise typer.BadParameter(
            "--real-series and --real-marks go with simulated scans, not with a warehouse"
        )
    if patients is not None:
        raise typer.BadParameter("--patients is for simulated scans: a warehouse has its own")
    from flows.cohort import CohortOrder
    from flows.labels import ReportRule
    from flows.train_cohort import DEFAULT_START, TrainOrder, train_on_cohort
    from warehouse.store import Store

    store = Store.open(warehouse or DEFAULT, create=False)
    order = TrainOrder(
        slab_directory=slabs or store.paths.directory / "slabs",
        labels=labels,
        report_rule=ReportRule(possible, ambiguous),
        cohort=CohortOrder(match, caliper, controls, first_scan_only, keep_unmatched, seed),
        recipe=recipe,
        start=start or DEFAULT_START,
        view=_view(view),
        model_id=model_id or "ovf-own",
        is_simulated=simulated,
        seed=seed,
        workers=workers,
    )
    console = make_console()
    console.print(train_on_cohort(store, out, order, console.print), markup=False)


def _refuse_options_of_a_warehouse(context: typer.Context) -> None:
    sources = {name: context.get_parameter_source(name) for name in OF_A_WAREHOUSE}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(
            f"{options}: for a training on a warehouse (--labels FILE or --from-reports); without them it would learn "
            "from simulated scans"
        )


def _view(name: str | None) -> ViewRecipe | None:
    from models.config import VIEW_RECIPES

    if name is not None and name not in VIEW_RECIPES:
        raise typer.BadParameter(f"--view is none of {', '.join(VIEW_RECIPES)}")
    return VIEW_RECIPES[name] if name else None


def _on_phantoms(
    out: Path,
    recipe: str,
    seed: int,
    workers: int,
    *,
    start: str | None,
    model_id: str | None,
    patients: int | None,
    view: ViewRecipe | None,
    real: tuple[tuple[Path, ...], tuple[Path, ...], str],
) -> None:
    from flows.train import RealData, train_on_phantoms

    console = make_console()
    console.print(
        train_on_phantoms(
            out,
            recipe=recipe,
            patients=patients,
            seed=seed,
            start=start,
            model_id=model_id or "ovf-phantom",
            say=console.print,
            workers=workers,
            view=view,
            real=RealData(*real),
        )
    )
