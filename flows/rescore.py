"""`ovf rescore`: another model's scores from the slabs that a sweep kept, without the archive.

slabs without a score of this model → shards → Dask workers → staging → land → publish
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import KilledWorker

from flows.cluster import Cluster
from flows.errors import SettingsError
from flows.model_rows import land_model
from flows.settings import read_settings
from flows.staging import stage_rows
from flows.version import code_version
from models.domain import DomainReference, read_domain
from models.registry import ModelListing, describe_model, portable_name, verify_model
from tasks.rescore_work import KeptSeries, RescoreJob, RescoreSummary, rescore_shard
from tasks.shard_work import DecisionKeys, Provenance
from tasks.workers import Step, Work
from warehouse.landing import LandingBatch
from warehouse.lease import archive_lease
from warehouse.queries import query
from warehouse.records import RunRecord
from warehouse.store import Store

SERIES_PER_SHARD = 32
SHARDS_PER_WORKER = 2
# A rescoring reads no archive; its runs and its lease have this name instead of an archive's.
ARCHIVE = "rescore"


@dataclass(slots=True)
class Rescored:
    """What a rescoring did."""

    model_id: str
    n_wanted: int
    n_not_kept: int  # current series whose slab was not kept: only a sweep can score them
    n_scored: int = 0
    n_unreadable: int = 0
    n_not_finite: int = 0
    n_died: int = 0  # series of shards that killed their workers

    @property
    def n_lacking(self) -> int:
        """Kept slabs that were to be scored and have no score."""
        return self.n_unreadable + self.n_not_finite + self.n_died


def rescore(  # noqa: PLR0917
    warehouse: Path,
    model: str,
    slabs: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    say: Callable[[str], None] = print,
) -> Rescored:
    """Score every kept slab that this model has not scored, land the scores, publish.

    May be killed at any moment and called again: what is landed is not done twice. Raises ModelError, PreflightError,
    ArchiveBusy (another rescoring of this warehouse), SettingsError, WarehouseError.
    """
    verify_model(model)
    if slabs is not None and not slabs.is_dir():
        raise SettingsError(f"there is no folder {slabs}: --slabs names where the sweep kept its slabs")
    listing, store = describe_model(model), Store.open(warehouse, create=False)
    domain = read_domain(model)
    with archive_lease(store.paths.leases, ARCHIVE):
        store.land_staging()
        land_model(store, model)
        kept, n_not_kept = _unscored(store, listing)
        done = Rescored(listing.model_id, len(kept), n_not_kept)
        if kept:
            run = _run(listing)
            store.land(LandingBatch.of([run]))
            folder = (slabs or store.paths.directory / "slabs").absolute()
            known_as = portable_name(listing)
            jobs = _jobs(kept, store, run, known_as, (listing, domain, folder))
            settings = read_settings(workers=workers, scheduler=scheduler)  # and the cluster's certificates
            cluster = Cluster(settings, store.paths.staging, known_as, listing.digest, say=say)
            with contextlib.closing(cluster):
                _work(jobs, cluster, store, done)
            finished = replace(run, state="finished", finished_at=dt.datetime.now(dt.UTC))
            store.land(LandingBatch.of([finished]))
        store.publish()
    return done


def _unscored(store: Store, listing: ModelListing) -> tuple[list[KeptSeries], int]:
    with store.read_live() as connection:
        rows = connection.execute(
            query("rescore_series"), {"view_recipe": listing.view.name, "model_digest": listing.digest}
        ).fetchall()
    return [KeptSeries(*row[:3]) for row in rows if row[3]], sum(not row[3] for row in rows)


def _jobs(
    kept: Sequence[KeptSeries],
    store: Store,
    run: RunRecord,
    model: str,
    given: tuple[ModelListing, DomainReference | None, Path],
) -> Iterator[RescoreJob]:
    """Shards of one storage recipe each; the same series make the same name."""
    listing, domain, slabs = given
    for recipe in sorted({series.storage_recipe for series in kept}):
        alike = [series for series in kept if series.storage_recipe == recipe]
        keys = DecisionKeys("", "", recipe, listing.view.name, listing.digest)
        for first in range(0, len(alike), SERIES_PER_SHARD):
            part = tuple(alike[first : first + SERIES_PER_SHARD])
            named = "\n".join([*(f"{one.series_key}:{one.series_revision}" for one in part), repr(keys)])
            name = hashlib.sha256(named.encode()).hexdigest()[:24]
            yield RescoreJob(
                name=name,
                staging_path=store.paths.staging / run.run_id / f"{name}.arrow",
                series=part,
                slab_directory=slabs,
                view_recipe=listing.view,
                model=model,
                keys=keys,
                provenance=Provenance(run.run_id, run.code_version, run.settings_digest),
                stage=stage_rows,
                domain=domain,
            )


def _work(jobs: Iterator[RescoreJob], cluster: Cluster, store: Store, done: Rescored) -> None:
    """Keep two shards a worker at work, land each as it ends."""
    running: deque[tuple[RescoreJob, Work]] = deque()
    while True:
        while len(running) < SHARDS_PER_WORKER * cluster.n_workers and (job := next(jobs, None)) is not None:
            key = f"rescore-{job.name}-{job.provenance.run_id}"
            running.append((job, cluster.pool().start(Step(rescore_shard, key, (job,), is_scoring=True))))
        if not running:
            return
        job, work = running.popleft()
        try:
            summary = work.result()
        except (KilledWorker, MemoryError):
            done.n_died += len(job.series)
        else:
            _count(summary, done)
            store.land_staging()


def _count(summary: RescoreSummary, done: Rescored) -> None:
    done.n_scored += summary.n_scored
    done.n_unreadable += summary.n_unreadable
    done.n_not_finite += summary.n_not_finite


def _run(listing: ModelListing) -> RunRecord:
    """A run of its own kind. Without profile and reader: it selects nothing."""
    now = dt.datetime.now(dt.UTC)
    return RunRecord(
        run_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        archive_key=ARCHIVE,
        site="",
        kind="rescore",
        state="running",
        started_at=now,
        finished_at=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_version=code_version(),
        settings_digest="",
        profile="",
        profile_digest="",
        reader_version="",
        storage_recipe="",
        view_recipe=listing.view.name,
        model_digest=listing.digest,
    )
