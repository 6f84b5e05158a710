"""`ovf export scores`: one row per study found, as CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, WarehouseOption
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
    store = Store.open(warehouse, create=False)
    write = {".csv": _write_csv, ".parquet": _write_parquet}.get(out.suffix)
    if write is None:
        raise SettingsError(f"{out.name}: the name must end in .csv or .parquet")
    opened = store.read_identified() if identified else store.read()
    with opened as connection:
        parameters = {"model_id": _model(connection, model)}
        sql = query("export_scores_identified" if identified else "export_scores")
        table: Any = connection.execute(sql, parameters).to_arrow_table()
    write(table, out)
    kind = "identified, keep it safe" if identified else "pseudonymous"
    print(f"{table.num_rows:,} studies → {out} ({kind})")


def _model(connection: Any, model: str | None) -> str | None:
    rows = connection.execute(query("models_with_scores")).fetchall()
    known = [str(row[0]) for row in rows]
    if model is not None and model not in known:
        raise SettingsError(f"no scores of model {model}; there are scores of: {', '.join(known) or 'none'}")
    if model is None and len(set(known)) > 1:
        raise SettingsError(f"several models have scored; name one with --model: {', '.join(known)}")
    return model


def _write_csv(table: Any, out: Path) -> None:
    import pyarrow.csv

    temporary = out.with_name(f".{out.name}.tmp")
    pyarrow.csv.write_csv(table, temporary)
    temporary.replace(out)


def _write_parquet(table: Any, out: Path) -> None:
    import pyarrow.parquet

    temporary = out.with_name(f".{out.name}.tmp")
    pyarrow.parquet.write_table(table, temporary)
    temporary.replace(out)
