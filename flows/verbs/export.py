"""`ovf export scores`: one row per study found, as CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, WarehouseOption
from warehouse.export import FORMATS, write_rows
from warehouse.queries import query
from warehouse.store import Store

app = typer.Typer(help="Results as files.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Results as files."""


@app.command()
def scores(
    out: Annotated[Path, typer.Option(help="file to write: .csv or .parquet")],
    warehouse: WarehouseOption = DEFAULT,
    model: Annotated[
        str | None, typer.Option(help="scores of this model; needed when several have scored")
    ] = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="add PatientID, accession number and DICOM UIDs")
    ] = False,
) -> None:
    """Write one row per study found: outcome, reason, probability, flag.

    Reads the published copy, so it works during a sweep.

    Example: ovf export scores --out scores.csv
    """
    if out.suffix not in FORMATS:
        raise SettingsError(f"{out.name}: the name must end in {' or '.join(FORMATS)}")
    store = Store.open(warehouse, create=False)
    opened = store.read_identified() if identified else store.read()
    with opened as connection:
        sql = query("export_scores_identified" if identified else "export_scores")
        n_studies = write_rows(connection, sql, out, {"model_id": _model(connection, model)})
    kind = "identified: keep it safe" if identified else "pseudonymous"
    print(f"{n_studies:,} studies → {out} ({kind})")


def _model(connection: Any, model: str | None) -> str | None:
    rows = connection.execute(query("models_with_scores")).fetchall()
    known = [str(row[0]) for row in rows]
    if model is not None and model not in known:
        raise SettingsError(f"no scores of model {model}; there are scores of: {', '.join(known) or 'none'}")
    if model is None and len(set(known)) > 1:
        raise SettingsError(f"several models have scored; name one with --model: {', '.join(known)}")
    return model
