"""The checks of this folder: queries that return offending rows. No row means all is well.

A check's file says in its header what its rows mean. `known_reason` (code, outcome) and `known_flag` (code) are there
as relations, so that SQL and Python cannot disagree about the codes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from warehouse.headers import description_of
from warehouse.reasons import FLAGS, REASONS
from warehouse.tables import WAREHOUSE_TABLES

# Offending rows shown with a result; the rest is counted.
N_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, what its rows mean, how many there are, and the first of them as text."""

    name: str
    description: str
    n_rows: int
    examples: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """No offending row."""
        return self.n_rows == 0


@cache
def checks() -> dict[str, str]:
    """Name → SQL of every check, sorted by name."""
    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql"))
    return {
        file.name.removesuffix(".sql"): file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
    }


def run_checks(connection: Connection, only: Collection[str] | None = None) -> list[CheckResult]:
    """Run every check, or those named, on an open warehouse (read-only is enough). Pseudonyms only; safe to print."""
    relations = _known_codes()
    for name, relation in relations.items():
        connection.register(name, relation)
    try:
        return [
            _run(connection, name, sql)
            for name, sql in (checks() | _key_checks()).items()
            if only is None or name in only
        ]
    finally:
        for name in relations:
            connection.unregister(name)


def _run(connection: Connection, name: str, sql: str) -> CheckResult:
    rows = connection.execute(sql).fetchall()
    return CheckResult(name, description_of(sql), len(rows), _examples(rows))


def _key_checks() -> dict[str, str]:
    """One check per table, made from its key: the tables have no PRIMARY KEY (see the first migration)."""
    return {
        f"duplicate_keys_{table.name}": (
            f"-- Rows of {table.name} that share one key.\n"
            f"SELECT {', '.join(table.key)}, count(*) AS n FROM {table.name} "
            f"GROUP BY {', '.join(table.key)} HAVING n > 1"
        )
        for table in WAREHOUSE_TABLES
    }


def _examples(rows: list[tuple[object, ...]]) -> tuple[str, ...]:
    return tuple(" | ".join(str(value) for value in row) for row in rows[:N_EXAMPLES])


def _known_codes() -> dict[str, pa.Table]:
    return {
        "known_reason": pa.table(
            {"code": list(REASONS), "outcome": [reason.outcome.value for reason in REASONS.values()]}
        ),
        "known_flag": pa.table({"code": list(FLAGS)}),
    }
