"""`ovf nightly`: screen what arrived since the last night, and write the morning page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import Exit
from flows.night_settings import read_night
from flows.prefect_server import prefect_api
from flows.settings import read_settings


def nightly(
    archive: Annotated[str, typer.Argument(help="a folder, a zip, or a PACS, as for `ovf sweep`")],
    site: Annotated[
        str | None, typer.Option(help="name of the hospital; part of a patient's pseudonym")
    ] = None,
    warehouse: Annotated[Path | None, typer.Option(help="the DuckDB file")] = None,
    model: Annotated[
        str | None, typer.Option(help="id or digest of a model (`ovf model list`), or its folder")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="local workers; one a core unless told")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a Dask scheduler that runs already")
    ] = None,
    since: Annotated[str | None, typer.Option(help="first study date, YYYY-MM-DD")] = None,
    opt_out: Annotated[
        Path | None, typer.Option(help="file with the PatientIDs to leave out, one a line")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="HH:MM-HH:MM: nothing is sent to the workers after its end")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(help="zone of the window and the page, such as Europe/Berlin; UTC unless told"),
    ] = None,
    overlap_hours: Annotated[
        float | None,
        typer.Option(help="how far a night looks back before the last one, for late series; 168 unless told"),
    ] = None,
    baseline_from: Annotated[
        str | None, typer.Option(help="first day of the runs that make the baseline, YYYY-MM-DD")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder of the morning pages; nights/ beside the warehouse unless told"),
    ] = None,
    renew_canary: Annotated[
        bool, typer.Option("--renew-canary", help="enrol what the canary says now: the change is meant")
    ] = False,
) -> None:
    """Screen what arrived since the last night, compare it with the baseline, write the morning page.

    Scores a golden set first and stops before writing when it differs (exit 14). What the window leaves goes first in
    the next night. Other settings of a sweep are read from the environment (OVF_PROFILE, OVF_MIN_AGE, ...).

    Example: ovf nightly /archive/ct --window 20:00-06:00 --timezone Europe/Berlin
    """
    options = _given(
        site=site,
        warehouse=warehouse,
        model=model,
        workers=workers,
        scheduler=scheduler,
        since=since,
        opt_out=opt_out,
    )
    night = _given(
        window=window,
        timezone=timezone,
        overlap_hours=overlap_hours,
        baseline_from=baseline_from,
        out=out,
        renew_canary=renew_canary or None,
    )
    settings = read_settings(**options)
    read_night(night)
    with prefect_api(settings.warehouse.parent / "prefect", importing="flows.nightly"):
        from flows.nightly import nightly_screening  # prefect reads its environment when it is imported
        from flows.summary import print_night

        summary = nightly_screening(archive, options, night)
    print_night(summary, settings)
    if summary.sweep.is_incomplete:
        raise typer.Exit(Exit.RETRIABLE)


def _given(**values: object) -> dict[str, object]:
    """What was given, as plain values that Prefect can show."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if value is not None
    }
