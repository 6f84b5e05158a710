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
# How --model names one that has scored (`flows.scored_models`), and one that is to run (`models.registry.find_model`).
SCORED_MODEL = "id, or 8 or more digits of the digest; an id of several weights: the last that scored"
INSTALLED_MODEL = "an installed model by id or digest, or a folder with one"
