"""`ovf model list / show / import / diff / calibrate / domain`: installed models, and what their scores mean here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from flows.console import make_console
from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, INSTALLED_MODEL, SCORED_MODEL, WarehouseOption

app = typer.Typer(help="Models: what is installed, and what their scores mean here.", no_args_is_help=True)
SHOWN = 50  # rows of a diff on the screen; --out writes all
ModelOption = Annotated[
    str | None, typer.Option(help=f"which model; needed when several have scored: {SCORED_MODEL}")
]


@app.callback()
def group() -> None:
    """Models: what is installed, and what their scores mean here."""


@app.command("list")
def list_models() -> None:
    """List the installed models with digest, view and what they were trained on.

    Example: ovf model list
    """
    from models.registry import ModelError, model_folders

    table = Table(box=None, pad_edge=False)
    for header in ("model", "digest", "view", "trained on", "size"):
        table.add_column(header)
    damaged = []
    for folder, model in model_folders():
        if isinstance(model, ModelError):
            damaged.append(f"{folder.name}: {model}")
            continue
        trained_on = "simulated scans only" if model.is_simulated_only else "see card"
        table.add_row(
            model.model_id, model.digest[:16], model.view_name, trained_on, f"{model.n_bytes / 1e6:.0f} MB"
        )
    make_console().print(table)
    if damaged:
        raise ModelError(f"damaged, import again: {'; '.join(damaged)}")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help=INSTALLED_MODEL)],
) -> None:
    """Everything known of a model, in the order of the CLAIM and TRIPOD+AI items; checks its hashes.

    Example: ovf model show ovf-phantom-2
    """
    from flows.model_show import model_text
    from models.registry import verify_model

    verify_model(model)
    print(model_text(model), end="")


@app.command("import")
def import_model(
    source: Annotated[Path, typer.Argument(help="the folder of a model, or a zip of it")],
    into: Annotated[
        Path | None, typer.Option(help="where models lie; default: with the shipped ones")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="the same weights are installed: take threshold, domain and card of these"
        ),
    ] = False,
) -> None:
    """Install a model from elsewhere. Altered or pickled weights are refused (exit 13).

    Example: ovf model import ovf-phantom-2.zip
    """
    from flows import model_import
    from models.registry import SHIPPED

    found = model_import.import_model(source, into or SHIPPED, is_replacing=replace)
    print(f"{found.model_id} {found.digest[:16]} → {found.directory}")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help=f"a model with scores here: {SCORED_MODEL}")],
    second: Annotated[str, typer.Argument(help="another, or other weights of that id")],
    out: Annotated[Path | None, typer.Option(help="file for all rows: .csv or .parquet")] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Whose flag two models disagree on, of the series that both have scored; two weights of one id by their digests.

    Example: ovf model diff ovf-phantom-1 ovf-phantom-2
    """
    from flows.scored_models import two_models
    from flows.verbs.model_tables import print_diff
    from warehouse.export import FORMATS, write_rows
    from warehouse.queries import query
    from warehouse.store import Store

    if out is not None and out.suffix not in FORMATS:
        raise SettingsError(f"{out.name}: the name must end in {' or '.join(FORMATS)}")
    with Store.open(warehouse, create=False).read() as connection:
        one, two = two_models(connection, first, second)
        parameters: dict[str, object] = {"digest_a": one.model_digest, "digest_b": two.model_digest}
        rows = connection.execute(query("model_diff"), parameters).fetchall()
        if out is not None:
            write_rows(connection, query("model_diff"), out, parameters)
    print_diff(rows, str(one), str(two), SHOWN)


@app.command()
def calibrate(
    readings: Annotated[
        Path | None,
        typer.Option(
            help="read scans: a filled reading list of `ovf audit sample`, or study_key,fracture (yes, no)"
        ),
    ] = None,
    audit: Annotated[
        str | None, typer.Option(help="readings already imported for this audit, such as A1")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="fallback: shift to this share of cases among scanned patients")
    ] = None,
    trained_share: Annotated[
        float | None,
        typer.Option(
            help="with --prevalence: share of cases in the training, where the model does not tell it"
        ),
    ] = None,
    target_specificity: Annotated[
        float | None, typer.Option(help="threshold: at least this specificity")
    ] = None,
    reads_per_week: Annotated[
        float | None, typer.Option(help="threshold: at most so many flagged a week")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="threshold on the calibrated probability")] = None,
    endpoint: Annotated[
        Literal["primary", "any"],
        typer.Option(help="a case: grade >= 2 or endplate depression; or any grade"),
    ] = "primary",
    model: ModelOption = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Say what a score means here: calibration from a read, random sample, and the threshold by a stated rule.

    Stored as a row beside the scores; nothing is scored again. Without a rule the same scans stay flagged.

    Example: ovf model calibrate --readings reading-list.csv --target-specificity 0.96
    """
    from flows.calibrate import Rule
    from flows.calibrate_run import Asked, calibrate_model

    rules = [value for value in (target_specificity, reads_per_week, threshold) if value is not None]
    if len(rules) > 1:
        raise typer.BadParameter("one rule for the threshold")
    if sum(value is not None for value in (readings, audit, prevalence)) > 1:
        raise typer.BadParameter("one of --readings, --audit and --prevalence")
    if trained_share is not None and prevalence is None:
        raise typer.BadParameter("--trained-share says what --prevalence starts from: give both")
    asked = Asked(
        readings,
        audit,
        prevalence,
        trained_share,
        endpoint,
        Rule(target_specificity, reads_per_week, threshold),
    )
    for line in calibrate_model(warehouse, model, asked):
        print(line)


@app.command()
def domain(
    limit: Annotated[
        float | None,
        typer.Option(min=0.0, help="scans farther away are not evaluable from now on; 0: no limit"),
    ] = None,
    model: ModelOption = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """How far the scans of each scanner lie from what the model has seen; and another limit.

    The limit is a row beside the scores: studies are decided again, nothing is scored again.

    Example: ovf model domain --limit 1.6
    """
    from flows.calibrate import current_numbers, domain_limit, land_and_publish
    from flows.verbs.model_tables import print_domain
    from warehouse.queries import query
    from warehouse.store import Store

    store = Store.open(warehouse, create=False)
    with store.read_live() as connection:
        numbers = current_numbers(connection, model)
    if limit is not None:
        land_and_publish(store, domain_limit(numbers, limit or None, "as given"))
    with store.read_live() as connection:
        numbers = current_numbers(connection, model)
        rows = connection.execute(
            query("domain_by_scanner"), {"model_digest": numbers.model_digest}
        ).fetchall()
    print_domain(rows, numbers.model_id, numbers.domain_limit)
