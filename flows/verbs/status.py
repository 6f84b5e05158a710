"""`ovf status`: where every archive of a warehouse stands, also while a sweep runs in another terminal."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from flows.console import make_console
from flows.progress import Counts, duration_text, line_of
from flows.verbs.options import DEFAULT, WarehouseOption
from warehouse.lease import holder_of
from warehouse.queries import query
from warehouse.store import Store


def status(warehouse: WarehouseOption = DEFAULT) -> None:
    """Show how far each archive is, what runs now, and why scans were left out.

    Example: ovf status --warehouse north/warehouse.duckdb
    """
    console = make_console()
    store = Store.open(warehouse, create=False)
    for path in sorted((store.paths.directory / "runs").glob("*.json")):
        console.print(_running_line(store, path), soft_wrap=True)
    with store.read() as connection:
        rows = connection.execute(query("status")).fetchall()
        names = [column[0] for column in connection.description]
        reasons = connection.execute(query("summary"), {"archive_key": None}).fetchall()
    if not rows:
        console.print(
            "nothing has been published yet: the first numbers come with the end of the first sweep"
        )
        return
    console.print()
    console.print(_archives(names, rows))
    console.print()
    console.print(_reasons(reasons))


def _running_line(store: Store, path: Path) -> str:
    archive_key = path.stem
    holder = holder_of(store.paths.leases, archive_key)
    values = json.loads(path.read_text())
    counts = Counts(**{name: values[name] for name in Counts.__dataclass_fields__})
    where = f"archive {archive_key[:8]}, run {values['run_id']}"
    if holder is None:
        how = (
            "finished"
            if counts.phase == "finished"
            else f"stopped while {counts.phase}: sweep again to go on"
        )
        return f"{where}: {how}; {line_of(counts)}"
    running = duration_text(values["elapsed_s"])
    return f"{where}: {counts.phase} for {running}, process {holder.pid} on {holder.host}; {line_of(counts)}"


# Column of the query `status` → its header here.
_SHOWN = {
    "archive_key": "archive",
    "site": "site",
    "state": "last run",
    "finished_at": "finished (UTC)",
    "n_files_found": "files",
    "n_studies_found": "studies",
    "scored": "scored",
    "excluded": "excluded",
    "quarantined": "quarantined",
    "failed": "failed",
    "pending": "pending",
}


def _archives(names: list[str], rows: list[tuple[object, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, header in _SHOWN.items():
        table.add_column(
            header, no_wrap=True, justify="left" if name in ("archive_key", "site", "state") else "right"
        )
    for row in rows:
        values = dict(zip(names, row, strict=True))
        values["archive_key"] = str(values["archive_key"])[:8]
        table.add_row(*(_text(values[name]) for name in _SHOWN))
    return table


def _reasons(rows: list[tuple[str, str, str | None, int]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("level", "outcome", "reason"):
        table.add_column(name)
    table.add_column("n", justify="right")
    for level, outcome, reason, count in rows:
        table.add_row(level, outcome, reason or "", f"{count:,}")
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).split(".", maxsplit=1)[0]
