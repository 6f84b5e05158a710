"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.settings import DEFAULT_WAREHOUSE

WarehouseOption = Annotated[
    Path,
    typer.Option(
        "--warehouse",
        envvar="OVF_WAREHOUSE",
        help="the DuckDB file; identity, key, staging and published copy lie beside it",
    ),
]
DEFAULT = DEFAULT_WAREHOUSE
