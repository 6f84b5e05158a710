"""`ovf sweep`: read an archive, score every suitable scan, land the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import Exit
from flows.prefect_server import prefect_api
from flows.refusals import refuse_at_once
from flows.settings import read_settings

PACS = "A PACS (docs/pacs.md)"


def sweep(
    archive: Annotated[
        str,
        typer.Argument(
            help="a folder, a zip, or a PACS: dicomweb+https://HOST/dicom-web, dimse://CALLED@HOST:PORT"
        ),
    ],
    site: Annotated[
        str | None, typer.Option(help="name of the hospital; part of a patient's pseudonym")
    ] = None,
    warehouse: Annotated[Path | None, typer.Option(help="the DuckDB file")] = None,
    slabs: Annotated[
        Path | None, typer.Option(help="folder for slabs; default: slabs/ beside the warehouse")
    ] = None,
    no_slabs: Annotated[bool, typer.Option("--no-slabs", help="score without keeping slabs")] = False,
    slab_width: Annotated[
        float | None, typer.Option(help="width in mm that a kept slab covers; 60 unless told")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="id or digest of a model (`ovf model list`), or its folder")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="local workers; one a core unless told")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a Dask scheduler that runs already")
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="for tls://: certificate of the cluster's authority")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="for tls://: our certificate")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="for tls://: the key of our certificate")] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help="auto | required | label: which workers of a --scheduler score (docs/cluster.md)"),
    ] = None,
    shard_size: Annotated[int | None, typer.Option(help="studies a shard at most")] = None,
    profile: Annotated[str | None, typer.Option(help="strict | lenient")] = None,
    min_age: Annotated[int | None, typer.Option(help="youngest age that is scored; 18 unless told")] = None,
    since: Annotated[str | None, typer.Option(help="first study date, YYYY-MM-DD")] = None,
    until: Annotated[str | None, typer.Option(help="last study date, YYYY-MM-DD")] = None,
    cohort: Annotated[Path | None, typer.Option(help="file with the PatientIDs to score, one a line")] = None,
    opt_out: Annotated[
        Path | None, typer.Option(help="file with the PatientIDs to leave out, one a line")
    ] = None,
    accept_no_meta: Annotated[
        bool, typer.Option("--accept-no-meta", help="read DICOM files without preamble and file meta")
    ] = False,
    body_part: Annotated[
        str | None, typer.Option(help="only series of these body parts: patterns such as *CHEST*,*ABD*")
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="only series whose own or study's description matches a pattern")
    ] = None,
    station: Annotated[str | None, typer.Option(help="only series of these stations, by pattern")] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="PACS: studies that hold this; CT unless told; any", rich_help_panel=PACS),
    ] = None,
    calling: Annotated[
        str | None, typer.Option(help="our application entity title; OVF unless told", rich_help_panel=PACS)
    ] = None,
    receiver: Annotated[
        str | None,
        typer.Option(help="[HOST:]PORT of our receiver, for a PACS without C-GET", rich_help_panel=PACS),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(help="file (0600) with user:password or Bearer TOKEN", rich_help_panel=PACS),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="who may have signed the PACS's certificate", rich_help_panel=PACS)
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="our certificate", rich_help_panel=PACS)] = None,
    cert_key: Annotated[
        Path | None, typer.Option(help="the key of our certificate", rich_help_panel=PACS)
    ] = None,
    pacs_window: Annotated[
        str | None,
        typer.Option(
            help="hours in which the PACS is asked: '22:00-06:00 Europe/Berlin'", rich_help_panel=PACS
        ),
    ] = None,
    pacs_parallel: Annotated[
        int | None, typer.Option(help="associations or requests at once; 2 unless told", rich_help_panel=PACS)
    ] = None,
    pacs_rate: Annotated[
        float | None, typer.Option(help="questions a second at most; 5 unless told", rich_help_panel=PACS)
    ] = None,
) -> None:
    """Read an archive, score every suitable scan, land the results in the warehouse.

    Safe to stop at any moment and to call again: what is done is not done twice.

    Example: ovf sweep /archive/ct --site north --warehouse north/warehouse.duckdb
    """
    if workers is not None and scheduler is not None:
        raise typer.BadParameter(
            "--workers is for local workers, --scheduler for a cluster: give one of them"
        )
    given = {
        "site": site,
        "warehouse": warehouse,
        "slabs": slabs,
        "keep_slabs": False if no_slabs else None,
        "slab_half_width_mm": slab_width / 2 if slab_width is not None else None,
        "model": model,
        "workers": workers,
        "scheduler": scheduler,
        "tls_ca": tls_ca,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "gpu": gpu,
        "shard_size": shard_size,
        "profile": profile,
        "min_age": min_age,
        "since": since,
        "until": until,
        "cohort": cohort,
        "opt_out": opt_out,
        "accept_no_meta": accept_no_meta or None,
        "body_part": body_part,
        "description": description,
        "station": station,
        "pacs_modality": modality,
        "pacs_calling": calling,
        "pacs_receiver": receiver,
        "pacs_credentials": credentials,
        "pacs_ca": ca,
        "pacs_cert": cert,
        "pacs_key": cert_key,
        "pacs_window": pacs_window,
        "pacs_parallel": pacs_parallel,
        "pacs_rate": pacs_rate,
    }
    options = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    options = {name: value for name, value in options.items() if value is not None}
    settings = read_settings(**options)
    refuse_at_once(archive, settings)
    with prefect_api(settings.warehouse.parent / "prefect", importing="flows.sweep"):
        from flows.summary import print_summary  # prefect reads its environment when it is imported
        from flows.sweep import archive_sweep

        summary = archive_sweep(archive, options)
    print_summary(summary, settings)
    if summary.is_incomplete:
        raise typer.Exit(Exit.RETRIABLE)
