"""Makes docs/warehouse.md from the comments in the SQL of the warehouse.

Run it after a change: `.venv/bin/python scripts/warehouse_docs.py`. A test fails until you do.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb

from warehouse import schema
from warehouse.checks import checks
from warehouse.headers import description_of
from warehouse.queries import query
from warehouse.tables import IDENTITY_TABLES, INTERNAL_TABLES, WAREHOUSE_TABLES

PAGE = Path(__file__).parents[1] / "docs" / "warehouse.md"
INTRODUCTION = """# The warehouse

Made from the comments in `warehouse/**/*.sql` by `scripts/warehouse_docs.py`; a test keeps it in step.

A warehouse is one DuckDB file. Beside it lie the identity file (who the pseudonyms are), the key, the staging folder,
the index, the leases, a ledger of row counts, and `published/warehouse.duckdb`: the copy to open with DuckDB, Python or
R. In that copy `series_outcome` is a table, so that looking things up is quick; everything else is as below.

What is marked *volatile* may differ between two runs over the same archive; everything else is equal, however often a
sweep was interrupted.

To ask something:

```
.venv/bin/python -c "import duckdb; print(duckdb.connect('ovf-warehouse/published/warehouse.duckdb', read_only=True)
    .sql('SELECT outcome, reason, count(*) FROM study_outcome GROUP BY ALL ORDER BY ALL'))"
```
"""


def page() -> str:
    """The whole page."""
    with duckdb.connect() as warehouse, duckdb.connect() as identity:
        schema.migrate(warehouse, schema.WAREHOUSE)
        schema.migrate(identity, schema.IDENTITY)
        parts = [INTRODUCTION, "## Tables\n"]
        parts += [_table(warehouse, table.name) for table in WAREHOUSE_TABLES]
        parts += ["## Views\n", _views(warehouse)]
        parts += ["## Tables of the store itself\n", *(_table(warehouse, name) for name in INTERNAL_TABLES)]
        parts += ["## The identity file\n", *(_table(identity, table.name) for table in IDENTITY_TABLES)]
    parts += ["## Queries\n", _queries(), "## Checks\n", _checks()]
    return "\n".join(parts)


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    comment = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE table_name = ?", [name]
    ).fetchall()
    columns = connection.execute(
        "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() "
        "WHERE table_name = ? ORDER BY column_index",
        [name],
    ).fetchall()
    lines = [
        f"### {name}",
        "",
        comment[0][0],
        "",
        "| column | type | null | what it is |",
        "|---|---|---|---|",
    ]
    for column, kind, is_nullable, text in columns:
        lines.append(f"| `{column}` | {kind} | {'yes' if is_nullable else ''} | {_cell(text)} |")
    return "\n".join([*lines, ""])


def _views(connection: duckdb.DuckDBPyConnection) -> str:
    views = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
    ).fetchall()
    lines = ["| view | what it shows | columns |", "|---|---|---|"]
    for name, comment in views:
        columns = connection.execute(f"SELECT column_name FROM (DESCRIBE {name})").fetchall()
        listed = ", ".join(f"`{column}`" for (column,) in columns)
        lines.append(f"| `{name}` | {_cell(comment)} | {listed} |")
    return "\n".join([*lines, ""])


def _queries() -> str:
    files = resources.files("warehouse").joinpath("queries").iterdir()
    names = sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))
    lines = ["| query | what it gives |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(description_of(query(name)))} |" for name in names]
    return "\n".join([*lines, ""])


def _checks() -> str:
    lines = ["`ovf check` runs these. A row is a fault.", "", "| check | its rows |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(description_of(sql))} |" for name, sql in checks().items()]
    lines.append("| `duplicate_keys_TABLE` | Rows of a table that share one key. |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
