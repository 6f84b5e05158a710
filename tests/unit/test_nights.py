"""A night without a warehouse: its window, the canary's verdict, what counts as a change, and the page."""

from __future__ import annotations

import datetime as dt
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from estimates.monitor import BernoulliCusum
from estimates.night_signals import CusumState, cusum_signals, distribution_signal, share_signal
from flows.canary import LOGIT_TOLERANCE, judge
from flows.errors import CanaryChanged, Exit, OutsideWindow, SettingsError, exit_code_of
from flows.morning import make_page_folder
from flows.night_drift import judge_night
from flows.night_end import sort_problems
from flows.night_rows import NightStudy, Problem
from flows.night_settings import read_night
from flows.window import open_window
from reports.morning_note import morning_note
from reports.morning_numbers import FlaggedRow, MorningNumbers, NightPoint, ReasonRow
from reports.morning_page import render_morning_page
from warehouse.night_records import CanaryRecord

BERLIN = "Europe/Berlin"


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc]


class TestWindow:
    def test_ends_at_local_time_of_the_next_morning(self) -> None:
        opened = open_window("20:00-06:00", BERLIN, utc(2026, 11, 28, 20, 0))
        assert opened.ends_at == utc(2026, 11, 29, 5, 0)

    @pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 9), ((2026, 10, 24), 11), ((2026, 6, 1), 10)])
    def test_T50_a_night_of_the_time_change_is_an_hour_shorter_or_longer(self, day, hours: int) -> None:
        start = dt.datetime(*day, 20, 0, tzinfo=dt.UTC) - dt.timedelta(hours=1 if day[1] == 3 else 2)
        opened = open_window("20:00-06:00", BERLIN, start)
        assert opened.ends_at == start + dt.timedelta(hours=hours)

    def test_T50_a_clock_that_jumps_moves_no_deadline(self) -> None:
        ticks = [100.0]
        opened = open_window("20:00-06:00", "UTC", utc(2026, 5, 1, 5, 0), lambda: ticks[0])
        assert not opened.is_over()
        ticks[0] += 3599  # whatever the clock on the wall says meanwhile
        assert not opened.is_over()
        ticks[0] += 1
        assert opened.is_over()

    @pytest.mark.parametrize("at", [utc(2026, 11, 28, 12, 0), utc(2026, 11, 28, 5, 0)])
    def test_outside_nothing_is_done(self, at: dt.datetime) -> None:
        with pytest.raises(OutsideWindow, match="outside the night's window") as caught:
            open_window("20:00-06:00", BERLIN, at)
        assert exit_code_of(caught.value) is Exit.SETTINGS

    def test_without_one_it_never_ends(self) -> None:
        assert not open_window(None, BERLIN, utc(2026, 1, 1)).is_over()

    @pytest.mark.parametrize(
        ("given", "key"),
        [
            ({"window": "20-6"}, "window"),
            ({"timezone": "Mars/Base"}, "timezone"),
            ({"windows": "x"}, "windows"),
        ],
    )
    def test_T52_a_wrong_setting_is_named(self, given: dict[str, object], key: str) -> None:
        with pytest.raises(SettingsError, match=f"setting {key}"):
            read_night(given)


def enrolled(case: str = "golden-a", **changes: object) -> CanaryRecord:
    row = CanaryRecord(
        "model-1", "slab-60", "tiles", "fp32", case, "set-1", 0.4, [0.1, 0.2], [91.0, 90.0], "cpu", "1", utc(2026, 1, 1)
    )  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]


