"""Judges one night against a baseline: shares by exact limits, flags by a CUSUM, distributions by permutation.

A night is small and a baseline is an estimate. So that noise raises no alert: the limits of a share start from the ends
of the baseline's own interval, the chance of a false alarm is shared by all that is judged in a night, and what is too
small is not judged. Small nights still count in the CUSUM, which goes on from night to night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import proportion_confint

from estimates.drift import MIN_VALUES, ks_drift
from estimates.monitor import FALSE_ALARM, BernoulliCusum, average_run_length, p_chart

MIN_NIGHT = MIN_VALUES  # scans of a night, or of a scanner in it, below which a share is not judged
MIN_BASELINE = 100  # a share of a hundred is known to within ten points
# What a CUSUM waits for: odds times this. Of .058 that makes .09, the example of docs/estimates.md.
RAISED_ODDS = 1.6
SCANS_BETWEEN_FALSE_ALARMS = 20_000  # a false alarm in a year or more, at fifty scans a night
BASELINE_CONFIDENCE = 0.8  # the CUSUM takes as usual what the baseline's interval allows at most
_HEIGHTS = np.arange(3.0, 12.0, 0.25)


@dataclass(frozen=True)
class Signal:
    """One thing that was judged. `low` and `high` are the limits that chance explains, in the unit of `observed`."""

    signal: str
    subject: str
    n: int
    observed: float
    expected: float
    low: float | None
    high: float | None
    is_alert: bool
    said: str


def share_signal(
    signal: str,
    subject: str,
    what: str,
    tonight: tuple[int, int],
    baseline: tuple[int, int],
    *,
    n_judged: int = 1,
) -> Signal | None:
    """A share of the night against exact limits; counts are (those, of all). None when either is too small.

    `what` says what was counted, such as "studies flagged". `n_judged` things share the chance of a false alarm.
    """
    (k, n), (k0, n0) = tonight, baseline
    if n < MIN_NIGHT or n0 < MIN_BASELINE:
        return None
    least, most = (float(end) for end in proportion_confint(k0, n0, method="beta"))
    false_alarm = FALSE_ALARM / n_judged
    low = p_chart([k], [n], least, false_alarm)[0].low
    high = p_chart([k], [n], most, false_alarm)[0].high
    return Signal(
        signal,
        subject,
        n,
        k / n,
        k0 / n0,
        low / n,
        high / n,
        not low <= k <= high,
        f"{k:,} of {n:,} {what} ({100 * k / n:.1f} %); the baseline has {100 * k0 / n0:.1f} % "
        f"({k0:,} of {n0:,}), and chance explains {low:,} to {high:,}",
    )


@dataclass(frozen=True)
class CusumState:
    """Where both statistics stand: for more flags, and for fewer."""

    up: float = 0.0
    down: float = 0.0


def cusum_signals(
    flags: Sequence[bool], baseline: tuple[int, int], before: CusumState
) -> tuple[list[Signal], CusumState | None]:
    """Goes on from the state before this night; after an alarm a statistic starts again at 0.

    Returns what was judged, and the new state; None when the baseline is too small.
    """
    k0, n0 = baseline
    if n0 < MIN_BASELINE:
        return [], None
    least, most = proportion_confint(k0 + 0.5, n0 + 1, alpha=1 - BASELINE_CONFIDENCE, method="beta")
    up = _one_way("more", np.asarray(flags, bool), float(most), before.up, baseline)
    down = _one_way("fewer", ~np.asarray(flags, bool), float(1 - least), before.down, baseline)
    ends = [0.0 if one.is_alert else one.observed for one in (up, down)]
    return [up, down], CusumState(*ends)


def _one_way(
    direction: str, events: np.ndarray, usual: float, start: float, baseline: tuple[int, int]
) -> Signal:
    usual = float(np.clip(usual, 0.005, 0.995))
    odds = usual / (1 - usual)
    # For fewer flags the events are scans without one: their odds rise as those of flags fall.
    raised = RAISED_ODDS * odds / (1 + RAISED_ODDS * odds)
    cusum = _tuned(usual, raised)
    path = cusum.path(events, start)
    is_alert = bool((path >= cusum.height).any())
    reached = float(path.max()) if is_alert else float(path[-1]) if len(path) else start
    k0, n0 = baseline
    return Signal(
        "flag_cusum",
        f"{direction} flags",
        len(events),
        reached,
        0.0,
        None,
        cusum.height,
        is_alert,
        f"the CUSUM for {direction} flags than the baseline's {100 * k0 / n0:.1f} % stands at {reached:.2f}; "
        f"it alarms at {cusum.height:.2f}",
    )


@lru_cache(maxsize=8)
def _tuned(usual: float, raised: float) -> BernoulliCusum:
    """The lowest height with so few false alarms."""
    for height in _HEIGHTS:
        cusum = BernoulliCusum(usual, raised, float(height))
        if average_run_length(cusum, usual) >= SCANS_BETWEEN_FALSE_ALARMS:
            return cusum
    return BernoulliCusum(usual, raised, float(_HEIGHTS[-1]))


def distribution_signal(
    signal: str, subject: str, what: str, baseline: ArrayLike, tonight: ArrayLike
) -> Signal | None:
    """Whether values of the night, one a patient, come from the baseline's distribution. None when too few."""
    old, new = np.asarray(baseline, np.float64), np.asarray(tonight, np.float64)
    if len(new) < MIN_NIGHT or len(old) < MIN_BASELINE:
        return None
    drift = ks_drift(old, new)
    return Signal(
        signal,
        subject,
        len(new),
        drift.distance,
        0.0,
        None,
        drift.limit,
        drift.is_drift,
        f"the {what} of {len(new):,} patients moved: median {np.median(new):.2f} instead of {np.median(old):.2f}; "
        f"distance {drift.distance:.2f} where chance reaches {drift.limit:.2f}",
    )
