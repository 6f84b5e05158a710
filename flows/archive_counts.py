"""What the crawl has found of an archive so far, as rows: the left side of every conservation line."""

from __future__ import annotations

from flows.sweep_context import SweepContext
from tasks.index import Index
from warehouse.connect import value_of
from warehouse.records import ArchiveRecord, FileCountRecord
from warehouse.store import Store


def archive_rows(context: SweepContext, index: Index, store: Store) -> list[object]:
    """The archive's row and the counts of its files that belong to no study, to land together."""
    totals = index.totals()
    with store.read_live() as connection:
        # A series that was split counts once a part, as selection counts it.
        n_series = value_of(
            connection,
            "SELECT coalesce(sum(n_series), 0)::BIGINT FROM study WHERE archive_key = ?",
            [context.archive_key],
        )
    archive = ArchiveRecord(
        archive_key=context.archive_key,
        site=context.settings.site,
        kind=context.source.kind,
        n_files_found=totals.n_files_found,
        n_studies_found=totals.n_studies,
        n_series_found=n_series,
        is_crawl_complete=totals.is_crawl_complete,
    )
    counts = [
        FileCountRecord(context.archive_key, outcome, reason, n_files)
        for outcome, reason, n_files in index.file_counts()
    ]
    return [archive, *counts]
