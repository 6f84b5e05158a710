"""Takes one shard of selected studies, returns its slabs, then its scores in a staging file. Runs on the workers.

Two pure steps, so that a cluster can run the first on CPU workers and the second where a GPU is. Neither raises for
a bad scan: that ends as a rejection row. What does raise (memory, a full disk) is the infrastructure's, and the
driver tries the shard again in halves (`tasks.shards`).
"""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.config import ViewRecipe
from tasks.plan import SeriesPlan
from tasks.select import StudySelection
from tasks.slab import SlabRecipe, SlabResult
from tasks.sources.base import Source
from warehouse.domain_records import DomainDistanceRecord
from warehouse.reasons import Outcome, message_for, reason_of
from warehouse.records import RejectionRecord, ScoreRecord

if TYPE_CHECKING:
    from models.domain import DomainReference
    from models.infer import ScanScore, Scorer
    from tasks.view import View


@dataclass(frozen=True, slots=True)
class DecisionKeys:
    """What, besides the series itself, a decision and a score depend on (design: exactly once)."""

    profile_digest: str
    reader_version: str
    storage_recipe: str
    view_recipe: str
    model_digest: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a score says of where it came from."""

    run_id: str
    code_version: str
    settings_digest: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on decoding one series."""

    memory_bytes: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ShardJob:
    """Everything two workers need to take a shard from files to scores. Picklable; its name identifies nobody."""

    name: str  # digest of what it holds: a repeat has the same name
    staging_path: Path
    studies: tuple[StudySelection, ...]
    source: Source
    slab_directory: Path | None  # None: slabs are not kept
    slab_recipe: SlabRecipe
    view_recipe: ViewRecipe
    model: str  # id of a shipped model, or a folder
    keys: DecisionKeys
    provenance: Provenance
    limits: Limits
    stage: Callable[[Path, Sequence[object]], None]  # writes records to a staging file, atomically
    domain: DomainReference | None = (
        None  # how far a score lies from what the model saw; None: it has no yardstick
    )


@dataclass(slots=True)
class SlabbedStudy:
    """A study whose series were tried in rank order until one gave a slab."""

    selection: StudySelection
    slab: SlabResult | None  # None: no series gave one
    plan: SeriesPlan | None
    rejections: list[RejectionRecord] = field(default_factory=list)


