"""`ovf evaluate`: how a model does against the truth about scans of a warehouse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.verbs.options import DEFAULT, INSTALLED_MODEL, SCORED_MODEL, WarehouseOption


def evaluate(
    out: Annotated[Path, typer.Option(help="folder for the page and the tables; made when absent")],
    warehouse: WarehouseOption = DEFAULT,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"{INSTALLED_MODEL}; or one that has scored here (needed when several have): {SCORED_MODEL}"
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="label file (docs/evaluation.md), such as the truth.csv of `ovf demo`")
    ] = None,
    from_readings: Annotated[
        bool, typer.Option("--from-readings", help="the truth is what the readers of an audit found")
    ] = False,
    audit_id: Annotated[
        str | None, typer.Option("--audit", help="with --from-readings: an earlier sample, such as A1")
    ] = None,
    from_reports: Annotated[
        bool, typer.Option("--from-reports", help="the truth is what the reports state: they err too")
    ] = False,
    slabs: Annotated[
        Path | None, typer.Option(help="where slabs are kept: slabs/ beside the warehouse")
    ] = None,
    show_small_cells: Annotated[
        bool,
        typer.Option(
            "--show-small-cells", help="small counts, and facts about the errors: for internal use only"
        ),
    ] = False,
) -> None:
    """Write the published table with correct intervals, curves, groups and every error: a page and tables (CSV).

    The truth is a label file, the readers of an audit, the reports, or without any of them the test part of the
    model's own split. Patients that the model was trained on are left out. A model that has scored nothing in this
    warehouse reads the stored slabs.

    Example: ovf evaluate --labels demo-hospital/truth.csv --out evaluation
    """
    if sum((labels is not None, from_readings, from_reports)) > 1:
        raise typer.BadParameter("one truth at a time: --labels, --from-readings or --from-reports")
    if audit_id is not None and not from_readings:
        raise typer.BadParameter("--audit names a sample whose readings are the truth: add --from-readings")
    from flows.evaluate import EvaluationRequest
    from flows.evaluate import evaluate as evaluated
    from flows.evaluation_export import keep_beside_model, write_tables
    from flows.evaluation_summary import evaluation_text
    from flows.thumbnails import thumbnails_of
    from reports.evaluation_page import render_evaluation_page
    from warehouse.paths import replace_file
    from warehouse.store import Store

    store = Store.open(warehouse, create=False)
    slab_directory = slabs or store.paths.directory / "slabs"
    asked = EvaluationRequest(
        slab_directory,
        model,
        labels,
        is_from_readings=from_readings,
        is_from_reports=from_reports,
        audit_id=audit_id,
        is_showing_small=show_small_cells,
    )
    evaluation = evaluated(store, asked)
    written = write_tables(evaluation, out)
    page = render_evaluation_page(evaluation, thumbnails_of(evaluation.errors, slab_directory))
    replace_file(out / "index.html", page.encode())
    print(evaluation_text(evaluation))
    if asked.is_of_stored_test and model is not None and Path(model).is_dir() and os.access(model, os.W_OK):
        keep_beside_model(evaluation, Path(model))
    print(f"{len(written)} tables and the page index.html in {out}")
