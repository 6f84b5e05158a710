"""Turns studies that the crawl has settled into decisions and shards, and keeps a bounded number of shards at work."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from prefect.futures import PrefectFuture

from flows.archive_counts import archive_rows
from flows.cluster import Cluster
from flows.pending import pending_studies, unanswered_plans
from flows.progress import Board
from flows.pull import Puller
from flows.shard_size import shard_limit
from flows.sweep_context import SweepContext
from tasks.crawl import Progress
from tasks.index import Index
from tasks.instance import StudyTicket
from tasks.plan import SeriesPlan
from tasks.pull import Pull, Pulled
from tasks.select import StudySelection
from tasks.shard_work import ShardJob, ShardSummary, rejection
from tasks.shards import ShardRun, run_shard
from warehouse.landing import LandingBatch
from warehouse.reasons import message_for
from warehouse.store import Store

T = TypeVar("T")
BATCH_STUDIES = 128  # studies looked up in, and landed in, the warehouse at a time
PUBLISH_EVERY_S = 900.0  # design: at the end of a run and at most every 15 minutes
PULL_WAIT_S = 1.0
SHARDS_PER_WORKER = 2  # one at work, one waiting, so that no worker idles while the driver lands


def never() -> bool:
    """A sweep without a window."""
    return False


@dataclass(slots=True)
class Dispatcher:
    """Takes tickets, decides, dispatches, lands. One thread; Prefect's own threads wait for the workers."""

    context: SweepContext
    index: Index
    store: Store
    cluster: Cluster
    board: Board
    forgotten_patients: frozenset[str] = frozenset()
    pulls: Puller | None = None  # set for a PACS: studies are fetched before they are scored
    is_window_over: Callable[[], bool] = never  # from then on nothing is sent; what is at work is waited for
    n_left: int = 0  # studies that were to be scored and were not sent
    n_carried: int = 0  # studies taken up that an earlier run had seen and not finished
    _shard: list[StudySelection] = field(default_factory=list)
    _shard_bytes: int = 0
    _shard_limit: int = 1
    _n_taken: int = 0  # studies decided, or put into a shard
    _n_studies: int | None = None  # of the archive, once the crawl is done
    _published_at: float = field(default_factory=time.monotonic)
    _open: deque[tuple[ShardJob, PrefectFuture[list[ShardSummary]]]] = field(default_factory=deque)

    def on_crawl(self, progress: Progress) -> None:
        """Called by the crawl as it goes."""
        counts = self.board.counts
        counts.files_seen, counts.files_new = progress.n_seen, progress.n_read
        counts.files_expected = progress.n_expected
        self.board.update()

    def take_settled(self, tickets: Iterable[StudyTicket]) -> None:
        """Studies with something new: select, land what selection alone decides, dispatch what must be scored."""
        for batch in _batched(tickets, BATCH_STUDIES):
            self.board.counts.studies_found += len(batch)
            self._dispatch(batch)

    def take_known(self, batches: Iterable[list[StudyTicket]]) -> None:
        """Studies without anything new: only those that this profile, reader and model have not decided."""
        pseudonyms = self.context.pseudonyms
        for batch in batches:
            keyed = {pseudonyms.study_key(ticket.study_instance_uid): ticket for ticket in batch}
            revisions = [(key, ticket.study_revision) for key, ticket in keyed.items()]
            pending = pending_studies(self.store, self.context, revisions)
            self.board.counts.studies_found += len(batch)
            self.board.counts.studies_decided += len(batch) - len(pending)
            self.n_carried += len(pending)
            self._n_taken += len(batch) - len(pending)
            for part in _batched(sorted(pending), BATCH_STUDIES):
                self._dispatch([keyed[key] for key in part])
            self.board.update()

    def drain(self) -> None:
        """Send what is left, wait for every open shard, land it."""
        while True:
            self._collect_all()
            self._send()
            while self._open:
                self._finish_oldest()
            if self.pulls is None or not self.pulls.n_open:  # a study may have come back for its next series
                break
        self.store.land_staging()

    def _select(self, ticket: StudyTicket) -> StudySelection:
        selection = self.context.select(self.index.instances_of(ticket.study_instance_uid))
        self.index.set_revision(ticket, selection.study.study_revision)
        if selection.study.patient_key in self.forgotten_patients:
            return replace(selection, plans=[])  # erased: the store lands it as opted out, without the person
        return selection

    def _dispatch(self, tickets: list[StudyTicket]) -> None:
        selections = [self._select(ticket) for ticket in tickets]
        to_try = unanswered_plans(self.store, self.context, selections)
        decided: list[object] = []
        for selection in selections:
            self._n_taken += 1
            plans = to_try[selection.study.study_key]
            if plans and self.pulls is not None:
                self._pull(selection, plans)
            elif plans:
                self._add(replace(selection, plans=plans))
            else:
                decided += selection.records
                self.board.counts.studies_decided += 1
        self.store.land(LandingBatch.of(decided))
        self.board.update()

    # ---- a PACS: fetch, then score

    def _pull(self, selection: StudySelection, plans: list[SeriesPlan]) -> None:
        """Have a study fetched; takes what has come in the meantime."""
        assert self.pulls is not None
        if self.is_window_over():
            self._leave([selection])
            return
        open_keys = {plan.series_key for plan in plans}
        answered = frozenset(plan.series_key for plan in selection.plans if plan.series_key not in open_keys)
        told = self.index.instances_of(selection.study_identity.study_instance_uid)
        self.pulls.put(Pull(told, selection, answered))
        self._collect(0.0)
        while self.pulls.is_full:
            self._collect(PULL_WAIT_S)

    def _collect_all(self) -> None:
        while self.pulls is not None and self.pulls.n_open:
            if self.is_window_over():
                self.pulls.source.courtesy.stop("pacs_window")
            self._collect(PULL_WAIT_S)

    def _collect(self, timeout_s: float) -> None:
        """Take studies that were fetched. When they fill the spool, have them worked on before more can come."""
        assert self.pulls is not None
        n_taken = 0
        for pulled in self.pulls.finished(timeout_s):
            self._take_pulled(pulled, self.pulls)
            n_taken += 1
        if timeout_s and not n_taken and self.pulls.is_stuck:
            self._send()
            if self._open:
                self._finish_oldest()
        self.board.update()

    def _take_pulled(self, pulled: Pulled, pulls: Puller) -> None:
        selection = pulled.selection
        if selection.plans and not pulled.is_left:
            pulled.pull.tried.update(plan.series_key for plan in selection.plans)
            pulls.at_work[pulled.pull.key] = pulled.pull
            self._add(selection)
            return
        pulls.spool.release(pulled.pull.key)
        if pulled.is_left:
            self._leave([selection])
            return
        rows = list(selection.records)
        if pulled.failed is not None and pulled.reason is not None:
            message = message_for(pulled.reason, **pulled.detail)
            rows.append(rejection(pulled.failed, self.context.keys, "fetch", pulled.reason, message))
            self.board.counts.studies_failed += 1
        self.store.land(LandingBatch.of(rows))
        self.board.counts.studies_decided += 1

    def _after_shard(self, job: ShardJob) -> None:
        """Free the spool of what has landed; a study whose series could not be read comes back for its next one."""
        if self.pulls is None:
            return
        pulls = [self.pulls.at_work.pop(study.study.study_key) for study in job.studies]
        left = unanswered_plans(self.store, self.context, [pull.selection for pull in pulls])
        for pull in pulls:
            self.pulls.spool.release(pull.key)
            pull.on_disk.clear()
            open_keys = {plan.series_key for plan in left[pull.key]}
            if open_keys and not open_keys & pull.tried:
                self.board.counts.studies_decided -= 1
                self.pulls.put(pull)

    # ---- shards

    def _add(self, selection: StudySelection) -> None:
        n_bytes = selection.plans[0].n_bytes
        is_full = len(self._shard) >= self._shard_limit
        if self._shard and (is_full or self._shard_bytes + n_bytes > self.context.settings.shard_mb << 20):
            self._send()
        if not self._shard:
            self._shard_limit = self._next_limit()
        self._shard.append(selection)
        self._shard_bytes += n_bytes

    def _next_limit(self) -> int:
        """Full shards while the crawl goes on; then smaller ones towards the end, so that all workers end together."""
        most = self.context.settings.shard_size
        if not self.board.counts.is_crawl_done:
            return most
        if self._n_studies is None:
            self._n_studies = self.index.totals().n_studies
        n_left = max(1, self._n_studies - self._n_taken + 1)
        return shard_limit(n_left, self.cluster.n_workers, most)

    def _send(self) -> None:
        if not self._shard:
            return
        studies, self._shard, self._shard_bytes = tuple(self._shard), [], 0
        while len(self._open) >= SHARDS_PER_WORKER * self.cluster.n_workers and not self.is_window_over():
            self._finish_oldest()
        if self.is_window_over():
            self._leave(studies)
            return
        job = self._job(studies)
        run = ShardRun(job, self.cluster.pool())
        self._open.append((job, run_shard.submit(job.name, run)))
        self.board.counts.shards_open = len(self._open)

    def _leave(self, studies: Iterable[StudySelection]) -> None:
        """Land what selection says, so that these studies stand as pending; the next run takes them up."""
        left = list(studies)
        self.n_left += len(left)
        self.store.land(LandingBatch.of(record for study in left for record in study.records))

    def _job(self, studies: tuple[StudySelection, ...]) -> ShardJob:
        # The first series too: a study of a PACS may come twice in one run, for the next of its series.
        parts = sorted(
            f"{s.study.study_key}:{s.study.study_revision}:{s.plans[0].series_key}" for s in studies
        )
        key = "\n".join([*parts, repr(self.context.keys)])
        job = self.context.job(hashlib.sha256(key.encode()).hexdigest()[:24], studies)
        return job if self.pulls is None else replace(job, source=self.pulls.spool.source)

    def _finish_oldest(self) -> None:
        job, future = self._open.popleft()
        summaries = future.result()
        counts = self.board.counts
        for summary in summaries:
            counts.studies_decided += summary.n_studies
            counts.studies_scored += summary.n_scored
            counts.studies_failed += summary.n_failed
        counts.shards_open = len(self._open)
        self.store.land_staging()
        self._after_shard(job)
        self._publish_now_and_then()
        self.board.update()

    def _publish_now_and_then(self) -> None:
        """Readers of a sweep of weeks see a copy that is at most a quarter of an hour old."""
        if time.monotonic() - self._published_at < PUBLISH_EVERY_S:
            return
        self.store.land(LandingBatch.of(archive_rows(self.context, self.index, self.store)))
        self.store.publish()
        self._published_at = time.monotonic()


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
