"""Writes a query's rows as CSV, all or nothing: `COPY TO` alone is not atomic."""

from __future__ import annotations

import os
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from warehouse.paths import private_files, sync_folder


def write_csv(
    connection: Connection, sql: str, target: Path, parameters: dict[str, object] | None = None
) -> int:
    """Run a query and write its rows with a header line; returns how many. UTF-8, owner-only."""
    temporary = target.absolute().with_name(f".{target.name}.{os.getpid()}.tmp")
    quoted = str(temporary).replace("'", "''")
    try:
        with private_files():
            copied = connection.execute(
                f"COPY ({sql.rstrip().rstrip(';')}) TO '{quoted}' (FORMAT csv, HEADER)", parameters
            ).fetchall()
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.absolute().parent)
    return int(copied[0][0])