class TestCanary:
    def test_the_first_night_enrols_and_later_ones_compare(self) -> None:
        assert judge([[enrolled()]], []).is_enrolled_now
        same = judge([[enrolled(logit=0.41)], [enrolled()]], [enrolled()])
        assert not same.is_enrolled_now
        assert same.difference == pytest.approx(0.01 / LOGIT_TOLERANCE["fp32"])

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"logit": 0.45}, "logit 0.4500 instead of 0.4000"),
            ({"slice_logits": [0.1, 0.3]}, "logit of an image"),
            ({"grey_mean": [91.0, 90.2]}, "mean grey value"),
            ({"slice_logits": [0.1]}, "1 images instead of 2"),
            ({"logit": float("nan")}, "not a number"),
            ({"golden_digest": "set-2"}, "files of the golden set"),
            ({"model_digest": "model-2"}, "never been enrolled"),
            ({"view_recipe": "whole"}, "never been enrolled"),
        ],
    )
    def test_T51_what_differs_stops_the_night(self, changes: dict[str, object], told: str) -> None:
        with pytest.raises(CanaryChanged, match=re.escape(told)) as caught:
            judge([[enrolled()], [enrolled(**changes)]] if "digest" not in str(changes) and "view" not in str(changes)
                  else [[enrolled(**changes)]], [enrolled()])  # fmt: skip
        assert exit_code_of(caught.value) is Exit.CANARY == 14
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert "--renew-canary" in str(caught.value)

    def test_workers_that_differ_are_not_enrolled(self) -> None:
        with pytest.raises(CanaryChanged, match="worker 1"):
            judge([[enrolled()], [enrolled(logit=1.0)]], [])

    def test_another_precision_is_held_against_the_first_and_enrolled(self) -> None:
        other = enrolled(precision="bf16", logit=0.5)
        assert judge([[other]], [enrolled()]).is_enrolled_now
        with pytest.raises(CanaryChanged):
            judge([[replace(other, logit=1.2)]], [enrolled()])

    def test_a_meant_change_is_enrolled(self) -> None:
        assert judge([[enrolled(model_digest="model-2")]], [enrolled()], is_renewed=True).is_enrolled_now


class TestSignals:
    def test_a_raised_share_is_an_alert_that_says_by_how_much(self) -> None:
        raised = share_signal("flag_rate", "all", "studies flagged", (18, 60), (58, 1000))
        assert raised is not None
        assert raised.is_alert
        assert "18 of 60" in raised.said
        assert "5.8 %" in raised.said

    def test_small_nights_and_small_baselines_are_not_judged(self) -> None:
        assert share_signal("flag_rate", "all", "flagged", (5, 5), (58, 1000)) is None
        assert share_signal("flag_rate", "all", "flagged", (18, 60), (3, 50)) is None
        assert distribution_signal("scores", "all", "logits", np.zeros(500), np.ones(5)) is None

    def test_the_cusum_goes_on_over_small_nights(self) -> None:
        """Nights of five scans with one flag each in two: alone they say nothing, together they alarm."""
        state, nights = CusumState(), 0
        while nights < 40:
            nights += 1
            signals, after = cusum_signals([True, False, False, False, True], (58, 1000), state)
            assert after is not None
            if any(signal.is_alert for signal in signals):
                break
            assert after.up >= state.up
            state = after
        assert 1 < nights < 15
        assert after.up == 0.0  # starts again after its alarm

    def test_a_path_starts_where_the_last_ended(self) -> None:
        cusum, flags = BernoulliCusum(0.1, 0.3, 2.0), np.random.default_rng(1).random(200) < 0.2
        whole = cusum.path(flags)
        assert cusum.path(flags[80:], whole[79]) == pytest.approx(whole[80:])

    def test_noise_of_small_nights_raises_hardly_an_alert(self) -> None:
        """50 nights of 30 studies on three scanners, as the baseline: chance alone."""
        rng = np.random.default_rng(7)
        baseline = studies(rng, 900, tonight=False)
        state, alarms = CusumState(), 0
        for _ in range(50):
            signals, after = judge_night([*baseline, *studies(rng, 30, tonight=True)], state)
            alarms += any(signal.is_alert for signal in signals)
            state = after or CusumState()
        assert alarms <= 1

    def test_a_broken_kernel_is_named(self) -> None:
        rng = np.random.default_rng(8)
        tonight = [
            replace(study, outcome="excluded", reason="no_decoder", logit=None, is_scored_tonight=False)
            if study.kernel == "B60"
            else study
            for study in studies(rng, 120, tonight=True)
        ]
        signals, _ = judge_night([*studies(rng, 900, tonight=False), *tonight], CusumState())
        told = {signal.subject for signal in signals if signal.is_alert}
        assert "kernel B60, no_decoder" in told
        assert "kernel B30, no_decoder" not in told

    def test_a_scanner_that_makes_other_images_is_seen_by_their_distance(self) -> None:
        rng = np.random.default_rng(9)
        baseline, tonight = studies(rng, 300, tonight=False), studies(rng, 60, tonight=True)
        usual = [replace(study, domain_distance=float(rng.normal(1, 0.2))) for study in baseline]
        moved = [replace(study, domain_distance=float(rng.normal(1.6, 0.2))) for study in tonight]
        signals, _ = judge_night([*usual, *moved], CusumState())
        (alert,) = [signal for signal in signals if signal.signal == "domain_distance"]
        assert alert.is_alert
        assert alert.observed > 0.5


