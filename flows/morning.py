"""Makes the numbers of a morning page from what a night found, and writes the page."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from estimates.monitor import p_chart
from estimates.night_signals import MIN_BASELINE, Signal
from flows.canary import CanaryResult
from flows.errors import SettingsError
from flows.night_end import Findings, NightCounts, NightEnd, NightFacts, is_baseline_ready, reasons_of
from flows.night_rows import Problem
from flows.night_settings import NightSettings
from flows.progress import duration_text
from flows.settings import Settings
from flows.summary import conservation_line
from flows.sweep_context import SweepContext
from flows.sweep_summary import SweepSummary
from reports.morning_numbers import FlaggedRow, MorningNumbers, NightPoint, ReasonRow
from reports.morning_page import render_morning_page
from tasks.sources.base import error_name
from warehouse.paths import private_files, replace_file
from warehouse.reasons import reason_of

NEWEST = "index.html"
_NUMBER = re.compile(r"\{[^}]*\}")


def morning_numbers(
    context: SweepContext, night: NightSettings, end: NightEnd, summary: SweepSummary
) -> MorningNumbers:
    """Everything that the page of a night that landed tells."""
    facts, counts, found = end.facts, end.counts, end.found
    zone = ZoneInfo(night.timezone)
    flagged = sorted((s for s in found.scored if s.is_flagged), key=lambda s: -(s.probability or 0))
    return MorningNumbers(
        site=context.settings.site,
        night=f"{facts.started_at.astimezone(zone):%Y-%m-%d}",
        started=_local(facts.started_at, zone),
        duration=duration_text(end.duration_s),
        window=f"{night.window} {night.timezone}" if night.window else "",
        since=_local(facts.since, zone) if facts.since else "",
        n_new=counts.n_new,
        n_changed=counts.n_changed,
        n_carried=counts.n_carried,
        n_scored=len(found.scored),
        n_superseded=sum(study.is_superseding for study in found.scored),
        n_flagged=found.n_flagged,
        n_left=counts.n_left,
        n_failed_series=found.n_failed_series,
        conservation=tuple(conservation_line(level) for level in summary.levels),
        reasons=tuple(_reason(outcome, reason, n) for outcome, reason, n in reasons_of(found.tonight)),
        flagged=tuple(
            FlaggedRow(s.study_key, s.probability or 0.0, s.scanner, s.is_superseding) for s in flagged
        ),
        alerts=tuple(alert_text(signal) for signal in found.alerts),
        judged=tuple(alert_text(signal) for signal in found.signals if not signal.is_alert),
        new_groups=found.new_groups if is_baseline_ready(found) else (),
        n_baseline=found.n_baseline,
        baseline_needed=MIN_BASELINE,
        new_problems=_problems(found.fresh, zone),
        standing_problems=_problems(found.standing, zone),
        n_quiet_problems=found.n_quiet,
        nights=_points(found, facts, zone),
        to_do=_to_do(counts, found, summary),
        model_id=context.model.model_id,
        is_simulated_only=context.model.is_simulated_only,
        facts=_facts(context, end.canary),
    )


def stopped_numbers(
    settings: Settings, night: NightSettings, started_at: dt.datetime, why: str
) -> MorningNumbers:
    """The page of a night that stopped before writing."""
    zone = ZoneInfo(night.timezone)
    return MorningNumbers(
        site=settings.site,
        night=f"{started_at.astimezone(zone):%Y-%m-%d}",
        started=_local(started_at, zone),
        duration="no time",
        window=f"{night.window} {night.timezone}" if night.window else "",
        since="",
        stopped=why,
        to_do=(
            "Find out what changed since the canary was enrolled; the next night tries again and takes in what came.",
        ),
        facts=(("model", settings.model),),
    )


def alert_text(signal: Signal) -> str:
    """One line: whom it is about, and what was found."""
    subject = "" if signal.subject == "all" else f" ({signal.subject})"
    return f"{signal.signal.replace('_', ' ')}{subject}: {signal.said}"


def make_page_folder(folder: Path) -> None:
    """Make the folder of the pages, and see that one can be written: before the night, not after it has landed.

    Raises SettingsError.
    """
    try:
        with private_files():
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"no morning page can be written into {folder} ({error_name(error)}): name another folder with --out"
        ) from error


def write_morning_page(numbers: MorningNumbers, folder: Path, run_name: str) -> Path:
    """Write the page of the night, and the same as the newest; owner-only."""
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
    page = render_morning_page(numbers).encode()
    path = folder / f"{numbers.night}-{run_name}.html"
    replace_file(path, page)
    replace_file(folder / NEWEST, page)
    return path


def _local(moment: dt.datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _reason(outcome: str, reason: str, n: int, since: str = "") -> ReasonRow:
    words = _NUMBER.sub("…", reason_of(reason).template)  # of many at once there is no one number
    return ReasonRow(outcome, reason, words, n, reason_of(reason).next_step, since)


def _problems(problems: Iterable[Problem], zone: ZoneInfo) -> tuple[ReasonRow, ...]:
    """By reason; the detail of a reason stays out, since it may be long."""
    counted: Counter[str] = Counter()
    first: dict[str, dt.datetime] = {}
    for problem in problems:
        code = problem.reason.split(":", 1)[0]
        counted[code] += problem.n
        if problem.first_reported_at:
            told = problem.first_reported_at.replace(tzinfo=dt.UTC)
            first[code] = min(told, first.get(code, told))
    return tuple(
        _reason("quarantined", code, n, _local(first[code], zone) if code in first else "")
        for code, n in counted.most_common()
    )


def _points(found: Findings, facts: NightFacts, zone: ZoneInfo) -> tuple[NightPoint, ...]:
    """The nights before and tonight. The limits of the nights are those of tonight's baseline."""
    usual = next((s for s in found.signals if s.signal == "flag_rate" and s.subject == "all"), None)
    nights = [
        (night.arrived_until.replace(tzinfo=dt.UTC), night.n_scored, night.n_flagged)
        for night in found.history
    ]
    nights.append((facts.started_at, len(found.scored), found.n_flagged))
    points = []
    for number, (at, n_scored, n_flagged) in enumerate(nights):
        limits = p_chart([n_flagged], [n_scored], usual.expected)[0] if usual and n_scored else None
        points.append(
            NightPoint(
                f"{at.astimezone(zone):%d %b}",
                n_scored,
                n_flagged,
                limits.low if limits else None,
                limits.high if limits else None,
                number == len(nights) - 1,
            )
        )
    return tuple(points)


