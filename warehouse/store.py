"""The warehouse as its users see it: one writer at a time for one landing, readers on a published copy.

Every write goes through `Store.write()`: lock, open, begin, insert, commit, note the row counts outside, close.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from warehouse import copying, ledger, schema, upkeep
from warehouse.connect import connect, connecting, transaction, value_of
from warehouse.errors import IdentityMissing, WarehouseMissing, WrongKey, WrongSchema
from warehouse.forget import Forgotten, forget
from warehouse.insert import insert_all
from warehouse.landing import (
    LandingBatch,
    LandingCounts,
    StagingUnreadable,
    join_rows,
    staging_tables,
    sum_counts,
    to_arrow,
)
from warehouse.lock import writer_lock
from warehouse.paths import WarehousePaths
from warehouse.tables import IDENTITY_TABLES, WAREHOUSE_TABLES
from warehouse.tombstones import Tombstones, add_tombstones, read_tombstones, strip

# A landing takes a tenth of a second; an analyst's look at the live file should not stop a sweep.
DEFAULT_WAIT_S = 60.0
# Staging files landed in one transaction: a shard is a few hundred KB, so this bounds memory.
STAGING_FILES_AT_ONCE = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """A warehouse and what lies beside it. Holds no connection between calls; picklable."""

    paths: WarehousePaths
    wait_s: float = DEFAULT_WAIT_S

    @classmethod
    def open(cls, warehouse: Path, *, create: bool = True, wait_s: float = DEFAULT_WAIT_S) -> Store:
        """Open a warehouse, making a new one when there is none and `create` is set.

        Raises WarehouseMissing, WrongSchema, WarehouseLocked, WarehouseDamaged.
        """
        store = cls(WarehousePaths(Path(warehouse).absolute()), wait_s)
        if not store.paths.warehouse.is_file():
            if not create or store.paths.warehouse.is_dir():
                raise WarehouseMissing(str(warehouse))
            store._create()
        store.paths.make_folders()
        with store.read_live():
            return store

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction on the live warehouse: committed at the end, rolled back on an exception."""
        with self._locked():
            with transaction(self.paths.warehouse, wait_s=self.wait_s) as connection:
                self._verify(connection)
                schema.renew_views(connection, schema.WAREHOUSE)
                yield connection
                connection.execute("UPDATE store_stamp SET sequence = sequence + 1")
                after = ledger.count(connection)
            ledger.write_ledger(self.paths.ledger, after)

    @contextmanager
    def read_live(self) -> Iterator[Connection]:
        """The live warehouse, read-only, for the program itself. No writer gets in meanwhile, so be quick."""
        opening = connecting(self.paths.warehouse, is_read_only=True, wait_s=self.wait_s)
        with self._locked(), opening as connection:
            self._verify(connection)
            yield connection

    def read(self) -> Connection:
        """The published copy, read-only; the live file when nothing was published yet. The caller closes it."""
        path = self.paths.published if self.paths.published.exists() else self.paths.warehouse
        connection = connect(path, is_read_only=True, wait_s=self.wait_s)
        try:
            schema.require_version(connection, schema.WAREHOUSE)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def read_identified(self) -> Iterator[Connection]:
        """The published copy with the identity file attached as `identity`. No writer gets in meanwhile."""
        with self._locked(), contextlib.closing(self.read()) as connection:
            self._attach_identity(connection)
            yield connection

    @contextmanager
    def read_live_identified(self) -> Iterator[Connection]:
        """The live warehouse with the identity file attached as `identity`, read-only. No writer gets in: be quick."""
        with self.read_live() as connection:
            self._attach_identity(connection)
            yield connection

    def _attach_identity(self, connection: Connection) -> None:
        if not self.paths.identity.is_file():
            raise IdentityMissing(self.paths.identity.name)
        path = str(self.paths.identity).replace("'", "''")
        connection.execute(f"ATTACH '{path}' AS identity (READ_ONLY)")

    def land(self, batch: LandingBatch) -> LandingCounts:
        """Insert what is absent by key, identities first. Safe to repeat; a killed landing is simply run again."""
        return self._land_rows(to_arrow(batch))

    def land_staging(self, paths: Sequence[Path] | None = None) -> LandingCounts:
        """Land staging files (all that lie there when `paths` is None), then delete them.

        A file that is gone has landed already. One that cannot be read is renamed to *.bad and named in the counts:
        its scans are not decided, so the next sweep scores them again.
        """
        found = sorted(self.paths.staging.rglob("*.arrow")) if paths is None else list(paths)
        total = LandingCounts()
        for start in range(0, len(found), STAGING_FILES_AT_ONCE):
            total = sum_counts(total, self._land_files(found[start : start + STAGING_FILES_AT_ONCE]))
        return total

    def publish(self) -> Path:
        """Copy the checkpointed warehouse to where readers look; refuses a damaged one (WarehouseDamaged).

        Writers wait for the copy only, not for what is prepared in it.
        """
        with writer_lock(self.paths.published_directory / "publish.lock", wait_s=self.wait_s):
            with self._locked():
                copying.checkpoint(self.paths.warehouse, wait_s=self.wait_s)
                candidate = copying.copy_for_readers(self.paths, wait_s=self.wait_s)
            try:
                copying.freeze_views(candidate, wait_s=self.wait_s)
                return copying.put_in_place(self.paths, candidate)
            finally:
                candidate.unlink(missing_ok=True)

    def bind_key(self, key_id: str) -> None:
        """Note which key the pseudonyms are made with; WrongKey when the warehouse was filled with another."""
        with self.read_live() as connection:
            known = value_of(connection, "SELECT key_id FROM store_stamp")
        if known is None:
            with self.write() as connection:
                connection.execute("UPDATE store_stamp SET key_id = ?", [key_id])
        elif known != key_id:
            raise WrongKey(known, key_id)

    @staticmethod
    def migrate(warehouse: Path, *, wait_s: float = DEFAULT_WAIT_S) -> list[str]:
        """Bring an earlier warehouse, and the copy that readers have, to this schema; see `upkeep.migrate`."""
        applied = upkeep.migrate(warehouse, wait_s=wait_s)
        store = Store.open(warehouse, create=False, wait_s=wait_s)
        if store._is_copy_outdated():
            store.publish()
        return applied

    def _is_copy_outdated(self) -> bool:
        """Whether readers would find an earlier schema, as after a migration."""
        try:
            self.read().close()
        except WrongSchema:
            return True
        return False

    def backup(self, target: Path) -> Path:
        """Copy everything an operator needs to go on elsewhere into a new folder; see `upkeep.backup`."""
        upkeep.backup(self.paths, Path(target), wait_s=self.wait_s)
        return Path(target)

    def forget(
        self, *, patient_id: str | None = None, patient_key: str | None = None, issuer: str | None = None
    ) -> Forgotten:
        """Erase a patient and keep later sweeps from storing them again; see `warehouse.forget`."""
        return forget(self, patient_id=patient_id, patient_key=patient_key, issuer=issuer)

    def forgotten(self) -> Tombstones:
        """Keys of erased patients: selection treats them as opted out."""
        with self.read_live() as connection:
            return read_tombstones(connection)

    def _land_rows(self, rows: Mapping[str, pa.Table]) -> LandingCounts:
        if not rows:
            return LandingCounts()
        with self.write() as connection:
            tombstones = read_tombstones(connection)
            if tombstones:
                rows = strip(rows, tombstones)
                add_tombstones(connection, tombstones)
            identified = self._land_identities(rows)
            return sum_counts(identified, insert_all(connection, WAREHOUSE_TABLES, rows))

    def _land_identities(self, rows: Mapping[str, pa.Table]) -> LandingCounts:
        """Commit the identities before the warehouse: one transaction cannot span two files."""
        if not any(table.name in rows for table in IDENTITY_TABLES):
            return LandingCounts()
        if not self.paths.identity.is_file():  # an empty one in its place would hide that it is gone
            raise IdentityMissing(self.paths.identity.name)
        with transaction(self.paths.identity, wait_s=self.wait_s) as connection:
            schema.require_version(connection, schema.IDENTITY)
            return insert_all(connection, IDENTITY_TABLES, rows)

    def _land_files(self, paths: Sequence[Path]) -> LandingCounts:
        read: list[tuple[Path, dict[str, pa.Table]]] = []
        bad: list[str] = []
        for path in paths:
            try:
                read.append((path, staging_tables(path)))
            except FileNotFoundError:
                continue  # landed already
            except StagingUnreadable:
                bad.append(_set_aside(path))
        counts = self._land_rows(join_rows([rows for _, rows in read]))
        for path, _ in read:
            _remove(path)
        return sum_counts(counts, LandingCounts(n_staging_files=len(read), bad_files=tuple(bad)))

    def _verify(self, connection: Connection) -> None:
        schema.require_version(connection, schema.WAREHOUSE)
        ledger.compare(ledger.count(connection), ledger.read_ledger(self.paths.ledger))

    def _create(self) -> None:
        self.paths.make_folders()
        with self._locked():
            if not self.paths.warehouse.exists():
                create_databases(self.paths, wait_s=self.wait_s)
                with connecting(self.paths.warehouse, is_read_only=True, wait_s=self.wait_s) as connection:
                    ledger.write_ledger(self.paths.ledger, ledger.count(connection))

    def _locked(self) -> AbstractContextManager[None]:
        return writer_lock(self.paths.lock, wait_s=self.wait_s)


def create_databases(paths: WarehousePaths, *, wait_s: float) -> None:
    """Make the identity file and then the warehouse, each whole or not at all."""
    for path, kind in ((paths.identity, schema.IDENTITY), (paths.warehouse, schema.WAREHOUSE)):
        if path.exists():
            continue
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        copying.make_database(temporary, kind, wait_s=wait_s)
        os.link(temporary, path)
        temporary.unlink()


def _set_aside(path: Path) -> str:
    path.replace(path.with_name(path.name + ".bad"))
    _log.warning(
        "staging file %s cannot be read; kept as %s.bad, its scans are scored again by the next sweep",
        path.name,
        path.name,
    )
    return path.name


def _remove(path: Path) -> None:
    """Delete a landed file, and its run's folder when it was the last one."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
