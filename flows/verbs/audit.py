"""`ovf audit`, `ovf audit sample`, `ovf audit readings`: how common the fractures are, and how many were missed."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.errors import Exit
from flows.verbs.options import DEFAULT, SCORED_MODEL, WarehouseOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from estimates.audit_numbers import AuditNumbers
    from estimates.rogan_gladen import Accuracy
    from flows.audit_pictures import KeptSlab
    from reports.audit_worklist import Thumbnail

app = typer.Typer(help="The audit: prevalence, missed diagnoses, and the sample that readers read.")
MAX_ROW_ERRORS = 50
LARGEST_SEED = 2**31

RuleOption = Annotated[
    Literal["first", "last", "patient-day", "all"] | None,
    typer.Option(
        help="what a patient counts with: first (default) or last eligible day, every patient-day, all studies"
    ),
]
FromAgeOption = Annotated[
    int | None, typer.Option("--from-age", min=18, max=90, help="youngest age that counts (default 50)")
]
ModelOption = Annotated[
    str | None, typer.Option(help=f"flags of this model; needed when several have scored: {SCORED_MODEL}")
]


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="folder for the page and the tables; made when absent")
    ] = None,
    warehouse: WarehouseOption = DEFAULT,
    model: ModelOption = None,
    rule: RuleOption = None,
    from_age: FromAgeOption = None,
    audit_id: Annotated[str | None, typer.Option("--audit", help="an earlier sample, such as A1")] = None,
    standard: Annotated[str, typer.Option(help="standard population, such as china-2020")] = "who-2000-2025",
    worklist: Annotated[int, typer.Option(min=0, help="rows of each worklist")] = 100,
    pictures: Annotated[
        int, typer.Option(min=0, help="rows of the worklist with a picture and heat map (some seconds each)")
    ] = 24,
    slabs: Annotated[Path | None, typer.Option(help="folder of the kept slabs, if the sweep had one")] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(help="tp/cases,tn/healthy of an external human-read set, such as 69/81,46/48"),
    ] = None,
    accuracy_set: Annotated[str, typer.Option(help="name of that set; printed beside the number")] = "",
    accuracy_source: Annotated[
        str, typer.Option(help="external_human_read; counts of any other source are refused")
    ] = "external_human_read",
    show_small_cells: Annotated[
        bool, typer.Option("--show-small-cells", help="show counts below 5: for internal use only")
    ] = False,
    identified: Annotated[
        bool, typer.Option("--identified", help="PatientID, accession number and date in the worklist")
    ] = False,
) -> None:
    """Write what the archive, the reports and the readers say: a page to read and print, and tables (CSV, Parquet).

    Reads the published copy, so it works during a sweep. Without readings there is no prevalence of fractures, only of
    flags and reports. Counts of 1 to 4 are left out, and what would give them away.

    Example: ovf audit --out audit-2026
    """
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("name a folder for the page and the tables: ovf audit --out DIR")
    from flows.audit import AuditRequest, audit_numbers
    from flows.audit_files import write_audit
    from flows.audit_pictures import kept_slabs
    from flows.audit_summary import headline_text
    from warehouse.store import Store

    request = AuditRequest(
        model_id=model,
        rule=rule,
        from_age_years=from_age,
        audit_id=audit_id,
        standard=_standard(standard),
        worklist_length=worklist,
        is_showing_small=show_small_cells,
        is_identified=identified,
        accuracy=_accuracy(accuracy, accuracy_set, accuracy_source),
    )
    store = Store.open(warehouse, create=False)
    opened = store.read_identified() if identified else store.read()
    with opened as connection:
        numbers = audit_numbers(connection, request)
        kept = kept_slabs(connection, numbers, pictures)
    shown = _pictures(numbers, kept, slabs or store.paths.directory / "slabs")
    n_tables = write_audit(numbers, out, is_identified=identified, thumbnails=shown)
    print(headline_text(numbers))
    kind = "identified: keep it safe" if identified else "pseudonymous"
    print(f"{n_tables} tables and the page index.html in {out} ({kind})")


def _pictures(numbers: AuditNumbers, kept: Sequence[KeptSlab], slabs: Path) -> dict[str, Thumbnail]:
    """Thumbnails of the worklist, with a bar; says why some rows have none."""
    if not kept:
        return {}
    from flows.audit_pictures import thumbnails
    from flows.console import bar
    from flows.publish_heat import Pictures

    maker = Pictures(slabs, numbers.basis.model_id, numbers.basis.model_digest)
    if not maker.has_model:
        print("No pictures: the model that scored is not installed here.")
        return {}
    with bar("pictures", len(kept)) as progress:
        made = thumbnails(kept, maker, progress=progress)
    if len(made) < len(kept):
        print(
            f"Pictures of {len(made)} of {len(kept)} scans: the other slabs are not in {slabs}, or time was up."
        )
    return made


@app.command()
def sample(
    reads: Annotated[int, typer.Option(min=1, help="how many cases are read")] = 600,
    seed: Annotated[
        int | None, typer.Option(min=0, help="of the drawing; chosen and stored when not given")
    ] = None,
    out: Annotated[Path, typer.Option(help="reading list to write: .csv or .parquet")] = Path(
        "reading-list.csv"
    ),
    identified: Annotated[
        bool,
        typer.Option(
            "--identified",
            help="add PatientID, accession numbers and date, so that a reader can open the scan in the PACS",
        ),
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="draw a further sample beside the one that is there")
    ] = False,
    rule: RuleOption = None,
    from_age: FromAgeOption = None,
    model: ModelOption = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Draw the scans that readers read, store how they were drawn, and write a blinded reading list.

    All cells of AI × report are drawn at random, also what was not scored and what has no report. The list is in
    random order and says neither score nor report nor cell. Read it from the top: then a part of it is a sample too.
    Drawn once, a sample stays: the same command writes its list again.

    Example: ovf audit sample --reads 600 --out reading-list.csv --identified
    """
    from flows.audit_frame import FROM_AGE_YEARS
    from flows.audit_sample import SampleOrder, check_target, write_reading_list
    from flows.audit_sample import sample as draw
    from flows.audit_summary import sample_text
    from tasks.report_files import FORMATS
    from warehouse.store import Store

    if out.suffix not in FORMATS:
        raise typer.BadParameter(f"{out.name}: the name must end in {' or '.join(FORMATS)}")
    store = Store.open(warehouse, create=False)
    check_target(out)
    order = SampleOrder(reads, seed, rule or "first", FROM_AGE_YEARS if from_age is None else from_age, model)
    stored = draw(store, order, fresh_seed=secrets.randbelow(LARGEST_SEED), is_further=new)
    if stored.is_new:
        store.publish()
    n_cases = write_reading_list(store, stored.audit.audit_id, out, is_identified=identified)
    print(sample_text(stored))
    kind = "identified: keep it safe" if identified else "case numbers only"
    print(f"{n_cases:,} cases → {out} ({kind})")


