"""The table, printed, and kept in results/ with the machine it was measured on. Rows that were not measured stay."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_name
from benchmarks.measure import Row, row_of

FOLDER = Path(__file__).parent / "results"
_HEAD = ("", "what", "ours", "against", "peer", "ratio", "target", "verdict", "start-up: ours / peer")


def print_table(rows: Sequence[Row], machine: dict[str, object]) -> None:
    """The machine, the table, the notes."""
    print("\n".join(machine_lines(machine)), end="\n\n")
    print(markdown_table(rows))
    notes = [f"{row.number}: {row.note}" for row in rows if row.note]
    if notes:
        print("\n" + "\n".join(notes))


def markdown_table(rows: Sequence[Row]) -> str:
    """One table, its columns in line."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} {row.unit}"
    target = f"{row.bound} {row.target:g} {row.unit}"
    return (row.number, row.what, row.ours, row.against, row.peer, ratio, target, row.verdict, row.start_up)


def machine_lines(machine: dict[str, object]) -> list[str]:
    """The machine, for people."""
    flags, libraries = machine["flags"], machine["libraries"]
    assert isinstance(flags, list)
    assert isinstance(libraries, dict)
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"load at start {machine['load_at_start']}",
        f"flags: {', '.join(flags) or 'none that matter'}; {machine['system']}; Python {machine['python']}",
        ", ".join(f"{name} {version}" for name, version in libraries.items()),
    ]


def write_results(rows: Sequence[Row], machine: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write NAME.json (all numbers) and NAME.md (the table) for this machine; returns the second."""
    folder.mkdir(exist_ok=True)
    name = machine_name(machine)
    known = _known(folder / f"{name}.json")
    today = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    known |= {row.number: {**row.as_dict(), "day": today, "machine": machine} for row in rows}
    ordered = dict(sorted(known.items()))
    (folder / f"{name}.json").write_text(json.dumps(ordered, indent=1, sort_keys=True) + "\n")
    path = folder / f"{name}.md"
    path.write_text(_page(ordered, machine))
    return path


def _known(path: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _page(known: dict[str, dict[str, Any]], machine: dict[str, Any]) -> str:
    rows = [row_of(each) for each in known.values()]
    days = [
        f"row {number}: {each['day']}, load {each['machine']['load_at_start']}"
        for number, each in known.items()
    ]
    notes = [f"- {row.number}: {row.note}" for row in rows if row.note]
    parts = [
        "# Measured by `make bench`",
        "\n".join(f"- {line}" for line in machine_lines(machine)),
        markdown_table(rows),
        "\n".join(notes),
        f"Measured: {'; '.join(days)}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
