"""The end of a sweep: file counts, conservation, checks, the published copy, and the summary of it all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from flows.archive_counts import archive_rows
from flows.dispatch import Dispatcher
from flows.sweep_context import SweepContext
from flows.sweep_summary import LevelCount, SweepSummary
from warehouse.checks import run_checks
from warehouse.connect import value_of
from warehouse.decisions import retire_vanished
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.reasons import UNANSWERED


def finish(
    context: SweepContext, dispatcher: Dispatcher, more: Callable[[], Iterable[object]] = tuple
) -> SweepSummary:
    """Land the archive's counts, close the run, check, publish, and sum up.

    `more` makes rows that land with the end of the run, all or none.
    """
    store, board = dispatcher.store, dispatcher.board
    board.counts.phase = "finishing"
    board.update(force=True)
    _retire_vanished(context, dispatcher)
    finished = replace(context.run, state="finished", finished_at=dt.datetime.now(dt.UTC))
    store.land(
        LandingBatch.of([*archive_rows(context, dispatcher.index, dispatcher.store), *more(), finished])
    )
    published = store.publish()
    with store.read() as connection:  # the copy: its views are tables, and no writer has to wait
        summary = _summary(connection, context, dispatcher, published)
    board.counts.phase = "finished"
    return summary


def _summary(
    connection: Connection, context: SweepContext, dispatcher: Dispatcher, published: Path
) -> SweepSummary:
    only = {"archive_key": context.archive_key}
    levels = [LevelCount(*row[1:]) for row in connection.execute(query("conservation"), only).fetchall()]
    reasons = connection.execute(query("summary"), only).fetchall()
    of_model = only | {"model_digest": context.keys.model_digest}
    return SweepSummary(
        run_id=context.run_id,
        levels=levels,
        reasons=[row for row in reasons if row[1] != "scored"],
        n_flagged=int(value_of(connection, query("flagged_count"), of_model)),
        model_id=context.model.model_id,
        is_simulated_only=context.model.is_simulated_only,
        used_workers=dispatcher.cluster.is_started,
        failed_checks=[
            f"{check.name}: {check.n_rows} rows" for check in run_checks(connection) if check.n_rows
        ],
        duration_s=(dt.datetime.now(dt.UTC) - context.run.started_at).total_seconds(),
        n_failed_series=next((level.failed for level in levels if level.level == "series"), 0),
        published=published,
        n_failed_files=sum(
            n
            for level, outcome, reason, n in reasons
            if (level, outcome) == ("file", "failed") and reason not in UNANSWERED
        ),
        n_failed_queries=sum(
            n for level, _, reason, n in reasons if level == "file" and reason in UNANSWERED
        ),
    )


def _retire_vanished(context: SweepContext, dispatcher: Dispatcher) -> None:
    """Studies of which the archive holds nothing any more leave the archive's table; their scores stay as history."""
    n_left = dispatcher.index.totals().n_studies
    with dispatcher.store.read_live() as connection:
        n_landed = value_of(
            connection, "SELECT count(*) FROM study WHERE archive_key = ?", [context.archive_key]
        )
    if n_landed <= n_left:
        return
    known = (
        context.pseudonyms.study_key(t.study_instance_uid)
        for batch in dispatcher.index.studies()
        for t in batch
    )
    with dispatcher.store.write() as connection:
        retire_vanished(connection, context.archive_key, known)
