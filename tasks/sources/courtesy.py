"""Manners towards a clinical PACS: few conversations at once, a rate, a window of hours, back-off, a circuit breaker.

Every question goes through `Courtesy.ask`. What fails after it began is asked again a few times, with growing pauses
and jitter; while nobody answers at all, everyone waits together, and one of them tries now and then.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tasks.sources.pacs_client import Broken, NoAnswer, PacsError

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
JITTER = 0.5  # a pause is multiplied by 1 - JITTER … 1 + JITTER, so that workers do not come back together
FAILURES_TO_OPEN = 5  # in a row, over all conversations: more is the PACS, not one series
_WINDOW = re.compile(r"^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})(?: ([A-Za-z_+\-/0-9]+))?$")


class Stopped(PacsError):
    """Nothing more is asked in this run: the window closed, or the PACS stayed away."""


@dataclass(frozen=True, slots=True)
class Window:
    """The hours in which the PACS may be asked, such as 22:00-06:00; across midnight where the end is earlier."""

    start: dt.time
    end: dt.time
    zone: ZoneInfo | None = None  # None: the machine's own

    @classmethod
    def parse(cls, text: str) -> Window:
        """From `22:00-06:00` or `22:00-06:00 Europe/Berlin`. Raises ValueError."""
        found = _WINDOW.match(text.strip())
        if found is None:
            raise ValueError("a window is HH:MM-HH:MM, with a time zone after a space if need be")
        h1, m1, h2, m2 = map(int, found.groups()[:4])
        try:
            zone = ZoneInfo(found[5]) if found[5] else None
            start, end = dt.time(h1 % 24, m1), dt.time(h2 % 24, m2)
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"a window of hours: {error}") from None
        if start == end:
            raise ValueError("a window of hours begins and ends at different times")
        return cls(start, end, zone)

    def opens_in_s(self, now: dt.datetime) -> float:
        """Seconds until it is open; 0 while it is. `now` has a time zone."""
        local = now.astimezone(self.zone)
        at = local.time().replace(tzinfo=None)
        is_open = self.start <= at < self.end if self.start < self.end else at >= self.start or at < self.end
        if is_open:
            return 0.0
        # The next start by the wall, then as a duration: a night of 23 or 25 hours is counted right (T50).
        day = local.date() + dt.timedelta(days=at >= self.start)
        start = dt.datetime.combine(day, self.start, tzinfo=self.zone or local.tzinfo)
        return float(max(1.0, start.timestamp() - now.timestamp()))


@dataclass(frozen=True, slots=True)
class Manners:
    """The limits that a site sets."""

    parallel: int = 2  # conversations at once: associations, or requests
    rate_per_s: float = 5.0  # questions begun a second
    tries: int = 4  # of one question that the PACS began to answer
    patience_s: float = 900.0  # how long nobody may answer before the run gives up
    window: Window | None = None


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(slots=True)
class Courtesy:
    """See the module's text. Used by all threads of one sweep; `say` gets a line when it waits for long."""

    manners: Manners
    say: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic  # durations never by the wall
    wall: Callable[[], dt.datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform
    n_asked: int = 0
    _slots: threading.Semaphore = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next_at: float = 0.0
    _failures: int = 0
    _away_since: float | None = None  # of the first failure since the last success
    _closed_until: float = 0.0  # nobody asks before that
    _pause_s: float = FIRST_PAUSE_S
    _has_begun: bool = False
    _has_said: bool = False
    stopped: str | None = None  # the reason code why nothing more is asked

    def __post_init__(self) -> None:
        self._slots = threading.Semaphore(self.manners.parallel)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question. Raises Refused, Broken after the last try, Stopped when the run is over."""
        n_tries = 0
        while True:
            with self._slots:
                self._wait_for_turn()
                try:
                    answer = question()
                except NoAnswer:
                    self._failed()
                    continue
                except Broken as error:
                    failure = error
                except PacsError:
                    self._answered()
                    raise
                else:
                    self._answered()
                    return answer
            n_tries += 1
            self._failed()
            if n_tries >= self.manners.tries:
                raise failure
            self.sleep(self._pause(n_tries, failure.wait_s))

    def wait_for_window(self) -> None:
        """Until the window opens. Raises Stopped."""
        while wait_s := self._window_wait_s():
            self.sleep(min(wait_s, 5.0))

    def stop(self, reason: str) -> Stopped:
        """From now on nothing is asked."""
        self.stopped = self.stopped or reason
        return Stopped(self.stopped)

    # ---- inside

    def _wait_for_turn(self) -> None:
        """Until window, breaker and rate allow the next question. Raises Stopped."""
        while True:
            if self.stopped:
                raise Stopped(self.stopped)
            wait_s = self._window_wait_s()
            if not wait_s:
                with self._lock:
                    now = self.clock()
                    wait_s = max(self._next_at, self._closed_until) - now
                    if wait_s <= 0:
                        self._next_at = now + 1 / self.manners.rate_per_s
                        if self._closed_until:  # half open: one tries, the others wait for what comes of it
                            self._closed_until = now + self._pause_s
                        self.n_asked += 1
                        return
            self.sleep(min(wait_s, 5.0))

    def _window_wait_s(self) -> float:
        window = self.manners.window
        wait_s = window.opens_in_s(self.wall()) if window is not None else 0.0
        if wait_s and self._has_begun:
            raise self.stop("pacs_window")
        if wait_s and not self._has_said:
            self._has_said = True
            self.say(f"the window opens in {wait_s / 60:.0f} minutes: waiting")
        self._has_begun |= not wait_s
        return wait_s

    def _answered(self) -> None:
        with self._lock:
            self._failures, self._away_since, self._closed_until = 0, None, 0.0
            self._pause_s = FIRST_PAUSE_S

    def _failed(self) -> None:
        """Count a failure; after some in a row open the breaker, and give up when nothing helps for long."""
        with self._lock:
            now = self.clock()
            self._failures += 1
            self._away_since = now if self._away_since is None else self._away_since
            if self._failures < FAILURES_TO_OPEN:
                return
            if now - self._away_since > self.manners.patience_s:
                self.stopped = self.stopped or "pacs_unreachable"
                return
            self._closed_until = now + self._pause_s * self.jitter(1 - JITTER, 1 + JITTER)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S, self.manners.patience_s / 4)
            is_first = self._failures == FAILURES_TO_OPEN
        if is_first:
            self.say("the PACS does not answer: waiting for it")

    def _pause(self, n_tries: int, asked_s: float) -> float:
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (n_tries - 1), LONGEST_PAUSE_S)
        return max(pause_s * self.jitter(1 - JITTER, 1 + JITTER), min(asked_s, LONGEST_PAUSE_S))
