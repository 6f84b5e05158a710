"""`ovf model list`: the models that are installed."""

from __future__ import annotations

import typer
from rich.table import Table

from flows.console import make_console

app = typer.Typer(help="Models: what is installed.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Models: what is installed."""


@app.command("list")
def list_models() -> None:
    """List the installed models with digest, view and what they were trained on.

    Example: ovf model list
    """
    from models.registry import describe_models

    table = Table(box=None, pad_edge=False)
    for header in ("model", "digest", "view", "trained on", "size"):
        table.add_column(header)
    for model in describe_models():
        trained_on = "simulated scans only" if model.is_simulated_only else "see card"
        table.add_row(
            model.model_id, model.digest[:16], model.view_name, trained_on, f"{model.n_bytes / 1e6:.0f} MB"
        )
    make_console().print(table)
