"""When a night may work: a window of local time, turned once into a moment and then watched by a monotonic clock."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from flows.errors import OutsideWindow

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a window. The clock on the wall may jump: what counts is the time since the start."""

    ends_at: dt.datetime | None  # UTC; None: never
    _ends: float | None = None  # of the monotonic clock
    _clock: Callable[[], float] = field(default=time.monotonic)

    def is_over(self) -> bool:
        """Whether the window has closed."""
        return self._ends is not None and self._clock() >= self._ends


def open_window(
    window: str | None,
    zone: str,
    now: dt.datetime,
    clock: Callable[[], float] = time.monotonic,
) -> Deadline:
    """The deadline of the window `HH:MM-HH:MM` of local time in `zone` that `now` (UTC) lies in; None: no deadline.

    The length of a night follows the zone: with summer time it has an hour less or more. Raises OutsideWindow.
    """
    if window is None:
        return Deadline(None)
    first, last = (dt.time.fromisoformat(part) for part in window.split("-"))
    local = ZoneInfo(zone)
    for day in (now.astimezone(local).date() - _DAY, now.astimezone(local).date()):
        starts_at = _moment(day, first, local)
        ends_at = _moment(day if last > first else day + _DAY, last, local)
        if starts_at <= now < ends_at:
            return Deadline(ends_at, clock() + (ends_at - now).total_seconds(), clock)
    raise OutsideWindow(
        f"it is {now.astimezone(local):%H:%M} in {zone}, outside the night's window {window}: nothing was done; "
        "start it inside the window, or without --window"
    )


def _moment(day: dt.date, at: dt.time, zone: ZoneInfo) -> dt.datetime:
    """In UTC, since times of one zone compare by their wall clocks."""
    return dt.datetime.combine(day, at, zone).astimezone(dt.UTC)
