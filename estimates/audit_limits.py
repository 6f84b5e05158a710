"""Limits of a weighted ratio of an audit: Monte Carlo over the cells, or the bootstrap where cells are full.

Why not the patient bootstrap: a cell without an event never gets one in a resample, so at 600 reads it covers the
missed rate in 71 % of samples. Why not half a pseudo-event in every cell: with a dozen cells the halves add up to six
events that nobody saw, and the limits lie too high (docs/estimates.md has the coverage of both).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from estimates.audit_reads import CellRatio
from estimates.result import Estimate, FloatArray, TooFewEvents, tails

MIN_BOOTSTRAP_EVENTS = 10
_UNBIASED: Final = "weibull"  # leaves out just the share asked for, on average, whatever the number of draws
_TINY = 1e-9  # a pseudo-count that only keeps a share off zero


class Method(StrEnum):
    """SHARED is approximate, MELDED conservative; JEFFREYS and BOOTSTRAP are there to be compared with."""

    SHARED = "shared"
    MELDED = "melded"
    JEFFREYS = "jeffreys"
    BOOTSTRAP = "bootstrap"


_IN_WORDS = {
    Method.SHARED: "Monte Carlo over the cells, half a pseudo-event for each side shared out by weight",
    Method.MELDED: "Monte Carlo over the cells, melded exact limits (conservative)",
    Method.JEFFREYS: "Monte Carlo over the cells, independent Jeffreys posteriors",
    Method.BOOTSTRAP: "percentile bootstrap within the cells",
}


@dataclass(frozen=True)
class MonteCarlo:
    """How limits are drawn.

    `is_finite`: the target is this archive itself, so units that were read are certain, and so are the sizes of its
    cells. Else it is what such archives are drawn from, and the sizes of the cells are chance too.
    """

    method: Method = Method.SHARED
    is_finite: bool = False
    draws: int = 10_000
    seed: int = 0
    confidence: float = 0.95

    @property
    def in_words(self) -> str:
        target = "this archive (finite population)" if self.is_finite else "archives like this one"
        return f"{_IN_WORDS[self.method]}; target {target}"


def ratio_estimate(ratio: CellRatio, name: str, given: str, how: MonteCarlo | None = None) -> Estimate:
    """The design-weighted value A/(A+B) with its limits. Numerator and denominator are weighted numbers of units."""
    how = how or MonteCarlo()
    value = ratio.numerator / ratio.denominator
    low, high = _limits(ratio, how)
    return Estimate(
        name,
        value,
        min(low, value),
        max(high, value),
        how.in_words,
        ratio.numerator,
        ratio.denominator,
        given,
        how.confidence,
    )


def _limits(ratio: CellRatio, how: MonteCarlo) -> tuple[float, float]:
    rng = np.random.default_rng(how.seed)
    left, right = tails(how.confidence)
    if how.method is Method.MELDED:
        lower, upper = _melded_shapes(ratio)
        return _quantile(ratio, lower, how, rng, left), _quantile(ratio, upper, how, rng, right)
    if how.method is Method.BOOTSTRAP:
        drawn = _bootstrapped(ratio, how, rng)
    else:
        drawn = _drawn_ratios(ratio, _shapes(ratio, how), how, rng)
    low, high = np.nanquantile(drawn, (left, right), method=_UNBIASED)
    return float(low), float(high)


def _quantile(
    ratio: CellRatio, shapes: FloatArray, how: MonteCarlo, rng: np.random.Generator, at: float
) -> float:
    return float(np.nanquantile(_drawn_ratios(ratio, shapes, how, rng), at, method=_UNBIASED))


def _rest(ratio: CellRatio) -> FloatArray:
    """Reads that are an event of neither side."""
    return np.asarray(ratio.n - ratio.a - ratio.b)


def _shapes(ratio: CellRatio, how: MonteCarlo) -> FloatArray:
    """(3, cells): Dirichlet parameters of A-events, B-events and the rest in each cell."""
    if how.method is Method.JEFFREYS:
        pseudo_a = pseudo_b = pseudo_rest = np.full(len(ratio.n), 0.5)
    else:
        pseudo_a, pseudo_b = (_shared_half(ratio, mask, how) for mask in (ratio.in_a, ratio.in_b))
        pseudo_rest = np.where(ratio.in_a, pseudo_a, pseudo_b)
    shapes = np.stack(
        [
            np.where(ratio.in_a, ratio.a + pseudo_a, 0.0),
            np.where(ratio.in_b, ratio.b + pseudo_b, 0.0),
            np.zeros(len(ratio.n)) if ratio.is_whole else _rest(ratio) + pseudo_rest,
        ]
    )
    return shapes if how.method is Method.JEFFREYS else shapes * _widening(ratio.n)


def _widening(n: FloatArray) -> FloatArray:
    """Factor of a cell's Dirichlet parameters with which its variance is p(1−p)/(n−1), the unbiased one.

    Without it the variance is p(1−p)/(n+1): with 20 reads a cell that is 10 % too small.
    """
    return np.asarray(np.maximum(n - 2, n / 2) / np.maximum(n, 1))


def _shared_half(ratio: CellRatio, side: np.ndarray, how: MonteCarlo) -> FloatArray:
    """Half a pseudo-event for all cells of a side together, in proportion to the weight of one event in each.

    One cell alone gets the ½ of Jeffreys. Equal weights get equal parts, as if the cells were one. A cell whose
    events weigh most, where an unseen one would matter, gets most: what Fay & Feuer 1997 do with their largest weight.
    """
    unread = ratio.n_units - ratio.n if how.is_finite else ratio.n_units
    weight = np.where(side, unread / np.maximum(ratio.n, 1), 0.0)
    total = weight.sum()
    return np.maximum(0.5 * weight / total, _TINY) if total > 0 else np.full(len(weight), 0.5)


def _melded_shapes(ratio: CellRatio) -> tuple[FloatArray, FloatArray]:
    """Shapes for the lower and the upper limit: each cell at its own exact limit distribution.

    Fay, Proschan & Brittain 2015, doi 10.1111/biom.12231: A low means Beta(a, n−a+1), B high Beta(b+1, n−b).
    """
    a, b, rest = ratio.a, ratio.b, _rest(ratio)
    only_a, only_b = ratio.in_a & ~ratio.in_b, ratio.in_b & ~ratio.in_a
    lower = np.stack([np.where(ratio.in_a, a, 0.0), np.where(ratio.in_b, b + 1, 0.0), rest + only_a])
    upper = np.stack([np.where(ratio.in_a, a + 1, 0.0), np.where(ratio.in_b, b, 0.0), rest + only_b])
    return lower, upper


def _drawn_ratios(
    ratio: CellRatio, shapes: FloatArray, how: MonteCarlo, rng: np.random.Generator
) -> FloatArray:
    """(draws,) ratios; NaN where a draw of a finite archive holds no event at all."""
    gamma = rng.standard_gamma(shapes, (how.draws, *shapes.shape))  # (draws, 3, cells)
    share_a, share_b, _ = np.moveaxis(gamma / gamma.sum(axis=1, keepdims=True), 1, 0)
    if not how.is_finite:
        sizes = drawn_sizes(ratio.n_units, how, rng)
        return _divided((share_a * sizes).sum(axis=1), (share_b * sizes).sum(axis=1))
    unread = (ratio.n_units - ratio.n).astype(np.int64)
    more_a = rng.binomial(unread, np.clip(share_a, 0.0, 1.0))
    of_rest = np.divide(share_b, 1 - share_a, out=np.zeros_like(share_b), where=share_a < 1)
    more_b = rng.binomial(unread - more_a, np.clip(of_rest, 0.0, 1.0))
    return _divided((ratio.a + more_a).sum(axis=1), (ratio.b + more_b).sum(axis=1))


def _bootstrapped(ratio: CellRatio, how: MonteCarlo, rng: np.random.Generator) -> FloatArray:
    """Reads drawn again within each cell. Refused below ten events in any cell of either side."""
    few = (ratio.in_a & (ratio.a < MIN_BOOTSTRAP_EVENTS)) | (ratio.in_b & (ratio.b < MIN_BOOTSTRAP_EVENTS))
    if few.any():
        raise TooFewEvents(
            f"{int(few.sum())} cells have fewer than {MIN_BOOTSTRAP_EVENTS} events: the bootstrap would be too short"
        )
    if how.is_finite:
        raise TooFewEvents("the bootstrap has no finite-population form here: use the Monte Carlo")
    counts = np.stack([ratio.a, ratio.b, _rest(ratio)], axis=1)
    drawn = np.stack(
        [rng.multinomial(int(n), row / n, how.draws) for n, row in zip(ratio.n, counts, strict=True)],
        axis=1,
    )  # (draws, cells, 3)
    weights = drawn_sizes(ratio.n_units, how, rng) / np.maximum(ratio.n, 1)
    return _divided((drawn[:, :, 0] * weights).sum(axis=1), (drawn[:, :, 1] * weights).sum(axis=1))


def drawn_sizes(n_units: FloatArray, how: MonteCarlo, rng: np.random.Generator) -> FloatArray:
    """(draws, cells): how large the cells of another archive of the same source are, up to one factor for all of them.

    Gammas of the sizes are a Dirichlet of them, once a ratio is taken. A bootstrap of the units would do the same.
    """
    return np.asarray(rng.standard_gamma(n_units, (how.draws, len(n_units))))


def _divided(a: FloatArray, b: FloatArray) -> FloatArray:
    total = a + b
    ratio = np.full(len(total), np.nan)
    np.divide(a, total, out=ratio, where=total > 0)
    return ratio
