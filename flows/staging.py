"""Joins workers and warehouse: rows of any table, as one staging file or one landing batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warehouse.landing import LandingBatch, write_staging


def stage_rows(path: Path, rows: Sequence[object]) -> None:
    """Write rows of any record class to a staging file: temporary name, fsync, rename."""
    write_staging(path, LandingBatch.of(rows))
