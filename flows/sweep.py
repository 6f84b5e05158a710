"""The flow of a sweep: crawl → select → slab → score → land → publish, in the order of their room's files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.cluster import Cluster
from flows.disk import say_disk_need
from flows.dispatch import Dispatcher
from flows.kept_split import keep_split
from flows.model_rows import land_beside
from flows.pacs import is_pacs, open_pacs
from flows.progress import Board
from flows.pull import Puller
from flows.settings import Settings, read_settings
from flows.sweep_context import SweepContext, make_context
from flows.sweep_end import finish
from flows.sweep_summary import SweepSummary
from tasks.crawl import Wave, crawl
from tasks.header import full_digests, read_headers
from tasks.index import Index
from tasks.pull import Spool
from tasks.sources import local_root, open_source
from tasks.sources.base import ArchiveUnreachable, Source
from tasks.sources.pacs import PacsSource
from warehouse.landing import LandingBatch
from warehouse.lease import archive_lease
from warehouse.store import Store

# Studies asked about in one query: each question scans the decisions once, and 20,000 tickets are 10 MB.
KNOWN_STUDIES = 20_000
SERIES_PER_BATCH = 4  # of a PACS, asked about one after the other by one thread
Gate = Callable[[SweepContext, Store, Cluster], None]


@flow(
    name="archive-sweep",
    task_runner=ThreadPoolTaskRunner(max_workers=256),  # type: ignore[arg-type]
    persist_result=False,
    retries=0,
    validate_parameters=False,
)
def archive_sweep(archive: str, options: dict[str, Any] | None = None) -> SweepSummary:
    """Sweep one archive into one warehouse. `options` are settings by name (`flows.settings.Settings`).

    May be killed at any moment: the next call ends with the table of an undisturbed run. Raises SettingsError,
    PreflightError, ArchiveUnreachable, ArchiveBusy, WarehouseError, ModelError.
    """
    settings = read_settings(**(options or {}))
    with opened_sweep(archive, settings) as (context, dispatcher):
        _crawl_and_dispatch(context, dispatcher)
        return finish(context, dispatcher)


@contextlib.contextmanager
def opened_sweep(
    archive: str, settings: Settings, before_writing: Gate | None = None
) -> Iterator[tuple[SweepContext, Dispatcher]]:
    """Everything a sweep holds while it runs: the lease on its archive, the index, the workers, the board.

    `before_writing` is called with the lease held and nothing landed yet; what it raises ends the sweep there.
    """
    source = _source(archive, settings)
    store = Store.open(settings.warehouse)
    context = make_context(archive, settings, source, store)
    cluster = Cluster(
        settings,
        store.paths.staging,
        context.worker_model,
        context.keys.model_digest,
        local_root(source),
        context.slab_directory,
    )
    board_path = store.paths.directory / "runs" / f"{context.archive_key}.json"
    with (
        archive_lease(store.paths.leases, context.archive_key),
        contextlib.closing(cluster),
        _pulls(context) as pulls,
        Index(store.paths.index / context.archive_key) as index,
        Board(board_path, context.run_id, settings.progress) as board,
    ):
        cluster.say = board.say
        refuse_emptied(source, index)
        if before_writing is not None:
            before_writing(context, store, cluster)
        store.land_staging()  # what an interrupted run had staged
        store.land(LandingBatch.of([context.run]))
        keep_split(store, settings.model)
        land_beside(store, [context.model, context.operating_point], context.domain)
        forgotten = frozenset(store.forgotten().patients)
        if pulls is not None:
            pulls.source.courtesy.say = board.say
        yield context, Dispatcher(context, index, store, cluster, board, forgotten, pulls)


def refuse_emptied(source: Source, index: Index) -> None:
    """A folder that held files and is empty now is not mounted more often than emptied. Raises ArchiveUnreachable."""
    root = local_root(source)
    if source.kind != "folder" or root is None or next(Path(root).iterdir(), None) is not None:
        return
    if n_known := index.totals().n_files_found:
        raise ArchiveUnreachable(
            f"the archive is an empty folder, and {n_known:,} files were found in it before: is it mounted?"
        )


def _source(archive: str, settings: Settings) -> Source:
    if is_pacs(archive):
        return open_pacs(archive, settings)
    return open_source(archive, skip=_folders_of_ours(settings))


@contextlib.contextmanager
def _pulls(context: SweepContext) -> Iterator[Puller | None]:
    """What fetches from a PACS, and the end of all talk with it; None for an archive of files."""
    if not isinstance(context.source, PacsSource):
        yield None
        return
    settings = context.settings
    spool = Spool(
        settings.warehouse.absolute().parent / "spool" / context.archive_key, settings.pacs_spool_mb << 20
    )
    with (
        contextlib.closing(context.source),
        contextlib.closing(Puller(context.source, spool, context.select)) as puller,
    ):
        yield puller


def _folders_of_ours(settings: Settings) -> list[Path]:
    """An archive may hold the warehouse: what we write there is no part of it."""
    beside = settings.warehouse.absolute().parent
    names = (
        "index",
        "staging",
        "published",
        "leases",
        "runs",
        "slabs",
        "spool",
        "prefect",
        "canary",
        "nights",
    )
    return [beside / name for name in names] + ([settings.slabs] if settings.slabs else [])


def _crawl_and_dispatch(context: SweepContext, dispatcher: Dispatcher) -> None:
    index = dispatcher.index
    first_wave = None
    for wave in crawl_waves(context, dispatcher):
        first_wave = first_wave or wave.number
        if not wave.is_last:
            dispatcher.take_settled(index.settled_studies(wave.number))
    begin_scoring(dispatcher)
    dispatcher.take_settled(index.settled_studies(None))
    # What this crawl did not touch may still be undecided: another profile or model, or failed before.
    take_untouched(dispatcher, first_wave)
    dispatcher.drain()


def crawl_waves(context: SweepContext, dispatcher: Dispatcher) -> Iterator[Wave]:
    """Bring the index up to date, wave by wave."""
    board, index, settings = dispatcher.board, dispatcher.index, context.settings
    board.counts.phase = "crawling"
    say_disk_need(context, index, board.say)
    yield from crawl(
        context.source,
        index,
        **_how_to_read(context, dispatcher),
        retry_reasons=["no_meta"] if settings.accept_no_meta else [],
        wave_files=settings.wave_files,
        stable_s=settings.stable_s,
        on_progress=dispatcher.on_crawl,
    )


def begin_scoring(dispatcher: Dispatcher) -> None:
    """The crawl is done: all studies are known now."""
    dispatcher.board.counts.phase = "scoring"
    dispatcher.board.counts.is_crawl_done = True


def take_untouched(dispatcher: Dispatcher, first_wave: int | None) -> None:
    """Studies that the crawl from `first_wave` on did not touch, as far as they are undecided."""
    known = dispatcher.index.studies(batch=KNOWN_STUDIES)
    dispatcher.take_known([t for t in batch if t.touch < (first_wave or 0)] for batch in known)


def _how_to_read(context: SweepContext, dispatcher: Dispatcher) -> dict[str, Any]:
    """Who reads the crawl's files: the workers; or, for a PACS, the few threads that may talk to it."""
    source, submit = context.source, dispatcher.cluster.submit
    if isinstance(source, PacsSource):
        n_parallel = context.settings.pacs_parallel
        return {"read_batch": source.read, "batch_files": SERIES_PER_BATCH, "in_flight": 2 * n_parallel}
    read = partial(read_headers, accept_no_meta=context.settings.accept_no_meta)
    return {
        "read_batch": lambda refs: submit(read, source, refs),
        "hash_batch": lambda refs: submit(full_digests, source, refs),
    }
