"""How much disk the slabs of a sweep will take, said before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from flows.console import megabytes
from flows.errors import SettingsError
from flows.sweep_context import SweepContext
from tasks.index import Index
from tasks.jpeg2000 import slab_bytes_estimate
from tasks.recipe import DEFAULT_RECIPE


def say_disk_need(context: SweepContext, index: Index, say: Callable[[str], None]) -> None:
    """Say what the slabs will take, from the crawl before if there was one, else per scan.

    Raises SettingsError when a known archive's slabs cannot fit.
    """
    folder = context.slab_directory
    if folder is None:
        say("slabs are not kept (--no-slabs)")
        return
    free = shutil.disk_usage(_existing(folder)).free
    per_scan = _slab_bytes(1, context)
    n_known = index.totals().n_studies
    if not n_known:
        room = free // per_scan
        say(
            f"slabs take about {megabytes(per_scan)} a scan; {megabytes(free)} are free, room for {room:,} scans"
        )
        return
    need = max(0, _slab_bytes(n_known, context) - _taken(folder))
    say(
        f"slabs take about {megabytes(need)} more at most ({n_known:,} studies known); {megabytes(free)} are free"
    )
    if need > free:
        raise SettingsError(
            f"the slabs need {megabytes(need)}, {megabytes(free)} are free in {folder}: "
            "use --slabs elsewhere, a smaller --slab-width, or --no-slabs"
        )


def _slab_bytes(n_scans: int, context: SweepContext) -> int:
    share = context.slab_recipe.n_slices / DEFAULT_RECIPE.n_slices
    return round(slab_bytes_estimate(n_scans) * share)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.jp2")) if folder.exists() else 0
