"""Compares two warehouses in every column that its SQL comment does not mark volatile."""

from __future__ import annotations

from pathlib import Path

import duckdb

VOLATILE = "volatile"


def stable_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Table → columns that an interrupted and an undisturbed run must agree on."""
    volatile_tables = {
        name
        for name, comment in connection.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = 'main'"
        ).fetchall()
        if VOLATILE in (comment or "")
    }
    columns: dict[str, list[str]] = {}
    for table, column, comment in connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main' AND table_name IN"
        " (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
    ).fetchall():
        if table not in volatile_tables and VOLATILE not in (comment or ""):
            columns.setdefault(table, []).append(column)
    return columns


def rows_of(warehouse: Path) -> dict[str, list[str]]:
    """Table → its rows as sorted text, volatile columns left out."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return {
            table: sorted(
                repr(row)
                for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            )
            for table, columns in stable_columns(connection).items()
        }


def differences(one: Path, other: Path) -> list[str]:
    """One line a table that differs, with the first rows that only one side has; empty when equal."""
    left, right = rows_of(one), rows_of(other)
    found = [f"tables differ: {sorted(set(left) ^ set(right))}"] if set(left) != set(right) else []
    for table in sorted(set(left) & set(right)):
        if left[table] != right[table]:
            only_left = sorted(set(left[table]) - set(right[table]))[:2]
            only_right = sorted(set(right[table]) - set(left[table]))[:2]
            found.append(
                f"{table}: {len(left[table])} and {len(right[table])} rows; "
                f"only one: {only_left}; only other: {only_right}"
            )
    return found
