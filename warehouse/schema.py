"""Brings a database to the schema of this program: numbered migrations, forward only, one transaction each.

A new database replays all of them, so there is one truth. Views hold no data: they are renewed whenever their texts
differ from those the file was given.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from duckdb import CatalogException
from duckdb import DuckDBPyConnection as Connection

from warehouse.connect import value_of
from warehouse.errors import WrongSchema

_NUMBERED = re.compile(r"^(\d{4})_\w+\.sql$")
_MIGRATION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE schema_migration IS 'Migrations this file has seen. Key: version. The whole table is volatile.';
COMMENT ON COLUMN schema_migration.version IS 'Number of the migration; the highest is the version. volatile';
COMMENT ON COLUMN schema_migration.name IS 'File name of the migration. volatile';
COMMENT ON COLUMN schema_migration.applied_at IS 'When it was applied, UTC. volatile';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Schema:
    """One kind of database: the folder of its migrations, and of its views if it has any."""

    name: str
    migrations_folder: str
    views_folder: str | None = None

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """All migrations in order."""
        return _migrations(self.migrations_folder)

    @property
    def version(self) -> int:
        """The version this program needs."""
        return self.migrations[-1].version

    @property
    def views(self) -> tuple[str, ...]:
        """The texts of the views, in the order in which they build on each other."""
        return _views(self.views_folder) if self.views_folder else ()


WAREHOUSE = Schema("warehouse", "migrations", "views")
IDENTITY = Schema("identity file", "identity_migrations")


def version_of(connection: Connection) -> int:
    """The schema version of an open database; 0 when it was never migrated."""
    try:
        return int(value_of(connection, "SELECT coalesce(max(version), 0) FROM schema_migration"))
    except CatalogException:
        return 0


def require_version(connection: Connection, schema: Schema) -> None:
    """Raise WrongSchema unless the database is exactly at this program's version."""
    found = version_of(connection)
    if found != schema.version:
        raise WrongSchema(found, schema.version, schema.name)


def migrate(connection: Connection, schema: Schema) -> list[str]:
    """Apply what is missing, one transaction each; names what was applied. WrongSchema when it is newer than we are."""
    found = version_of(connection)
    if found > schema.version:
        raise WrongSchema(found, schema.version, schema.name)
    missing = [migration for migration in schema.migrations if migration.version > found]
    for migration in missing:
        _apply(connection, migration)
    if schema.views:
        connection.begin()
        renew_views(connection, schema)
        connection.commit()
    return [migration.name for migration in missing]


def renew_views(connection: Connection, schema: Schema) -> bool:
    """Install the views of this program if the file has others; inside the caller's transaction. True if renewed."""
    digest = hashlib.sha256("\0".join(schema.views).encode()).hexdigest()
    if connection.execute("SELECT digest FROM installed_views").fetchall() == [(digest,)]:
        return False
    old = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    for (name,) in old:
        connection.execute(f'DROP VIEW "{name}"')
    for text in schema.views:
        connection.execute(text)
    connection.execute("DELETE FROM installed_views")
    connection.execute("INSERT INTO installed_views VALUES (?)", [digest])
    return True


def _apply(connection: Connection, migration: Migration) -> None:
    connection.begin()
    try:
        connection.execute(_MIGRATION_TABLE)
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO schema_migration VALUES (?, ?, now()::TIMESTAMPTZ AT TIME ZONE 'UTC')",
            [migration.version, migration.name],
        )
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


@cache
def _migrations(folder: str) -> tuple[Migration, ...]:
    found = []
    for file in resources.files("warehouse").joinpath(folder).iterdir():
        if numbered := _NUMBERED.match(file.name):
            found.append(Migration(int(numbered[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise RuntimeError(f"migrations in {folder} are not numbered 1, 2, 3 ...")
    return tuple(found)


@cache
def _views(folder: str) -> tuple[str, ...]:
    files = resources.files("warehouse").joinpath(folder).iterdir()
    ordered = sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(file.read_text(encoding="utf-8") for file in ordered)
