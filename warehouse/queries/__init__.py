"""The queries of this folder by name: `query("summary")` is the text of `summary.sql`.

Parameters are named (`$model_id`) and described in each file's header.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from warehouse.headers import description_of


@cache
def query(name: str) -> str:
    """The SQL of a query. Raises FileNotFoundError for a name that is none."""
    return resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def describe(name: str) -> str:
    """What a query gives: the header comment of its file."""
    return description_of(query(name))
