"""The end of a sweep: file counts, conservation, checks, the published copy, and the summary of it all."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.dispatch import Dispatcher
from flows.sweep_context import SweepContext
from warehouse.checks import run_checks
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import ArchiveRecord, FileCountRecord


@dataclass(frozen=True, slots=True)
class LevelCount:
    """One conservation line: found = scored + excluded + quarantined + failed + pending."""

    level: str  # file | series | study
    found: int
    scored: int
    excluded: int
    quarantined: int
    failed: int
    pending: int
    is_conserved: bool


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """What a sweep did; small, without identifiers."""

    run_id: str
    levels: list[LevelCount]
    reasons: list[tuple[str, str, str, int]]  # level, outcome, reason, n
    n_flagged: int
    n_scored_now: int
    model_id: str
    is_simulated_only: bool
    used_workers: bool
    failed_checks: list[str]
    published: Path | None
    duration_s: float
    n_failed_series: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def finish(context: SweepContext, dispatcher: Dispatcher) -> SweepSummary:
    """Land the archive's counts, close the run, check, publish, and sum up."""
    store, index, board = dispatcher.store, dispatcher.index, dispatcher.board
    board.counts.phase = "finishing"
    board.update(force=True)
    store.land(LandingBatch.of(_archive_rows(context, index)))
    finished = replace(context.run, state="finished", finished_at=_now())
    store.land(LandingBatch.of([finished]))
    with store.inspect() as connection:
        failed_checks = [f"{check.name}: {check.n_rows} rows" for check in run_checks(connection) if check.n_rows]
        levels = [LevelCount(*row) for row in connection.execute(query("conservation"), [context.archive_key]).fetchall()]
        reasons = connection.execute(query("reason_counts"), [context.archive_key]).fetchall()
        (n_flagged,) = connection.execute(query("flagged_count"), [context.archive_key]).fetchone()
    published = store.publish()
    board.counts.phase = "finished"
    return SweepSummary(
        run_id=context.run_id,
        levels=levels,
        reasons=[tuple(row) for row in reasons],
        n_flagged=n_flagged,
        n_scored_now=board.counts.studies_scored,
        model_id=context.model.model_id,
        is_simulated_only=context.model.is_simulated_only,
        used_workers=dispatcher.cluster.is_started,
        failed_checks=failed_checks,
        published=published,
        duration_s=(finished.finished_at - context.run.started_at).total_seconds(),
        n_failed_series=next((level.failed for level in levels if level.level == "series"), 0),
    )


def _archive_rows(context: SweepContext, index: Any) -> list[object]:
    totals = index.totals()
    archive = ArchiveRecord(
        archive_key=context.archive_key,
        site=context.settings.site,
        kind=context.source.kind,
        n_files_found=totals.n_files_found,
        n_studies_found=totals.n_studies,
        n_series_found=totals.n_series,
        is_crawl_complete=True,
    )
    counts = [
        FileCountRecord(context.archive_key, outcome, reason, n_files)
        for outcome, reason, n_files in index.file_counts()
    ]
    return [archive, *counts]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
