"""Tells Prefect of a night: an artifact, and an event for each alert. Prefect away costs the telling, not the night."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from estimates.night_signals import Signal
from flows.night_end import NightFacts
from reports.morning_note import morning_note
from reports.morning_numbers import MorningNumbers

ARTIFACT = "ovf-night"
LANDED, STOPPED, ALERT = "ovf.night.landed", "ovf.night.stopped", "ovf.night.alert"
DRAIN_S = 15.0
_log = logging.getLogger(__name__)


def tell_night(numbers: MorningNumbers, facts: NightFacts | None, alerts: Sequence[Signal] = ()) -> None:
    """An artifact with the numbers, an event that the night landed or stopped, and one event for each alert."""
    resource = {
        "prefect.resource.id": f"ovf.archive.{facts.archive_key if facts else 'unknown'}",
        "prefect.resource.name": numbers.site,
    }
    try:
        create_markdown_artifact(
            morning_note(numbers), key=ARTIFACT, description=f"Night of {numbers.night}, {numbers.site}"
        )
        told = {
            "night": numbers.night,
            "n_scored": numbers.n_scored,
            "n_flagged": numbers.n_flagged,
            "n_alerts": len(alerts),
            "message": numbers.stopped or "; ".join(numbers.to_do) or "nothing to do",
        }
        emit_event(STOPPED if numbers.stopped else LANDED, resource, payload=told)
        for alert in alerts:
            emit_event(ALERT, resource, payload=_payload(numbers, alert))
        EventsWorker.drain_all(timeout=DRAIN_S, at_exit=False)
    except Exception as error:  # whatever an absent server raises: the night has landed
        _log.warning("the night could not be told to Prefect (%s)", type(error).__name__)


def _payload(numbers: MorningNumbers, alert: Signal) -> dict[str, object]:
    return {
        "night": numbers.night,
        "site": numbers.site,
        "signal": alert.signal,
        "subject": alert.subject,
        "n": alert.n,
        "observed": alert.observed,
        "expected": alert.expected,
        "low": alert.low,
        "high": alert.high,
        "message": alert.said,
    }
