"""Watching the share of flags from night to night: a p-chart with exact limits, and a Bernoulli CUSUM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import spsolve
from scipy.stats import binom

from estimates.result import FloatArray, needs_share

# Both tails together as in a chart of three standard deviations (Shewhart 1931).
FALSE_ALARM = 0.0027


@dataclass(frozen=True)
class ChartPoint:
    """One night: flags of scans, and the counts from `low` to `high` that the usual share explains."""

    flagged: int
    n: int
    low: int
    high: int

    @property
    def is_outside(self) -> bool:
        return not self.low <= self.flagged <= self.high


def p_chart(
    flagged: Sequence[int], n: Sequence[int], usual_share: float, false_alarm: float = FALSE_ALARM
) -> tuple[ChartPoint, ...]:
    """Each night against exact binomial limits: at most `false_alarm`/2 lies beyond each one.

    Exact because the normal limits of textbooks are below zero for a night of a dozen scans. ValueError when a night
    has more flags than scans.
    """
    needs_share(usual_share=usual_share)
    points = []
    for k, size in zip(flagged, n, strict=True):
        if not 0 <= k <= size:
            raise ValueError(f"{k} flags of {size} scans")
        low, high = binom.ppf((false_alarm / 2, 1 - false_alarm / 2), size, usual_share)
        points.append(ChartPoint(k, size, max(int(low), 0), int(high)))
    return tuple(points)


@dataclass(frozen=True)
class BernoulliCusum:
    """A CUSUM of flags, one scan after the other: it drifts down at `usual_share` and climbs at `raised_share`.

    `height`, in units of log likelihood ratio, raises the alarm. Reynolds & Stoumbos 1999, J Quality Technology 31:87.
    """

    usual_share: float
    raised_share: float
    height: float

    def __post_init__(self) -> None:
        if not 0 < self.usual_share < self.raised_share < 1 or self.height <= 0:
            raise ValueError("a CUSUM needs 0 < usual share < raised share < 1 and a height above 0")

    @property
    def step_up(self) -> float:
        """What a flag adds: log(p1/p0)."""
        return log(self.raised_share / self.usual_share)

    @property
    def step_down(self) -> float:
        """What a scan without a flag takes away: log((1−p0)/(1−p1))."""
        return log((1 - self.usual_share) / (1 - self.raised_share))

    def path(self, is_flagged: ArrayLike, start: float = 0.0) -> FloatArray:
        """The statistic after each scan, max(0, S + step); an alarm is a value of `height` or more. No reset.

        `start` is where it stood before the first scan.
        """
        steps = np.where(np.asarray(is_flagged, dtype=bool), self.step_up, -self.step_down)
        total = start + np.cumsum(steps)
        return np.asarray(total - np.minimum(np.minimum.accumulate(total), 0.0))


_FINEST_GRID = 128  # parts of one step down; beyond it the run length moves by less than 0.1 %


def average_run_length(cusum: BernoulliCusum, share: float) -> float:
    """Mean number of scans to an alarm when `share` of them are flagged and the statistic starts at 0.

    Exact for a Markov chain on a grid of whole parts of the step down, the number of parts chosen so that the step up
    is nearly whole too (Reynolds & Stoumbos 1999). At the usual share: scans between false alarms; at the raised one:
    delay. .058 → .09 with height 5: 23,960 and 516.
    """
    if not 0 < share < 1:
        raise ValueError("a share of flags between 0 and 1")
    parts = _grid(cusum.step_up / cusum.step_down)
    up = round(parts * cusum.step_up / cusum.step_down)
    n_states = int(np.ceil(parts * cusum.height / cusum.step_down - 1e-9))
    state = np.arange(n_states)
    climbs = state + up < n_states  # the others raise the alarm, and the chain ends
    rows = np.concatenate([state, state[climbs]])
    columns = np.concatenate([np.maximum(state - parts, 0), state[climbs] + up])
    chances = np.concatenate([np.full(n_states, 1 - share), np.full(int(climbs.sum()), share)])
    chain = csc_matrix((chances, (rows, columns)), shape=(n_states, n_states))
    lengths = spsolve(identity(n_states, format="csc") - chain, np.ones(n_states))
    return float(lengths[0])


def _grid(ratio: float) -> int:
    """Parts of a step down with which a step up of `ratio` steps down is nearest to a whole number of parts."""
    parts = np.arange(_FINEST_GRID // 2, _FINEST_GRID + 1)
    away = np.abs(parts * ratio - np.round(parts * ratio)) / parts
    return int(parts[np.argmin(away)])
