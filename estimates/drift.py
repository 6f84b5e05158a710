"""Has the input changed: the Kolmogorov-Smirnov distance of a night from its reference, with limits by permutation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp

from estimates.result import FloatArray, Refused

PERMUTATIONS = 999
_BATCH_VALUES = 2_000_000  # places shuffled at once
MIN_VALUES = 20  # below this a night can hardly differ from anything


@dataclass(frozen=True)
class Drift:
    """Distance of two samples, the distance that chance reaches with `false_alarm`, and the p value."""

    distance: float
    limit: float
    p_value: float
    n_reference: int
    n_new: int

    @property
    def is_drift(self) -> bool:
        return self.distance > self.limit


def ks_drift(
    reference: ArrayLike,
    new: ArrayLike,
    *,
    false_alarm: float = 0.0027,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Drift:
    """Largest distance of the two distribution functions against the same in `permutations` shuffles of both.

    Right for any size and for ties, where PSI is not: its 0.25 is noise at 50 scans and deaf at 5,000. Values are one
    per scan; scans of one patient are not exchangeable, so give one per patient. Refused below 20 values.
    """
    old, now = (np.asarray(values, dtype=np.float64) for values in (reference, new))
    if min(len(old), len(now)) < MIN_VALUES:
        raise Refused(f"drift needs at least {MIN_VALUES} values on both sides")
    if not (np.isfinite(old).all() and np.isfinite(now).all()):
        raise ValueError("a missing value is no value of zero: count it apart")
    distance = float(ks_2samp(old, now, method="asymp").statistic)
    rng, both = np.random.default_rng(seed), np.concatenate([old, now])
    order = np.argsort(both, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(both[order]) > 0, True])  # distances count after each tied group
    is_new = np.arange(len(both)) >= len(old)
    drawn = _shuffled_distances(is_new, last, permutations, rng)
    p_value = (1 + int((drawn >= distance - 1e-12).sum())) / (permutations + 1)
    return Drift(
        distance, float(np.quantile(drawn, 1 - false_alarm, method="higher")), p_value, len(old), len(now)
    )


def _shuffled_distances(
    is_new: np.ndarray, last: np.ndarray, permutations: int, rng: np.random.Generator
) -> FloatArray:
    """(permutations,) distances after shuffling who is new; values in order, `last` closes each tied group."""
    batch = max(1, _BATCH_VALUES // len(is_new))
    sizes = [min(batch, permutations - done) for done in range(0, permutations, batch)]
    share = is_new.mean()
    place = np.arange(1, len(is_new) + 1)[last]
    distances = []
    for size in sizes:
        new = np.cumsum(rng.permuted(np.tile(is_new, (size, 1)), axis=1), axis=1)[:, last]
        # new/m − (place − new)/n, with m = share·N and n = (1 − share)·N
        gap = (new - share * place) / (share * (1 - share) * len(is_new))
        distances.append(np.abs(gap).max(axis=1))
    return np.concatenate(distances)
