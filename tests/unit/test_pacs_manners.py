"""How a PACS is treated: pauses, tries, the breaker and the window, on a clock that only the test moves."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest

from tasks.sources.courtesy import Courtesy, Manners, Stopped, Window
from tasks.sources.pacs_client import Broken, NoAnswer, PacsError, Refused


@dataclass
class Clock:
    """Time passes only while somebody sleeps."""

    now_s: float = 0.0
    start: dt.datetime = dt.datetime(2026, 3, 28, 20, 0, tzinfo=dt.UTC)
    slept_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def courtesy(self, **limits: object) -> Courtesy:
        return Courtesy(
            Manners(**limits),  # type: ignore[arg-type]
            clock=lambda: self.now_s,
            wall=lambda: self.start + dt.timedelta(seconds=self.now_s),
            sleep=self.sleep,
            jitter=lambda low, high: high,
        )


@dataclass
class Pacs:
    """Fails as told, one error a question, then answers."""

    failures: list[PacsError]
    n_asked: int = 0

    def __call__(self) -> str:
        self.n_asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def test_T48_a_broken_conversation_is_tried_again_with_growing_pauses() -> None:
    clock, pacs = Clock(), Pacs([Broken("cut"), Broken("cut"), Broken("http_503", wait_s=30.0)])
    assert clock.courtesy(rate_per_s=1000).ask(pacs) == "answer"
    long = [pause for pause in clock.slept_s if pause >= 1]
    assert long == [1.5, 3.0, 30.0]  # 1 s, 2 s with jitter, then what the PACS asked for


def test_T48_tries_are_counted_only_of_what_the_pacs_began_to_answer() -> None:
    pacs = Pacs([Broken("cut")] * 4)
    with pytest.raises(Broken, match="cut"):
        Clock().courtesy(tries=4, rate_per_s=1000).ask(pacs)
    away = Pacs([NoAnswer("no_connection")] * 12)
    clock = Clock()
    assert clock.courtesy(tries=2, patience_s=3600).ask(away) == "answer"
    assert clock.now_s > 60  # not hammered: the breaker's pauses grew


def test_T48_the_breaker_gives_up_after_its_patience_and_asks_nothing_more() -> None:
    clock = Clock()
    courtesy, away = clock.courtesy(patience_s=120), Pacs([NoAnswer("no_connection")] * 10_000)
    with pytest.raises(Stopped, match="pacs_unreachable"):
        courtesy.ask(away)
    assert 120 < clock.now_s < 400
    n_asked = away.n_asked
    assert n_asked < 60
    with pytest.raises(Stopped):
        courtesy.ask(away)
    assert away.n_asked == n_asked


def test_refusals_are_not_tried_again() -> None:
    pacs = Pacs([Refused("http_403")] * 2)
    with pytest.raises(Refused):
        Clock().courtesy().ask(pacs)
    assert pacs.n_asked == 1


def test_questions_keep_to_the_rate() -> None:
    clock = Clock()
    courtesy = clock.courtesy(rate_per_s=2.0)
    for _ in range(11):
        courtesy.ask(Pacs([]))
    assert clock.now_s == pytest.approx(5.0)


def test_a_window_is_waited_for_and_ends_the_run_when_it_closes() -> None:
    clock = Clock()  # 20:00 UTC
    courtesy = clock.courtesy(window=Window.parse("22:00-23:00 UTC"))
    said: list[str] = []
    courtesy.say = said.append
    assert courtesy.ask(Pacs([])) == "answer"
    assert clock.now_s >= 2 * 3600
    assert said == ["the window opens in 120 minutes: waiting"]
    clock.now_s = 3 * 3600
    with pytest.raises(Stopped, match="pacs_window"):
        courtesy.ask(Pacs([]))


@pytest.mark.parametrize(
    ("utc", "opens_in_s"),
    [
        ("2026-03-28T20:59", 60.0),  # 21:59 in Berlin
        ("2026-03-28T21:00", 0.0),
        ("2026-03-29T03:59", 0.0),  # 05:59: the night in which an hour is left out
        ("2026-03-29T04:00", 16 * 3600.0),
    ],
)
def test_T50_a_window_over_midnight_follows_its_time_zone(utc: str, opens_in_s: float) -> None:
    window = Window.parse("22:00-06:00 Europe/Berlin")
    now = dt.datetime.fromisoformat(utc).replace(tzinfo=ZoneInfo("UTC"))
    assert window.opens_in_s(now) == opens_in_s


@pytest.mark.parametrize("text", ["22-06", "22:00", "22:00-22:00", "25:00-26:99", "22:00-06:00 Mars/Olympus"])
def test_a_window_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        Window.parse(text)
