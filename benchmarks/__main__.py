"""`python -m benchmarks [ROW ...]`: measure, print one table, write it with the machine's description.

Each group of rows runs in a process of its own with one thread: libraries choose their threads when they are loaded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.measure import Row, row_of
from benchmarks.results import markdown_table, print_table, write_results

SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30  # archives, indexes and slabs of the largest group
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Group:
    """Rows that are measured together."""

    rows: tuple[str, ...]
    function: str  # module:function(folder) -> list[Row]
    n_cores: int | None  # cores it is kept on; None: it divides them itself


GROUPS = (
    Group(("1",), "benchmarks.crawl_row:crawl_rows", 1),
    Group(("2",), "benchmarks.slab_rows:uncompressed_rows", 1),
    Group(("3",), "benchmarks.slab_rows:compressed_rows", 1),
    Group(("4",), "benchmarks.scoring_row:scoring_rows", 1),
    Group(("5", "6", "7", "8"), "benchmarks.sweep_rows:sweep_rows", None),
    Group(("9",), "benchmarks.phantom_rows:phantom_rows", 1),
    Group(("10",), "benchmarks.report_row:report_rows", 1),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that were asked for, or all. A missed target is a verdict in the table, no error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", help="numbers of rows, such as 1,2; all unless told")
    parser.add_argument("--folder", type=Path, help="where inputs are made; memory (/dev/shm) unless told")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # one group, in this process
    given = parser.parse_args(arguments)
    if given.measure:
        return _measure_here(given.measure, given.folder)
    asked = [row for each in given.rows for row in each.replace(",", " ").split()]
    groups = [group for group in GROUPS if not asked or set(asked) & set(group.rows)]
    unknown = set(asked) - {row for group in GROUPS for row in group.rows}
    if unknown:
        parser.error(f"no row {sorted(unknown)[0]}")
    machine = describe_machine()
    rows = [row for group in groups for row in _measure(group, given.folder)]
    print_table(rows, machine)
    print(f"\nwritten: {write_results(rows, machine)}")
    return 0


def _measure(group: Group, folder: Path | None) -> list[Row]:
    """One group in a child process, in a folder that goes away with it."""
    print(f"rows {', '.join(group.rows)} ...", file=sys.stderr, flush=True)
    place = Path(tempfile.mkdtemp(prefix="ovf-bench-", dir=folder or _memory()))
    allowed = os.sched_getaffinity(0)
    started = time.monotonic()
    try:
        if group.n_cores:
            os.sched_setaffinity(0, sorted(allowed)[-group.n_cores :])
        command = [sys.executable, "-m", "benchmarks", "--measure", group.function, "--folder", str(place)]
        subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True)
        rows = [row_of(each) for each in json.loads((place / "rows.json").read_text())]
    finally:
        os.sched_setaffinity(0, allowed)
        shutil.rmtree(place, ignore_errors=True)
    print(markdown_table(rows), f"\n({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    return rows


def _measure_here(function: str, folder: Path) -> int:
    module, name = function.split(":")
    rows = getattr(importlib.import_module(module), name)(folder)
    (folder / "rows.json").write_text(json.dumps([row.as_dict() for row in rows]))
    return 0


def _memory() -> Path | None:
    """A folder in memory, so that disks and what else fills the page cache stay out; None: where TMPDIR says."""
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < ROOM_BYTES:
        print(f"{SHARED_MEMORY} has no room: inputs lie on disk", file=sys.stderr)
        return None
    return SHARED_MEMORY


if __name__ == "__main__":
    sys.exit(main())