def studies(rng: np.random.Generator, n: int, *, tonight: bool) -> list[NightStudy]:
    """Studies of three scanners and two kernels; 6 % flagged, 20 % excluded for two reasons."""
    found = []
    for number in range(n):
        is_scored = bool(rng.random() > 0.2)
        logit = float(rng.normal(-2, 1)) if is_scored else None
        found.append(
            NightStudy(
                study_key=f"s{number}",
                patient_key=f"p{number}",
                is_tonight=tonight,
                outcome="scored" if is_scored else "excluded",
                reason=None if is_scored else str(rng.choice(["too_short", "body_part"])),
                scanner=str(rng.choice(["A", "B", "C"])),
                kernel=str(rng.choice(["B30", "B60"])),
                logit=logit,
                probability=0.1 if is_scored else None,
                is_flagged=bool(rng.random() < 0.06) if is_scored else None,
                series_key=f"x{number}" if is_scored else None,
                is_scored_tonight=tonight and is_scored,
                is_superseding=False,
            )
        )
    return found


def test_T62_what_stays_damaged_is_told_once_a_week() -> None:
    now = utc(2026, 5, 10)

    def problem(days: float | None, n: int = 1, n_told: int = 1) -> Problem:
        told = None if days is None else (now - dt.timedelta(days=days)).replace(tzinfo=None)
        return Problem("x", "r", "truncated", n, None if days is None else n_told, told, told)

    told_before = [
        problem(None),
        problem(1),
        problem(6.9),
        problem(7),
        problem(30),
        problem(1, n=3, n_told=2),
    ]
    fresh, standing, n_quiet = sort_problems([*told_before, problem(-2)], now)
    assert (len(fresh), len(standing), n_quiet) == (2, 3, 2)  # one of the standing: a clock that was ahead


def morning(**changes: object) -> MorningNumbers:
    numbers = MorningNumbers(
        site="north <b>",
        night="2026-11-28",
        started="2026-11-28 20:00 CET",
        duration="3 h 20 min",
        window="20:00-06:00 Europe/Berlin",
        since="2026-11-27 20:00 CET",
        n_new=41,
        n_changed=2,
        n_scored=30,
        n_flagged=2,
        n_superseded=1,
        reasons=(ReasonRow("excluded", "too_short", "the series covers unknown mm", 11, "nothing"),),
        flagged=(FlaggedRow("k" * 32, 0.91, "Vendor X", False), FlaggedRow("j" * 32, 0.7, "Vendor Y", True)),
        alerts=("flag rate: 9 of 30",),
        new_problems=(ReasonRow("quarantined", "truncated", "the file ends early", 1, "fetch it again"),),
        nights=(NightPoint("27 Nov", 35, 1, 0, 6), NightPoint("28 Nov", 30, 9, 0, 6, True)),
        to_do=("Have the 2 flagged studies looked at.",),
        model_id="ovf-phantom-1",
    )
    return replace(numbers, **changes)  # type: ignore[arg-type]


def test_the_page_tells_everything_and_loads_nothing() -> None:
    page = render_morning_page(morning())
    for text in ("41 new studies", "k" * 32, "Changed:", "truncated", "simulated scans only", "supersede"):
        assert text in page, text
    assert "north &lt;b&gt;" in page
    assert not re.search(r"<script|src=|https?://", page)


def test_a_night_that_stopped_says_so_first_and_tells_no_numbers() -> None:
    page = render_morning_page(morning(stopped="the canary differs"))
    assert "stopped before writing" in page
    assert "41 new" not in page
    assert "stopped before writing" in morning_note(morning(stopped="the canary differs"))


def test_T57_the_note_for_prefect_names_no_study() -> None:
    note = morning_note(morning())
    assert "k" * 32 not in note
    assert "41 new" in note
    assert "truncated" in note


def test_a_folder_that_takes_no_page_is_told_before_the_night(tmp_path: Path) -> None:
    make_page_folder(tmp_path / "new" / "nights")
    assert list((tmp_path / "new" / "nights").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"no morning page can be written into .*file.*--out"):
        make_page_folder(tmp_path / "file" / "nights")
