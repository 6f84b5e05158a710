"""The end of a night: what was found, as rows to land with it, and as the numbers of the morning page."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from duckdb import DuckDBPyConnection as Connection

from estimates.night_signals import MIN_BASELINE, CusumState, Signal
from flows.canary import CanaryResult
from flows.night_drift import judge_night, new_groups
from flows.night_rows import NightStudy, Problem, night_history, night_problems, night_studies
from warehouse.connect import value_of
from warehouse.night_records import NightAlertRecord, NightProblemRecord, NightRecord, WatermarkRecord
from warehouse.reasons import UNANSWERED

# About studies that nobody knows of yet, and about series of those that are known: neither is asked about again unless
# the next night looks as far back as this one.
_UNANSWERED = """
SELECT
    (SELECT coalesce(sum(n_files), 0) FROM file_count WHERE archive_key = $archive AND starts_with(reason, 'pacs_'))
    + (
        SELECT count(*) FROM series_outcome
        WHERE archive_key = $archive AND list_contains($questions, split_part(reason, ':', 1))
    )
"""
TOLD_EVERY = dt.timedelta(days=7)  # T62: what stays damaged is told once a week, not silently for ever


@dataclass(slots=True)
class NightCounts:
    """What a night met on its way. Studies."""

    n_new: int = 0
    n_changed: int = 0
    n_carried: int = 0
    n_left: int = 0


@dataclass(frozen=True, slots=True)
class NightFacts:
    """What was fixed when the night began."""

    run_id: str
    archive_key: str
    model_digest: str
    started_at: dt.datetime  # UTC
    since: dt.datetime | None  # watermark before, UTC
    window_ends_at: dt.datetime | None  # UTC
    baseline_from: dt.date | None


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the warehouse says at the end of a night."""

    tonight: tuple[NightStudy, ...]
    n_baseline: int  # scored studies
    signals: tuple[Signal, ...]
    new_groups: tuple[str, ...]
    cusum: CusumState | None
    fresh: tuple[Problem, ...] = ()
    standing: tuple[Problem, ...] = ()
    n_quiet: int = 0
    history: tuple[NightRecord, ...] = field(default=())
    n_failed_series: int = 0
    n_unanswered: int = 0  # questions that a PACS did not answer: nobody knows what they would have told

    @property
    def scored(self) -> list[NightStudy]:
        """Studies scored tonight."""
        return [study for study in self.tonight if study.is_scored_tonight]

    @property
    def n_flagged(self) -> int:
        """Of them flagged."""
        return sum(bool(study.is_flagged) for study in self.scored)

    @property
    def alerts(self) -> list[Signal]:
        """What changed."""
        return [signal for signal in self.signals if signal.is_alert]


@dataclass(frozen=True, slots=True)
class NightEnd:
    """A night that is about to land."""

    facts: NightFacts
    counts: NightCounts
    found: Findings
    canary: CanaryResult
    duration_s: float  # by a monotonic clock


def look(connection: Connection, facts: NightFacts) -> Findings:
    """Ask an open warehouse what the night brought, before its end is written."""
    studies = night_studies(
        connection, facts.archive_key, facts.run_id, facts.model_digest, facts.baseline_from
    )
    history = night_history(connection, facts.archive_key)
    last = history[-1] if history else None
    before = CusumState(*((last.cusum_up or 0.0, last.cusum_down or 0.0) if last else ()))
    signals, state = judge_night(studies, before)
    fresh, standing, n_quiet = sort_problems(night_problems(connection, facts.archive_key), facts.started_at)
    return Findings(
        tuple(study for study in studies if study.is_tonight),
        sum(study.is_scored and not study.is_tonight for study in studies),
        tuple(signals),
        tuple(new_groups(studies)),
        state,
        tuple(fresh),
        tuple(standing),
        n_quiet,
        tuple(history),
        int(
            value_of(
                connection,
                "SELECT count(*) FROM series_outcome WHERE archive_key = ? AND outcome = 'failed'",
                [facts.archive_key],
            )
        ),
        n_unanswered(connection, facts.archive_key),
    )


def n_unanswered(connection: Connection, archive_key: str) -> int:
    """Questions that the PACS did not answer: while there are any, the watermark stays where it is."""
    return int(value_of(connection, _UNANSWERED, {"archive": archive_key, "questions": list(UNANSWERED)}))


def sort_problems(problems: Iterable[Problem], now: dt.datetime) -> tuple[list[Problem], list[Problem], int]:
    """What is new, what stands and was last told a week ago or more, and how many are quiet."""
    fresh, standing, n_quiet = [], [], 0
    for problem in problems:
        told = problem.last_reported_at
        if told is None or problem.n > (problem.n_reported or 0):
            fresh.append(problem)
        # a clock that was ahead must not silence it: a date in the future counts as long ago
        elif not dt.timedelta(0) <= now - told.replace(tzinfo=dt.UTC) < TOLD_EVERY:
            standing.append(problem)
        else:
            n_quiet += 1
    return fresh, standing, n_quiet


def night_rows(end: NightEnd) -> list[object]:
    """What lands with the end of the run, all or none: the night, the watermark, alerts, problems, the canary."""
    facts, counts, found, canary = end.facts, end.counts, end.found, end.canary
    # A clock that went back moves no watermark; nor do questions without an answer: they are asked again.
    until = max(facts.started_at, facts.since or facts.started_at)
    is_whole = not found.n_unanswered
    night = NightRecord(
        run_id=facts.run_id,
        archive_key=facts.archive_key,
        arrived_since=facts.since,
        arrived_until=until if is_whole else facts.since or facts.started_at,
        window_ends_at=facts.window_ends_at,
        n_new=counts.n_new,
        n_changed=counts.n_changed,
        n_carried=counts.n_carried,
        n_left=counts.n_left,
        n_scored=len(found.scored),
        n_flagged=found.n_flagged,
        n_failed=found.n_failed_series,
        duration_s=end.duration_s,
        precision=canary.precision,
        canary_difference=canary.difference,
        cusum_up=found.cusum.up if found.cusum else None,
        cusum_down=found.cusum.down if found.cusum else None,
    )
    return [
        night,
        *([WatermarkRecord(facts.archive_key, until, facts.run_id)] if is_whole else []),
        *(_alert(facts.run_id, signal) for signal in found.alerts),
        *(_told(facts, problem) for problem in (*found.fresh, *found.standing)),
        *(canary.found if canary.is_enrolled_now else ()),
    ]


def reasons_of(studies: Sequence[NightStudy]) -> list[tuple[str, str, int]]:
    """Outcome, reason and number of the studies of a night that were not scored, the most frequent first."""
    counted = Counter(
        (study.outcome, study.reason) for study in studies if study.outcome != "scored" and study.reason
    )
    return [(outcome, reason, n) for (outcome, reason), n in counted.most_common() if reason]


def is_baseline_ready(found: Findings) -> bool:
    """Whether nights are compared with the baseline yet."""
    return found.n_baseline >= MIN_BASELINE


def _alert(run_id: str, signal: Signal) -> NightAlertRecord:
    return NightAlertRecord(
        run_id,
        signal.signal,
        signal.subject,
        signal.said,
        signal.n,
        signal.observed,
        signal.expected,
        signal.low,
        signal.high,
    )


def _told(facts: NightFacts, problem: Problem) -> NightProblemRecord:
    first = problem.first_reported_at
    return NightProblemRecord(
        facts.archive_key,
        problem.series_key,
        problem.series_revision,
        problem.reason,
        problem.n,
        first.replace(tzinfo=dt.UTC) if first else facts.started_at,
        facts.started_at,
    )
