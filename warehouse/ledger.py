"""Row counts after the last commit, kept outside the database file.

A torn write-ahead log loses its last commits silently, and an older file put in the warehouse's place looks healthy.
The ledger is written after each commit, so the database may be ahead of it (killed in between), never behind.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from warehouse.errors import WarehouseDamaged
from warehouse.paths import replace_file
from warehouse.tables import WAREHOUSE_TABLES


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the database held after a commit."""

    warehouse_id: str
    sequence: int  # transactions committed since creation
    n_rows: dict[str, int]  # table → rows


def read_ledger(path: Path) -> Ledger | None:
    """The ledger beside a warehouse; None when there is none. WarehouseDamaged when it cannot be read."""
    try:
        return Ledger(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise WarehouseDamaged(f"its ledger {path.name} cannot be read") from error


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Replace the ledger, durably."""
    replace_file(path, json.dumps(asdict(ledger), indent=1).encode())


def count(connection: Connection) -> Ledger:
    """What an open warehouse holds now."""
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}', count(*) FROM {table.name}" for table in WAREHOUSE_TABLES
    )
    stamps = connection.execute("SELECT warehouse_id, sequence FROM store_stamp").fetchall()
    if len(stamps) != 1:
        raise WarehouseDamaged("its stamp is gone")
    warehouse_id, sequence = stamps[0]
    return Ledger(warehouse_id, sequence, dict(connection.execute(counts).fetchall()))


def compare(found: Ledger, expected: Ledger | None) -> None:
    """Raise WarehouseDamaged when the database is behind its ledger. Without a ledger nothing can be said."""
    if expected is None:
        return
    if found.warehouse_id != expected.warehouse_id:
        raise WarehouseDamaged(_with_way_out("another warehouse's file lies in its place"))
    if found.sequence < expected.sequence:
        behind = expected.sequence - found.sequence
        raise WarehouseDamaged(_with_way_out(f"the last {behind} landings are missing from it"))
    if found.sequence == expected.sequence and found.n_rows != expected.n_rows:
        tables = sorted(name for name in expected.n_rows if expected.n_rows[name] != found.n_rows.get(name))
        raise WarehouseDamaged(_with_way_out(f"tables with other row counts: {', '.join(tables)}"))


def _with_way_out(finding: str) -> str:
    return f"{finding} (if you put this file here on purpose, delete its .ledger.json)"
