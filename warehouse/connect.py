"""Opens DuckDB files: with patience while another process holds one, without network, with owner-only files."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection as Connection

from warehouse.lock import StillHeld, retry_while_held
from warehouse.paths import private_files

# A hospital's machine has no network: DuckDB must not go looking for extensions.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_HOLDER = re.compile(r"PID (\d+)")


def connect(path: Path, *, is_read_only: bool, wait_s: float) -> Connection:
    """Open a DuckDB file. Raises WarehouseLocked, naming the process, when it is held for longer than `wait_s`."""
    return retry_while_held(
        lambda: _try_connect(path, is_read_only=is_read_only), file_name=path.name, wait_s=wait_s
    )


@contextmanager
def connecting(path: Path, *, is_read_only: bool, wait_s: float) -> Iterator[Connection]:
    """Open, hand out, close."""
    connection = connect(path, is_read_only=is_read_only, wait_s=wait_s)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def transaction(path: Path, *, wait_s: float) -> Iterator[Connection]:
    """Open for writing, begin, hand out, commit (roll back on an exception), close."""
    with private_files(), connecting(path, is_read_only=False, wait_s=wait_s) as connection:
        connection.begin()
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _try_connect(path: Path, *, is_read_only: bool) -> Connection:
    try:
        connection = duckdb.connect(path, read_only=is_read_only, config=_CONFIG)
        connection.execute(
            "SET enable_progress_bar = false"
        )  # it would draw one into our output after two seconds
        return connection
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        found = _HOLDER.search(str(error))
        raise StillHeld(int(found[1]) if found else None, socket.gethostname()) from None


def value_of(connection: Connection, sql: str, parameters: Any = None) -> Any:
    """The first column of the first row; None when there is no row. The result is read to its end, as DuckDB asks."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None
