"""The flow of a night: canary → crawl → what was left over → what arrived → land → compare → page.

A night is a sweep of an archive with a window, a watermark and a gate before its first write. Killed at any moment, the
next night makes it good; two at once: the second ends with exit 12.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.archive_counts import archive_rows
from flows.canary import CanaryResult, check_canary
from flows.cluster import Cluster
from flows.dispatch import Dispatcher
from flows.errors import CanaryChanged
from flows.morning import make_page_folder, morning_numbers, stopped_numbers, write_morning_page
from flows.night_end import NightCounts, NightEnd, NightFacts, look, night_rows
from flows.night_rows import enrolled_canary, watermark
from flows.night_settings import NightSettings, read_night
from flows.night_tell import tell_night
from flows.settings import Settings, read_settings
from flows.sweep import begin_scoring, crawl_waves, opened_sweep, take_untouched
from flows.sweep_context import SweepContext
from flows.sweep_end import finish
from flows.sweep_summary import NightSummary, SweepSummary
from flows.window import Deadline, open_window
from tasks.instance import StudyTicket
from tasks.sources.base import Source
from tasks.sources.pacs import PacsSource
from warehouse.landing import LandingBatch
from warehouse.store import Store


@dataclass(slots=True)
class _Night:
    """What one night works with besides the sweep's own context."""

    settings: NightSettings
    started_at: dt.datetime  # UTC
    deadline: Deadline
    started: float  # of the monotonic clock
    canary: CanaryResult | None = None
    since: dt.datetime | None = None

    def gate(self, context: SweepContext, store: Store, cluster: Cluster) -> None:
        """Before anything is written. Raises CanaryChanged."""
        with store.read_live() as connection:
            known = enrolled_canary(connection)
            self.since = watermark(connection, context.archive_key)
        self._narrow(context.source)
        cluster.say("scoring the canary")
        folder = store.paths.directory / "canary"
        self.canary = check_canary(context, cluster, folder, known, is_renewed=self.settings.renew_canary)

    def _narrow(self, source: Source) -> None:
        """Ask a PACS only about studies from the watermark on, with the overlap; a folder is listed as a whole."""
        if not isinstance(source, PacsSource) or self.since is None:
            return
        looked_back = min(self.since, self.started_at) - dt.timedelta(hours=self.settings.overlap_hours)
        first = looked_back.date() - dt.timedelta(days=1)  # the PACS dates by its own zone
        span = source.scope.span
        if span.since is None or span.since < first:
            source.scope = replace(source.scope, span=replace(span, since=first))

    @property
    def duration_s(self) -> float:
        """Seconds so far, whatever the clock on the wall did."""
        return time.monotonic() - self.started


@flow(
    name="nightly-screening",
    task_runner=ThreadPoolTaskRunner(max_workers=256),  # type: ignore[arg-type]
    persist_result=False,
    retries=0,
    validate_parameters=False,
)
def nightly_screening(
    archive: str, options: dict[str, Any] | None = None, night: dict[str, Any] | None = None
) -> NightSummary:
    """Screen what arrived in an archive since the last night.

    `options` are settings of the sweep by name (`flows.settings.Settings`), `night` those of the night
    (`flows.night_settings.NightSettings`). Raises CanaryChanged before anything was written, OutsideWindow, and what
    `archive_sweep` raises.
    """
    settings, given = read_settings(**(options or {})), read_night(night)
    now = dt.datetime.now(dt.UTC)
    tonight = _Night(given, now, open_window(given.window, given.timezone, now), time.monotonic())
    make_page_folder(_pages(settings, given))
    try:
        with opened_sweep(archive, settings, tonight.gate) as (context, dispatcher):
            return _screen(context, dispatcher, tonight)
    except CanaryChanged as error:
        numbers = stopped_numbers(settings, given, now, str(error))
        write_morning_page(numbers, _pages(settings, given), "stopped")
        tell_night(numbers, None)
        raise


def _screen(context: SweepContext, dispatcher: Dispatcher, tonight: _Night) -> NightSummary:
    """Everything after the gate."""
    counts = NightCounts()
    dispatcher.is_window_over = tonight.deadline.is_over
    first_wave = None
    for wave in crawl_waves(context, dispatcher):
        first_wave = first_wave or wave.number
    begin_scoring(dispatcher)
    take_untouched(dispatcher, first_wave)  # what was not finished goes first
    dispatcher.take_settled(_counted(dispatcher.index.settled_studies(None), counts))
    dispatcher.drain()
    counts.n_carried, counts.n_left = dispatcher.n_carried, dispatcher.n_left
    facts = NightFacts(
        run_id=context.run_id,
        archive_key=context.archive_key,
        model_digest=context.keys.model_digest,
        started_at=tonight.started_at,
        since=tonight.since,
        window_ends_at=tonight.deadline.ends_at,
        baseline_from=tonight.settings.baseline_from,
    )
    ends: list[NightEnd] = []

    def more() -> list[object]:
        ends.append(_end(context, dispatcher, tonight, facts, counts))
        return night_rows(ends[0])

    summary = finish(context, dispatcher, more)
    return _tell(context, tonight, ends[0], summary)


def _counted(tickets: Iterator[StudyTicket], counts: NightCounts) -> Iterator[StudyTicket]:
    """The tickets as they come; studies without a revision were never seen before."""
    for ticket in tickets:
        if ticket.study_revision is None:
            counts.n_new += 1
        else:
            counts.n_changed += 1
        yield ticket


def _end(
    context: SweepContext, dispatcher: Dispatcher, tonight: _Night, facts: NightFacts, counts: NightCounts
) -> NightEnd:
    """Look at the night once everything is in, the files of no series too."""
    assert tonight.canary is not None
    dispatcher.store.land(LandingBatch.of(archive_rows(context, dispatcher.index, dispatcher.store)))
    with dispatcher.store.read_live() as connection:
        found = look(connection, facts)
    return NightEnd(facts, counts, found, tonight.canary, tonight.duration_s)


def _tell(context: SweepContext, tonight: _Night, end: NightEnd, summary: SweepSummary) -> NightSummary:
    """The page, Prefect's artifact and events, and what the command prints."""
    numbers = morning_numbers(context, tonight.settings, end, summary)
    page = write_morning_page(numbers, _pages(context.settings, tonight.settings), context.run_id[-8:])
    tell_night(numbers, end.facts, end.found.alerts)
    return NightSummary(
        sweep=summary,
        page=page,
        n_new=end.counts.n_new,
        n_changed=end.counts.n_changed,
        n_carried=end.counts.n_carried,
        n_left=end.counts.n_left,
        n_scored=numbers.n_scored,
        n_flagged=numbers.n_flagged,
        alerts=numbers.alerts,
        to_do=numbers.to_do,
        is_canary_enrolled=end.canary.is_enrolled_now,
    )


def _pages(settings: Settings, night: NightSettings) -> Path:
    return night.out or settings.warehouse.absolute().parent / "nights"