def _to_do(counts: NightCounts, found: Findings, summary: SweepSummary) -> tuple[str, ...]:
    told = []
    told += [
        f"Check failed: {fault}. Run `ovf check` and keep the warehouse as it is."
        for fault in summary.failed_checks
    ]
    if found.alerts:
        told.append(
            "Something changed: look at the scanners and kernels named above, and at scans, before you trust the flags."
        )
    if found.n_flagged:
        told.append(f"Have the {found.n_flagged:,} flagged studies looked at.")
    if found.n_failed_series:
        told.append(
            f"{found.n_failed_series:,} series failed for infrastructure reasons. The next night tries them again; "
            "if the number does not fall, read the reasons: ovf status."
        )
    elif summary.n_failed_files:
        told.append(
            f"{summary.n_failed_files:,} files could not be read, and what they belong to may have been scored without "
            "them: mend that (ovf status has the reasons). The next night tries them again."
        )
    if found.n_unanswered:
        told.append(
            f"{found.n_unanswered:,} questions were not answered by the PACS. The next night asks again from the same "
            "day on; if this repeats, talk to those who run it."
        )
    if counts.n_left:
        told.append(
            f"{counts.n_left:,} studies did not fit into the window and go first in the next night. If this repeats, "
            "widen the window or add workers."
        )
    steps = Counter(reason_of(problem.reason).next_step for problem in (*found.fresh, *found.standing))
    told += [f"{n:,} damaged: {step}." for step, n in steps.most_common() if step != "nothing"]
    return tuple(told)


def _facts(context: SweepContext, canary: CanaryResult) -> tuple[tuple[str, str], ...]:
    state = (
        "enrolled tonight" if canary.is_enrolled_now else f"{100 * canary.difference:.0f} % of its tolerance"
    )
    return (
        ("model", f"{context.model.model_id}, {context.keys.model_digest[:16]}"),
        ("canary", f"{state}, {canary.precision}, {canary.n_workers} workers"),
        ("profile", f"{context.settings.profile}, {context.keys.profile_digest[:16]}"),
        ("view and storage", f"{context.keys.view_recipe}, {context.keys.storage_recipe}"),
        ("program", context.run.code_version),
        ("run", context.run_id),
    )
