"""The canary of a night: the golden set goes the way of every scan, on every worker, before anything is written.

Its answers are compared with those that were enrolled for the model. What differs (weights, decoders, libraries,
preprocessing, a GPU) stops the night.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flows.cluster import Cluster
from flows.errors import CanaryChanged
from flows.golden_set import CASES, golden_set
from flows.sweep_context import SweepContext
from tasks.crawl import crawl, read_here
from tasks.index import Index
from tasks.profile import LENIENT, Cohort
from tasks.select import StudySelection, select_study
from tasks.series import group_series
from tasks.shard_work import ShardJob, SlabbedShard, make_slabs, score_slabs
from tasks.sources import open_source
from tasks.sources.base import Source
from tasks.workers import Step
from warehouse.landing import read_staging
from warehouse.night_records import CanaryRecord

# Largest difference of a logit, by the precision of the convolutions. One machine repeats itself bit by bit (batches
# have one shape); other processors and GPUs sum in another order (docs/nightly.md says what was tried).
LOGIT_TOLERANCE = {"fp32": 0.02, "bf16": 0.15, "fp16": 0.05}
# Between two precisions of one model, when the second is enrolled.
CROSS_TOLERANCE = 0.5
# Of the mean grey value of an image: 0.1 of 255 is 0.5 HU. Rounding of single pixels stays far below.
GREY_TOLERANCE = 0.1
MOST_FINDINGS = 6


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What the canary said. `difference` is the largest one as a share of its tolerance: above 1 stops the night."""

    found: tuple[CanaryRecord, ...]
    is_enrolled_now: bool
    difference: float
    precision: str
    n_workers: int


@dataclass(frozen=True, slots=True)
class _Golden:
    """The golden set, read and selected."""

    source: Source
    digest: str
    case_of_series: dict[str, str]
    studies: tuple[StudySelection, ...]


def check_canary(
    context: SweepContext,
    cluster: Cluster,
    folder: Path,
    enrolled: Sequence[CanaryRecord],
    *,
    is_renewed: bool = False,
) -> CanaryResult:
    """Score the golden set on every worker and compare. Raises CanaryChanged; writes into `folder` only.

    `enrolled` are all rows of the warehouse. Nothing enrolled yet, or `is_renewed`: what is found is to be enrolled.
    A precision that is new for the model is compared with the one that is known, more loosely.
    """
    golden = _read_golden(context, folder / "golden")
    by_worker = _score_on_workers(context, cluster, golden, folder / "scratch")
    return judge(by_worker, enrolled, is_renewed=is_renewed)


def judge(
    by_worker: Sequence[Sequence[CanaryRecord]], enrolled: Sequence[CanaryRecord], *, is_renewed: bool = False
) -> CanaryResult:
    """Compare what each worker found with what is enrolled, and the workers with each other. Raises CanaryChanged."""
    first = by_worker[0]
    same = [row for row in enrolled if _key(row) == _key(first[0])]
    other = [row for row in enrolled if _key(row)[:3] == _key(first[0])[:3]]
    if enrolled and not other and not is_renewed:
        raise CanaryChanged(["this model or view has never been enrolled here"])
    expected = list(first) if is_renewed or not other else same or other
    is_known = bool(same) and not is_renewed
    if not is_renewed and any(row.golden_digest != first[0].golden_digest for row in expected):
        raise CanaryChanged(["the files of the golden set are not those that were enrolled"])
    findings: list[str] = []
    worst = 0.0
    for number, found in enumerate(by_worker):
        share, texts = _compare(found, expected)
        worst = max(worst, share)
        findings += [f"worker {number}, {text}" for text in texts]
    if findings:
        raise CanaryChanged(findings[:MOST_FINDINGS], len(findings) - MOST_FINDINGS)
    return CanaryResult(tuple(first), not is_known, worst, first[0].precision, len(by_worker))


def _key(row: CanaryRecord) -> tuple[str, str, str, str]:
    return row.model_digest, row.storage_recipe, row.view_recipe, row.precision


def _compare(found: Sequence[CanaryRecord], expected: Iterable[CanaryRecord]) -> tuple[float, list[str]]:
    """The largest difference as a share of its tolerance, and a text for each that is too large."""
    answers = {row.golden_case: row for row in found}
    worst, texts = 0.0, []
    for row in sorted(expected, key=lambda row: row.golden_case):
        answer = answers[row.golden_case]
        is_same_precision = answer.precision == row.precision
        tolerance = LOGIT_TOLERANCE[row.precision] if is_same_precision else CROSS_TOLERANCE
        for what, new, old, allowed in (
            ("logit", [answer.logit], [row.logit], tolerance),
            ("logit of an image", answer.slice_logits, row.slice_logits, tolerance),
            ("mean grey value of an image", answer.grey_mean, row.grey_mean, GREY_TOLERANCE),
        ):
            share, text = _difference(new, old, allowed)
            worst = max(worst, share)
            if share > 1:
                texts.append(f"{row.golden_case}: {what} {text}")
    return worst, texts


