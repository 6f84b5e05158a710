"""What an operator does to a warehouse now and then: migrate it, back it up. Each holds the writer's lock."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from warehouse import copying, ledger, schema
from warehouse.connect import connecting, value_of
from warehouse.errors import IdentityMissing, WarehouseMissing, WrongSchema
from warehouse.lock import writer_lock
from warehouse.paths import WarehousePaths, private_files, replace_file
from warehouse.schema import Schema


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: file name → SHA-256, the schema and the row counts."""

    files: dict[str, str]
    schema: int
    n_rows: dict[str, int]


def migrate(warehouse: Path, *, wait_s: float) -> list[str]:
    """Bring warehouse and identity file to this version's schema; returns the names of the steps taken.

    Before a step a copy of the file is kept beside it (warehouse.schema3.duckdb): going back is putting that copy and
    the older program back. The steps are tried on a second copy first. Raises WrongSchema when a file is newer.
    """
    paths = WarehousePaths(Path(warehouse).absolute())
    if not paths.warehouse.is_file():
        raise WarehouseMissing(str(warehouse))
    if not paths.identity.is_file():
        raise IdentityMissing(paths.identity.name)
    done: list[str] = []
    with writer_lock(paths.lock, wait_s=wait_s):
        for path, kind in ((paths.identity, schema.IDENTITY), (paths.warehouse, schema.WAREHOUSE)):
            done += _migrate_one(path, kind, wait_s)
        with connecting(paths.warehouse, is_read_only=True, wait_s=wait_s) as connection:
            ledger.write_ledger(paths.ledger, ledger.count(connection))
    return done


def backup(paths: WarehousePaths, target: Path, *, wait_s: float) -> Backup:
    """Copy warehouse, identity file, key, ledger and `splits` into a new folder, open the copies and count their rows.

    The folder appears only when all is in it. It holds the key: keep it as safe as the warehouse. Raises
    FileExistsError when `target` is there already, WarehouseDamaged when the warehouse is.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, "it is there already: name a new folder", str(target))
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with private_files():
        unfinished.mkdir(parents=True)
    with writer_lock(paths.lock, wait_s=wait_s):
        for database in (paths.identity, paths.warehouse):
            copying.checkpoint(database, wait_s=wait_s)
        splits = (path for path in paths.splits.rglob("*") if path.is_file())
        for source in (paths.identity, paths.warehouse, paths.key, paths.ledger, *splits):
            if source.exists():
                copy = unfinished / source.relative_to(paths.directory)
                with private_files():
                    copy.parent.mkdir(parents=True, exist_ok=True)
                copying.copy_durably(source, copy)
    taken = _verified(unfinished, paths, wait_s)
    replace_file(unfinished / "backup.json", json.dumps(asdict(taken), indent=1).encode())
    unfinished.rename(target)
    return taken


def _verified(folder: Path, paths: WarehousePaths, wait_s: float) -> Backup:
    """Open the copies and compare them with the ledger they came with."""
    copies = WarehousePaths(folder / paths.warehouse.name)
    with connecting(copies.warehouse, is_read_only=True, wait_s=wait_s) as connection:
        schema.require_version(connection, schema.WAREHOUSE)
        counted = ledger.count(connection)
    ledger.compare(counted, ledger.read_ledger(copies.ledger))
    n_rows = dict(counted.n_rows)
    with connecting(copies.identity, is_read_only=True, wait_s=wait_s) as connection:
        schema.require_version(connection, schema.IDENTITY)
        n_rows["study_identity"] = int(value_of(connection, "SELECT count(*) FROM study_identity"))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(file.relative_to(folder)): _sha256(file) for file in files}
    return Backup(digests, schema.WAREHOUSE.version, n_rows)


def rewrite(path: Path, kind: Schema, *, wait_s: float) -> None:
    """Rebuild a database file from its rows, so that nothing deleted stays readable in it; call under the lock."""
    fresh = path.with_name(f".{path.name}.rewritten")
    fresh.unlink(missing_ok=True)
    copying.make_database(fresh, kind, wait_s=wait_s)
    quoted = str(path).replace("'", "''")
    with private_files(), connecting(fresh, is_read_only=False, wait_s=wait_s) as connection:
        connection.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
        connection.begin()
        for name in _table_names(connection):
            connection.execute(f"DELETE FROM {name}").fetchall()
            connection.execute(f"INSERT INTO {name} SELECT * FROM old.{name}").fetchall()
        connection.commit()
        connection.execute("DETACH old")
        connection.execute("CHECKPOINT")
    fresh.replace(path)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def _table_names(connection: Connection) -> Sequence[str]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary"
    ).fetchall()
    return sorted(row[0] for row in rows)


def _migrate_one(path: Path, kind: Schema, wait_s: float) -> list[str]:
    copying.checkpoint(path, wait_s=wait_s)
    with connecting(path, is_read_only=True, wait_s=wait_s) as connection:
        found = schema.version_of(connection)
    if found > kind.version:
        raise WrongSchema(found, kind.version, kind.name)
    if found < kind.version:
        copying.copy_durably(path, path.with_name(f"{path.stem}.schema{found}{path.suffix}"))
        rehearsal = path.with_name(f".{path.name}.rehearsal")
        try:
            copying.copy_durably(path, rehearsal)
            _apply(rehearsal, kind, wait_s)
        finally:
            rehearsal.unlink(missing_ok=True)
    return _apply(path, kind, wait_s)


def _apply(path: Path, kind: Schema, wait_s: float) -> list[str]:
    with private_files(), connecting(path, is_read_only=False, wait_s=wait_s) as connection:
        done = schema.migrate(connection, kind)
        connection.execute("CHECKPOINT")
        return done


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