@dataclass(slots=True)
class SlabbedShard:
    """A shard between its two steps; under 1 MB a scan."""

    job: ShardJob
    studies: list[SlabbedStudy]


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What the driver hears of a finished shard; the rows themselves are in the staging file."""

    name: str
    n_studies: int
    n_scored: int
    n_failed: int
    duration_s: float
    was_staged: bool  # a repeat found the staging file and did nothing


def make_slabs(job: ShardJob) -> SlabbedShard | ShardSummary:
    """First step: decode and resample. A shard that is already staged returns its summary at once."""
    if job.staging_path.exists():
        return ShardSummary(job.name, len(job.studies), 0, 0, 0.0, True)
    return SlabbedShard(job, [_first_slab(study, job) for study in job.studies])


def score_slabs(shard: SlabbedShard | ShardSummary) -> ShardSummary:
    """Second step: score every slab of the shard in common batches, stage all its rows, return what was done."""
    if isinstance(shard, ShardSummary):
        return shard
    started = time.monotonic()
    job = shard.job
    with_view = [(study, study.slab.view) for study in shard.studies if study.slab and study.slab.view]
    scores = loaded_scorer(job.model, job.keys.model_digest).score([view for _, view in with_view])
    duration_s = (time.monotonic() - started) / max(1, len(with_view))
    rows: list[object] = []
    for (study, _), score in zip(with_view, scores, strict=True):
        rows += _score_rows(study, score, job, duration_s)
    for study in shard.studies:
        rows += _rows_of(study)
    job.stage(job.staging_path, rows)
    n_failed = sum(isinstance(row, RejectionRecord) and row.outcome == "failed" for row in rows)
    n_scored = sum(isinstance(row, ScoreRecord) for row in rows)
    return ShardSummary(job.name, len(shard.studies), n_scored, n_failed, time.monotonic() - started, False)


def give_up(job: ShardJob, code: str) -> ShardSummary:
    """Stage a shard that the infrastructure could not do: every first-choice series ends as failed, to be retried."""
    rows: list[object] = []
    for study in job.studies:
        rejected = [rejection(plan, job.keys, "slab", code) for plan in study.plans]
        rows += _rows_of(SlabbedStudy(study, None, None, rejected))
    job.stage(job.staging_path, rows)
    return ShardSummary(job.name, len(job.studies), 0, len(job.studies), 0.0, False)


def rejection(
    plan: SeriesPlan, keys: DecisionKeys, stage: str, code: str, message: str | None = None
) -> RejectionRecord:
    """The row of an eligible series that could not be scored."""
    return RejectionRecord(
        series_key=plan.series_key,
        series_revision=plan.series_revision,
        profile_digest=keys.profile_digest,
        reader_version=keys.reader_version,
        storage_recipe=keys.storage_recipe,
        view_recipe=keys.view_recipe,
        model_digest=keys.model_digest,
        stage=stage,
        outcome=reason_of(code).outcome.value,
        reason=code,
        message=message or message_for(code),
    )


def slab_path(directory: Path, plan: SeriesPlan) -> Path:
    """Where a slab is kept: built from pseudonyms alone, never from a DICOM value."""
    return kept_slab_path(directory, plan.series_key, plan.series_revision)


def kept_slab_path(directory: Path, series_key: str, series_revision: str) -> Path:
    """The same, of a series that is known by its pseudonym and revision."""
    return directory / series_key[:2] / f"{series_key}-{series_revision[:12]}.jp2"


def _first_slab(study: StudySelection, job: ShardJob) -> SlabbedStudy:
    done = SlabbedStudy(study, None, None)
    sandbox = _sandbox(job.limits)
    for plan in study.plans:
        path = slab_path(job.slab_directory, plan) if job.slab_directory else None
        result = sandbox.slab(plan, job.source, path, job.slab_recipe, job.view_recipe)
        if result.rejection is None:
            done.slab, done.plan = result, plan
            break
        why = result.rejection
        done.rejections.append(rejection(plan, job.keys, "slab", why.reason, why.message))
        if why.outcome == Outcome.FAILED:
            break  # the next run tries this series again; an alternative now would make the two runs differ
    return done


def _score_rows(study: SlabbedStudy, score: ScanScore, job: ShardJob, duration_s: float) -> list[object]:
    plan, view = study.plan, study.slab.view if study.slab else None
    assert plan is not None
    assert view is not None
    made = score_record(
        (plan.series_key, plan.series_revision), view, score, job.keys, job.provenance, duration_s=duration_s
    )
    if made is None:
        return [rejection(plan, job.keys, "score", "not_finite")]
    return [made] if job.domain is None else [made, distance_row(made, job.domain, score.slice_features)]


def distance_row(
    row: ScoreRecord, domain: DomainReference, slice_features: NDArray[np.floating]
) -> DomainDistanceRecord:
    """How far a score lies from what its model has seen."""
    return DomainDistanceRecord(
        series_key=row.series_key,
        series_revision=row.series_revision,
        storage_recipe=row.storage_recipe,
        view_recipe=row.view_recipe,
        model_digest=row.model_digest,
        domain_id=domain.domain_id,
        distance=domain.distance(slice_features),
    )


def score_record(
    series: tuple[str, str],
    view: View,
    score: ScanScore,
    keys: DecisionKeys,
    provenance: Provenance,
    *,
    duration_s: float,
) -> ScoreRecord | None:
    """The row of one score of (series_key, series_revision); None when an answer is not a number."""
    if not score.is_finite:
        return None
    return ScoreRecord(
        series_key=series[0],
        series_revision=series[1],
        storage_recipe=keys.storage_recipe,
        view_recipe=keys.view_recipe,
        model_digest=keys.model_digest,
        logit=float(score.logit),
        n_slices=len(score.slice_logits),
        slice_index=[int(i) for i in view.slice_index],
        tile_index=[int(i) for i in view.tile_index],
        slice_logits=[float(v) for v in score.slice_logits],
        slice_features=[float(v) for v in score.slice_features.ravel()],
        precision=score.precision,
        device=score.device,
        code_version=provenance.code_version,
        settings_digest=provenance.settings_digest,
        run_id=provenance.run_id,
        scored_at=dt.datetime.now(dt.UTC),
        duration_s=duration_s,
        n_vertebrae=score.n_vertebrae,
    )


def _rows_of(study: SlabbedStudy) -> list[object]:
    rows: list[object] = [*study.selection.records, *study.rejections]
    if study.slab is not None:
        rows.append(study.slab.record)
    return rows


# One per worker process: a child that decodes, and the model. Kept between shards; loading costs seconds.
@functools.lru_cache(maxsize=1)
def _sandbox(limits: Limits) -> Any:
    from tasks.sandbox import Sandbox

    return Sandbox(memory_bytes=limits.memory_bytes, timeout_s=limits.timeout_s)


@functools.lru_cache(maxsize=1)
def loaded_scorer(model: str, digest: str) -> Scorer:
    from models.infer import Scorer
    from models.loading import load_model

    return Scorer(load_model(model, expected_digest=digest))