def _difference(new: Sequence[float], old: Sequence[float], allowed: float) -> tuple[float, str]:
    if len(new) != len(old):
        return float("inf"), f"({len(new)} images instead of {len(old)})"
    gap = np.abs(np.asarray(new, np.float64) - np.asarray(old, np.float64))
    at = int(np.argmax(gap))
    if not np.isfinite(gap[at]):
        return float("inf"), "is not a number"
    return float(gap[at] / allowed), f"{new[at]:.4f} instead of {old[at]:.4f} (±{allowed:g})"


def _read_golden(context: SweepContext, folder: Path) -> _Golden:
    """Make the set unless it is there, crawl and select it, by a profile and cohort of its own."""
    digest = golden_set(folder)
    source = open_source(str(folder))
    with (
        tempfile.TemporaryDirectory(prefix="ovf-golden-") as scratch,
        Index(Path(scratch), partitions=1) as index,
    ):
        for _ in crawl(source, index, read_batch=read_here(source), stable_s=0.0):
            pass
        known = [
            index.instances_of(ticket.study_instance_uid) for batch in index.studies() for ticket in batch
        ]
    case_of_series, studies = {}, []
    for study in (study for study in known if study.instances):
        selection = select_study(
            group_series(study),
            study=study,
            keys=context.pseudonyms,
            profile=LENIENT,
            cohort=Cohort(min_age_years=0),
            archive_key="canary",
            site=context.settings.site,
            run_id=context.run_id,
        )
        case = study.instances[0].patient_id or "unnamed"
        if len(selection.plans) != 1:
            raise CanaryChanged([f"{case}: selection refuses it ({selection.selections[0].reason})"])
        case_of_series[selection.plans[0].series_key] = case
        studies.append(selection)
    if unread := sorted(CASES.keys() - set(case_of_series.values())):
        raise CanaryChanged([f"{case}: its files cannot be read any more" for case in unread])
    return _Golden(source, digest, case_of_series, tuple(studies))


def _score_on_workers(
    context: SweepContext, cluster: Cluster, golden: _Golden, scratch: Path
) -> list[list[CanaryRecord]]:
    """Both steps of a shard, on every worker at least once: slabs on all, scores where scores run."""
    pool = cluster.pool()
    run_id = context.run_id
    shutil.rmtree(scratch, ignore_errors=True)
    jobs = [_job(context, golden, scratch / f"{number}.arrow") for number in range(len(pool.workers))]
    slabs = [
        pool.start(Step(make_slabs, f"canary-slabs-{number}-{run_id}", (job,), worker=pool.workers[number]))
        for number, job in enumerate(jobs)
    ]
    shards = [work.result() for work in slabs]
    scorers = pool.scorers
    scores = [
        pool.start(
            Step(
                score_slabs,
                f"canary-score-{number}-{run_id}",
                (shard,),
                is_scoring=True,
                worker=scorers[number % len(scorers)],
            )
        )
        for number, shard in enumerate(shards)
    ]
    found = []
    for job, shard, work in zip(jobs, shards, scores, strict=True):
        work.result()
        assert isinstance(shard, SlabbedShard)  # its staging file was not there before
        found.append(_records(context, golden, job, shard))
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def _job(context: SweepContext, golden: _Golden, staging_path: Path) -> ShardJob:
    job = context.job("canary", golden.studies)
    return replace(job, staging_path=staging_path, source=golden.source, slab_directory=None)


def _records(
    context: SweepContext, golden: _Golden, job: ShardJob, slabs: SlabbedShard
) -> list[CanaryRecord]:
    """What one worker said of each case. Raises CanaryChanged for a case without a score."""
    staged = read_staging(job.staging_path)
    why = {row.series_key: row.reason for row in staged.rejections}
    greys = {
        study.plan.series_key: [float(image.mean()) for image in study.slab.view.images_nhw]
        for study in slabs.studies
        if study.plan is not None and study.slab is not None and study.slab.view is not None
    }
    scores = {row.series_key: row for row in staged.scores}
    missing = [
        f"{case}: {why.get(key, 'no answer')}"
        for key, case in golden.case_of_series.items()
        if key not in scores
    ]
    if missing:
        raise CanaryChanged([f"a golden case is not scored any more: {text}" for text in missing])
    return [
        CanaryRecord(
            model_digest=row.model_digest,
            storage_recipe=row.storage_recipe,
            view_recipe=row.view_recipe,
            precision=row.precision,
            golden_case=golden.case_of_series[key],
            golden_digest=golden.digest,
            logit=row.logit,
            slice_logits=row.slice_logits,
            grey_mean=greys[key],
            device=row.device,
            code_version=context.run.code_version,
            enrolled_at=dt.datetime.now(dt.UTC),
        )
        for key, row in scores.items()
    ]
