"""`ovf export scores`: one row per study found; `ovf export worklist`: whom a fracture liaison service sees first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, SCORED_MODEL, WarehouseOption
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
        str | None,
        typer.Option(help=f"scores of this model; needed when several have scored: {SCORED_MODEL}"),
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
        n_studies = write_rows(connection, sql, out, {"model_digest": _digest(connection, model)})
    kind = "identified: keep it safe" if identified else "pseudonymous"
    print(f"{n_studies:,} studies → {out} ({kind})")


@app.command()
def worklist(
    out: Annotated[Path, typer.Option(help="folder for worklist.csv and worklist.fhir.json; made 0700")],
    identified: Annotated[
        bool,
        typer.Option("--identified", help="needed: the list holds PatientID, accession number, date, UID"),
    ] = False,
    length: Annotated[int, typer.Option(min=1, help="patients of each list at most")] = 200,
    from_age: Annotated[int, typer.Option("--from-age", min=18, max=90, help="youngest age")] = 50,
    test_system: Annotated[
        str | None, typer.Option(help="name of a test system; needed for a model of simulated scans")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"flags of this model; needed when several have scored: {SCORED_MODEL}"),
    ] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Write the worklist of the fracture liaison service: CSV, and a FHIR R4 bundle. Not verified, not for diagnosis.

    Patients whose scan is flagged and whose report denies or does not mention a fracture (list missed), or doubts it
    (list ambiguous); each patient once, the likeliest first. Reads the published copy, so it works during a sweep.

    Example: ovf export worklist --out worklist --identified
    """
    import datetime as dt

    from flows.audit_frame import audit_model
    from flows.fls_worklist import fls_entries, worklist_model, write_worklist

    if not identified:
        raise typer.BadParameter("a worklist names people: say --identified, and keep its folder safe")
    store = Store.open(warehouse, create=False)
    with store.read_identified() as connection:
        found = audit_model(connection, model)
        entries = fls_entries(connection, found, from_age_years=from_age, length=length)
    beside = worklist_model(found, test_system)
    write_worklist(out, entries, beside, is_test=test_system is not None, at=dt.datetime.now(dt.UTC))
    print(f"{len(entries):,} patients → {out} (identified: keep it safe)")


def _digest(connection: Any, model: str | None) -> str | None:
    """The digest of the model that is meant; None where no other id has scored: then the newest answers count."""
    from flows.scored_models import ScoredModel, scored_model, several

    if model is not None:
        return scored_model(connection, model).model_digest
    rows = connection.execute(query("models_with_scores")).fetchall()
    known = [ScoredModel(str(row[0]), row[1]) for row in rows]
    if len({each.model_id for each in known}) > 1:
        raise several(known)
    return None
