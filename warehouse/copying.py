"""Copies of closed database files: published for readers, kept before a migration, taken as a backup.

The callers hold the writer's lock and have checkpointed the file, so that it is whole without its log. While a file is
copied nobody has it open: closing another handle of it would drop DuckDB's own lock.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from warehouse import ledger
from warehouse.connect import connecting
from warehouse.paths import WarehousePaths, private_files, sync_folder
from warehouse.schema import Schema, migrate

# At a million studies this view takes ten seconds; as a table of the published copy it takes none.
FROZEN_VIEWS = ("series_outcome",)


def make_database(path: Path, kind: Schema, *, wait_s: float) -> None:
    """Make a new, migrated, checkpointed database file, owner-only."""
    with private_files(), connecting(path, is_read_only=False, wait_s=wait_s) as connection:
        migrate(connection, kind)
        connection.execute("CHECKPOINT")


def checkpoint(path: Path, *, wait_s: float) -> None:
    """Bring the write-ahead log into the file; a copy without this silently lacks rows."""
    with connecting(path, is_read_only=False, wait_s=wait_s) as connection:
        connection.execute("CHECKPOINT")


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


def copy_for_readers(paths: WarehousePaths, *, wait_s: float) -> Path:
    """Copy the closed, checkpointed warehouse, and compare the copy with the ledger; returns the candidate.

    Raises WarehouseDamaged, or OSError when the disk is full: nothing changes for readers.
    """
    candidate = paths.published_directory / f".candidate.{os.getpid()}.duckdb"
    try:
        copy_durably(paths.warehouse, candidate)
        with connecting(candidate, is_read_only=True, wait_s=wait_s) as connection:
            ledger.compare(ledger.count(connection), ledger.read_ledger(paths.ledger))
    except BaseException:
        candidate.unlink(missing_ok=True)
        raise
    return candidate


def freeze_views(candidate: Path, *, wait_s: float) -> None:
    """Turn the slow view that all others build on into a table of the copy, so that readers look things up at once."""
    with connecting(candidate, is_read_only=False, wait_s=wait_s) as connection:
        connection.begin()
        for view in FROZEN_VIEWS:
            connection.execute(f"CREATE TABLE frozen AS SELECT * FROM {view}").fetchall()
            connection.execute(f"DROP VIEW {view}")
            connection.execute(f"ALTER TABLE frozen RENAME TO {view}")
            connection.execute(
                f"COMMENT ON TABLE {view} IS 'The view of this name, as it was when published.'"
            )
        connection.commit()
        connection.execute("CHECKPOINT")


def put_in_place(paths: WarehousePaths, candidate: Path) -> Path:
    """Let the candidate take the published copy's place, keeping the copy before it."""
    with candidate.open("rb") as stream:
        os.fsync(stream.fileno())
    if paths.published.exists():
        paths.previous.unlink(missing_ok=True)
        os.link(paths.published, paths.previous)
    candidate.replace(paths.published)
    sync_folder(paths.published_directory)
    return paths.published
