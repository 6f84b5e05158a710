"""Writes a query's rows as CSV or Parquet, all or nothing: `COPY TO` alone is not atomic."""

from __future__ import annotations

import os
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from warehouse.paths import private_files, sync_folder

_OPTIONS = {".csv": "FORMAT csv, HEADER", ".parquet": "FORMAT parquet"}
FORMATS = tuple(_OPTIONS)


def write_rows(connection: Connection, sql: str, target: Path, parameters: dict[str, object]) -> int:
    """Run a query and write its rows to a .csv (UTF-8, header line) or .parquet file; returns how many.

    Owner-only, as a folder that is made for it; under a temporary name first, so that `target` is whole or as it was.
    KeyError for another suffix.
    """
    target = target.absolute()
    options = _OPTIONS[target.suffix]
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    quoted = str(temporary).replace("'", "''")
    try:
        with private_files():
            target.parent.mkdir(parents=True, exist_ok=True)
            copied = connection.execute(f"COPY ({sql}) TO '{quoted}' ({options})", parameters).fetchall()
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
    return int(copied[0][0])