@app.command()
def readings(
    source: Annotated[Path, typer.Argument(help="the filled reading list: .csv or .parquet")],
    replace: Annotated[
        bool, typer.Option("--replace", help="take this file's verdict where a reader changed one")
    ] = False,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Import the verdicts of the readers. One wrong row, and nothing is stored; the same file twice changes nothing.

    Columns: case_id, reader, grade (Genant 0 to 3); and optionally level (T1 to L6, one row each; empty: the whole
    study), endplate_depression (yes, no), cause (osteoporotic, traumatic, pathological, treated), not_evaluable (yes),
    adjudication (yes: this row settles two different verdicts). Rows without a verdict are left for later.

    Example: ovf audit readings reading-list.csv
    """
    from flows.audit_readings import NEEDED_COLUMNS, import_readings, unread_columns
    from flows.audit_reads import read_sample
    from flows.audit_summary import readings_text
    from tasks.report_files import ReportFileError, columns_of, read_rows
    from warehouse.store import Store

    store = Store.open(warehouse, create=False)
    try:
        columns = columns_of(source)
        missing = [name for name in NEEDED_COLUMNS if name not in columns]
        if missing:
            raise typer.BadParameter(
                f"{source.name} has no column {', '.join(missing)}; it has: {', '.join(columns)}"
            )
        if unread := unread_columns(columns):
            raise typer.BadParameter(f"{source.name}: {unread}")
        found = import_readings(store, read_rows(source), is_replacing=replace)
    except FileNotFoundError as error:
        raise typer.BadParameter(f"there is no file {source}") from error
    except ReportFileError as error:
        raise typer.BadParameter(f"{source.name} cannot be read: {error}") from error
    for row_error in found.errors[:MAX_ROW_ERRORS]:
        print(row_error)
    if not found.errors:
        store.publish()
    with store.read_live() as connection:
        samples = [read_sample(connection, audit_id) for audit_id in found.audit_ids or (None,)]
    print(readings_text(found, [sample for sample in samples if sample is not None]))
    if found.errors:
        raise typer.Exit(Exit.USAGE)


def _standard(name: str) -> str:
    from estimates.standard import SOURCES

    if name not in SOURCES:
        raise typer.BadParameter(f"--standard is none of {', '.join(SOURCES)}")
    return name


def _accuracy(text: str | None, set_name: str, source: str) -> Accuracy | None:
    from estimates.result import Refused
    from estimates.rogan_gladen import Accuracy, AccuracySource

    if text is None:
        return None
    if source not in list(AccuracySource):
        raise typer.BadParameter(f"--accuracy-source is none of {', '.join(AccuracySource)}")
    try:
        cases, healthy = text.split(",")
        tp, n_cases, tn, n_healthy = (int(n) for part in (cases, healthy) for n in part.split("/"))
    except ValueError as error:
        raise typer.BadParameter("--accuracy reads tp/cases,tn/healthy, such as 69/81,46/48") from error
    try:
        return Accuracy(tp, n_cases, tn, n_healthy, AccuracySource(source), set_name)
    except (Refused, ValueError) as error:
        raise typer.BadParameter(f"--accuracy: {error}") from error
