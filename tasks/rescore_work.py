"""Takes one shard of kept slabs, returns their scores by another model in a staging file. Runs on the workers.

The same pure step as the second one of a sweep, fed from files that a sweep kept instead of from the archive. A slab
that is gone or damaged gets no score, and is counted; its series keeps the scores that it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.config import ViewRecipe
from tasks.jpeg2000 import SlabFileError, read_slab
from tasks.shard_work import (
    DecisionKeys,
    Provenance,
    distance_row,
    kept_slab_path,
    loaded_scorer,
    score_record,
)
from tasks.slab import view_of
from tasks.view import View

if TYPE_CHECKING:
    from models.domain import DomainReference


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """A series whose slab was kept."""

    series_key: str
    series_revision: str
    storage_recipe: str


@dataclass(frozen=True, slots=True)
class RescoreJob:
    """Everything a worker needs to score a shard of kept slabs. Picklable; its name identifies nobody."""

    name: str
    staging_path: Path
    series: tuple[KeptSeries, ...]  # of one storage recipe
    slab_directory: Path
    view_recipe: ViewRecipe
    model: str  # id of a shipped model, or a folder
    keys: DecisionKeys
    provenance: Provenance
    stage: Callable[[Path, Sequence[object]], None]
    domain: DomainReference | None


@dataclass(frozen=True, slots=True)
class RescoreSummary:
    """What the driver hears of a shard."""

    n_scored: int
    n_unreadable: int  # slabs that are gone or damaged
    n_not_finite: int


def rescore_shard(job: RescoreJob) -> RescoreSummary:
    """Read, view and score the slabs of a shard in common batches; stage the rows. A staged shard returns at once."""
    if job.staging_path.exists():
        return RescoreSummary(0, 0, 0)
    started = time.monotonic()
    found = [(series, view) for series in job.series if (view := _view_of(series, job)) is not None]
    scorer = loaded_scorer(job.model, job.keys.model_digest)
    scores = scorer.score([view for _, view in found])
    duration_s = (time.monotonic() - started) / max(1, len(found))
    rows: list[object] = []
    n_scored = 0
    for (series, view), score in zip(found, scores, strict=True):
        key = (series.series_key, series.series_revision)
        row = score_record(key, view, score, job.keys, job.provenance, duration_s=duration_s)
        if row is None:
            continue
        n_scored += 1
        rows += [row] if job.domain is None else [row, distance_row(row, job.domain, score.slice_features)]
    job.stage(job.staging_path, rows)
    return RescoreSummary(n_scored, len(job.series) - len(found), len(found) - n_scored)


def _view_of(series: KeptSeries, job: RescoreJob) -> View | None:
    path = kept_slab_path(job.slab_directory, series.series_key, series.series_revision)
    try:
        slab = read_slab(path)
    except (SlabFileError, OSError):
        return None
    if slab.record.storage_recipe != series.storage_recipe:
        return None  # written by a sweep with another recipe since: not the slab that the warehouse tells of
    return view_of(slab, job.view_recipe)
