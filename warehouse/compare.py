"""Compares two warehouses in every column whose comment does not say `volatile`. The chaos tests stand on it."""

from __future__ import annotations

from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from warehouse.connect import connecting
from warehouse.tables import WAREHOUSE_TABLES, Table

# Differing rows shown per table; the rest is counted.
N_SHOWN = 3


def stable_columns(connection: Connection, table: Table) -> list[str]:
    """The columns that two runs over the same archive must agree in; none when the whole table is volatile."""
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND database_name = current_database() "
        "AND NOT contains(coalesce(comment, ''), 'volatile') ORDER BY column_index",
        [table.name],
    ).fetchall()
    return [row[0] for row in rows]


def differences(left: Path, right: Path, *, wait_s: float = 10.0) -> list[str]:
    """One line per table in which two warehouses differ, with counts and first rows; empty when they are equal."""
    with connecting(left, is_read_only=True, wait_s=wait_s) as connection:
        quoted = str(right).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS other (READ_ONLY)")
        found = []
        for table in WAREHOUSE_TABLES:
            columns = stable_columns(connection, table)
            if columns:
                found += _differences(connection, table.name, ", ".join(f'"{name}"' for name in columns))
        return found


def _differences(connection: Connection, table: str, columns: str) -> list[str]:
    only = "SELECT {columns} FROM {one} EXCEPT ALL SELECT {columns} FROM {two}"
    lines = []
    for label, one, two in (("first", table, f"other.{table}"), ("second", f"other.{table}", table)):
        rows = connection.execute(only.format(columns=columns, one=one, two=two)).fetchall()
        if rows:
            shown = "; ".join(str(row) for row in rows[:N_SHOWN])
            lines.append(f"{table}: {len(rows)} rows only in the {label}: {shown}")
    return lines
