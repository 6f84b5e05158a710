"""Copies of closed database files: published for readers, kept before a migration, taken as a backup.

The callers hold the writer's lock and have checkpointed the file, so that it is whole without its log. While a file is
copied nobody has it open: closing another handle of it would drop DuckDB's own lock.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from warehouse import ledger
from warehouse.connect import connect
from warehouse.ledger import Ledger
from warehouse.paths import WarehousePaths, private_files, sync_folder
from warehouse.schema import Schema, migrate


def make_database(path: Path, kind: Schema, *, wait_s: float) -> None:
    """Make a new, migrated, checkpointed database file, owner-only."""
    with private_files():
        connection = connect(path, is_read_only=False, wait_s=wait_s)
        try:
            migrate(connection, kind)
            connection.execute("CHECKPOINT")
        finally:
            connection.close()


def checkpoint(path: Path, *, wait_s: float) -> None:
    """Bring the write-ahead log into the file; a copy without this silently lacks rows."""
    connection = connect(path, is_read_only=False, wait_s=wait_s)
    try:
        connection.execute("CHECKPOINT")
    finally:
        connection.close()


def copy_durably(source: Path, target: Path) -> None:
    """Copy a closed file, owner-only, all or nothing: temporary name, fsync, rename."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with private_files(), source.open("rb") as reading, temporary.open("wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
            writing.flush()
            os.fsync(writing.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def publish(paths: WarehousePaths, *, wait_s: float) -> Path:
    """Copy the checkpointed warehouse to where readers look, keeping the copy before it.

    The new copy is opened and counted before it takes the old one's place. Raises WarehouseDamaged, OSError (disk full:
    nothing changes for readers).
    """
    candidate = paths.published_directory / f"candidate.{os.getpid()}.duckdb"
    try:
        copy_durably(paths.warehouse, candidate)
        ledger.compare(_count(candidate, wait_s), ledger.read_ledger(paths.ledger))
        if paths.published.exists():
            paths.previous.unlink(missing_ok=True)
            os.link(paths.published, paths.previous)
        candidate.replace(paths.published)
    finally:
        candidate.unlink(missing_ok=True)
    sync_folder(paths.published_directory)
    return paths.published


def _count(path: Path, wait_s: float) -> Ledger:
    connection = connect(path, is_read_only=True, wait_s=wait_s)
    try:
        return ledger.count(connection)
    finally:
        connection.close()
