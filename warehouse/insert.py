"""Puts rows into an open database by key, so that a repeat changes nothing. Runs inside the caller's transaction.

Rows come as Arrow tables and are inserted as a set. Each table is scanned once for rows that share a key with what
comes in; nearly always there is none. What happens to those there are is the table's rule (`Meeting`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection as Connection

from warehouse.connect import value_of
from warehouse.landing import LandingCounts
from warehouse.tables import SCORE_KEY, Meeting, Table

_OPEN = ("failed", "pending")  # outcomes that a later decision replaces

# Which rows already there (e) give way to the incoming row of the same key (i).
_GIVES_WAY = {
    Meeting.KEEP: "false",
    Meeting.RECOUNT: "false",
    Meeting.REPLACE: "{differs}",
    Meeting.UNLESS_FINAL: f"e.outcome IN {_OPEN} AND {{differs}}",
    Meeting.UNLESS_KEPT: "i.is_kept AND NOT e.is_kept",
}


def insert_all(
    connection: Connection, tables: Sequence[Table], rows: Mapping[str, pa.Table]
) -> LandingCounts:
    """Land the given rows (table name → Arrow rows) in the given tables, in their order."""
    inserted, replaced = {}, {}
    for table in tables:
        if table.name in rows:
            connection.register("incoming", one_per_key(table, rows[table.name]))
            replaced[table.name], inserted[table.name] = _land_incoming(connection, table)
            connection.unregister("incoming")
    return LandingCounts(inserted, replaced)


def one_per_key(table: Table, rows: pa.Table) -> pa.Table:
    """The row of each key that counts when a batch brings several: see `Meeting`."""
    keys = list(zip(*(rows[name].to_pylist() for name in table.key), strict=True))
    if len(set(keys)) == len(keys):
        return rows
    chosen: dict[tuple[object, ...], int] = {}
    for position in _worst_first(table, rows):
        chosen[keys[position]] = position
    return rows.take(sorted(chosen.values()))


def _worst_first(table: Table, rows: pa.Table) -> Iterable[int]:
    """Positions in an order in which a later one beats an earlier one of the same key."""
    positions = range(rows.num_rows)
    if table.meeting in (Meeting.REPLACE, Meeting.RECOUNT):
        return positions  # the last row counts
    if table.meeting is Meeting.UNLESS_FINAL:
        is_final = [outcome not in _OPEN for outcome in rows["outcome"].to_pylist()]
        return sorted(positions, key=lambda at: (is_final[at], -at))  # the first final one, else the first
    if table.meeting is Meeting.UNLESS_KEPT:
        is_kept = rows["is_kept"].to_pylist()
        return sorted(positions, key=lambda at: (is_kept[at], -at))  # the first kept one, else the first
    return reversed(positions)  # the first row counts


def _land_incoming(connection: Connection, table: Table) -> tuple[int, int]:
    """Land the rows registered as `incoming`; returns how many rows gave way, and how many came."""
    if table.name in _SIDE_EFFECTS:
        connection.execute(_SIDE_EFFECTS[table.name])
    in_the_way = _TABLE_IN_THE_WAY.get(table.name, table.name)
    is_new = not value_of(connection, _COUNT.format(table=in_the_way, lookup=table.lookup))
    names = ", ".join(f'"{column}"' for column in table.columns)
    insert = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM incoming i "
    if is_new:
        return 0, int(value_of(connection, insert))
    connection.execute(
        f"CREATE TEMP TABLE existing AS SELECT rowid AS _row, {names} FROM {table.name} "
        f"WHERE {table.lookup} IN (SELECT {table.lookup} FROM incoming)"
    )
    n_gone = _make_way(connection, table)
    absent = f"WHERE NOT EXISTS (SELECT 1 FROM existing e WHERE {_same_key(table)})"
    if table.name == "rejection":
        absent += f" AND NOT EXISTS (SELECT 1 FROM score WHERE {_same_score('score', 'i')})"
    n_new = int(value_of(connection, insert + absent))
    connection.execute("DROP TABLE existing")
    return n_gone, n_new


def _make_way(connection: Connection, table: Table) -> int:
    """Remove the existing rows that give way to incoming ones, from the table and from `existing`."""
    if table.meeting is Meeting.RECOUNT:
        connection.execute(_RECOUNT_SERIES)
    gives_way = _GIVES_WAY[table.meeting].format(differs=_differs(table))
    stale = connection.execute(
        f"SELECT e._row FROM existing e JOIN incoming i ON {_same_key(table)} WHERE {gives_way}"
    ).fetchall()
    if stale:
        gone = ", ".join(str(row) for (row,) in stale)
        connection.execute(f"DELETE FROM {table.name} WHERE rowid IN ({gone})")
        connection.execute(f"DELETE FROM existing WHERE _row IN ({gone})")
    return len(stale)


def _same_key(table: Table) -> str:
    return " AND ".join(f"e.{column} = i.{column}" for column in table.key)


def _same_score(left: str, right: str) -> str:
    return " AND ".join(f"{left}.{column} = {right}.{column}" for column in SCORE_KEY)


def _differs(table: Table) -> str:
    others = [column for column in table.columns if column not in table.key]
    return "(" + " OR ".join(f'e."{column}" IS DISTINCT FROM i."{column}"' for column in others) + ")"


_COUNT = "SELECT count(*) FROM {table} WHERE {lookup} IN (SELECT {lookup} FROM incoming)"
_RECOUNT_SERIES = """
UPDATE series SET n_files = i.n_files, n_bytes = i.n_bytes
FROM existing e JOIN incoming i USING (series_key, series_revision)
WHERE series.rowid = e._row AND (e.n_files <> i.n_files OR e.n_bytes <> i.n_bytes)
"""
# A score wins over a rejection of the same series, recipes and model, so a rejection has to look at both tables.
_TABLE_IN_THE_WAY = {"rejection": "(SELECT series_key FROM rejection UNION ALL SELECT series_key FROM score)"}
# What the incoming rows of one table do before they meet their own.
_SIDE_EFFECTS = {
    "archive": "DELETE FROM file_count WHERE archive_key IN (SELECT archive_key FROM incoming)",
    "operating_point": (
        "UPDATE operating_point SET is_current = false WHERE is_current "
        "AND model_digest IN (SELECT model_digest FROM incoming WHERE is_current)"
    ),
    "domain_limit": (
        "UPDATE domain_limit SET is_current = false WHERE is_current "
        "AND model_digest IN (SELECT model_digest FROM incoming WHERE is_current)"
    ),
    "score": (
        "DELETE FROM rejection USING incoming i WHERE rejection.outcome = 'failed' "
        f"AND {_same_score('rejection', 'i')}"
    ),
}
