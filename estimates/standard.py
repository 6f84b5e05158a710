"""Direct age standardisation to a standard that is cut to the ages counted and renormalised."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from scipy.stats import chi2

from estimates.result import Estimate, FloatArray, Refused, tails
from estimates.rogan_gladen import Accuracy, rogan_gladen

DRAWS = 20_000

# Both sexes together, five-year bands, the last one open; where each comes from:
SOURCES = {
    "who-2000-2025": "Ahmad et al. 2001, WHO GPE Discussion Paper 31, table 4 (percent; the printed sum is 100.035)",
    "europe-2013": "Eurostat 2013, Revision of the European Standard Population, doi 10.2785/11470",
    "china-2010": "Sixth National Population Census of China, 1 November 2010, ages of 1,332,810,869 persons",
    "china-2020": "Seventh National Population Census of China, 1 November 2020, ages of 1,409,778,724 persons",
}


@dataclass(frozen=True)
class AgeStandard:
    """Weights of age bands that sum to 1. `from_ages[i]` opens band i in years; the last band is open."""

    name: str
    source: str
    from_ages: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def ages(self) -> str:
        """The ages it covers, as printed beside every standardised number."""
        return f"{self.from_ages[0]} years and over"


@cache
def age_standard(name: str) -> AgeStandard:
    """A standard by name, all ages: who-2000-2025, europe-2013, china-2010, china-2020. ValueError otherwise."""
    if name not in SOURCES:
        raise ValueError(f"no standard population {name}; there are {', '.join(SOURCES)}")
    table = files("estimates").joinpath("standard_populations.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(table.splitlines()) if row["standard"] == name]
    weights = np.array([float(row["weight"]) for row in rows])
    ages = tuple(int(row["from_age_years"]) for row in rows)
    return AgeStandard(name, SOURCES[name], ages, tuple((weights / weights.sum()).tolist()))


def truncated(standard: AgeStandard, from_ages: Sequence[int]) -> AgeStandard:
    """The same standard in bands that open at `from_ages`, renormalised; ages below the first are left out.

    The last band is open. ValueError when an age does not open a band of the standard or they do not rise.
    """
    wanted = tuple(from_ages)
    unknown = [age for age in wanted if age not in standard.from_ages]
    if not wanted or unknown or list(wanted) != sorted(set(wanted)):
        raise ValueError(f"bands must rise and open where {standard.name} has one; got {wanted}")
    band = np.searchsorted(wanted, standard.from_ages, side="right") - 1
    kept = band >= 0
    weights = np.bincount(band[kept], np.array(standard.weights)[kept], minlength=len(wanted))
    return AgeStandard(standard.name, standard.source, wanted, tuple((weights / weights.sum()).tolist()))


def fay_feuer(
    events: Sequence[int],
    n: Sequence[int],
    weights: Sequence[float],
    *,
    given: str = "",
    name: str = "standardised rate",
    confidence: float = 0.95,
) -> Estimate:
    """Σ W·x/n with the gamma interval of Fay & Feuer 1997 (Statistics in Medicine 16:791), conservative.

    y the rate, v = Σ W²x/n², w = max(W/n): low = v/2y · χ²(2y²/v), high = (v+w²)/2(y+w) · χ²(2(y+w)²/(v+w²)).
    For raw flags of bands of age; a corrected prevalence goes through `standardised_prevalence`. Refused when a band
    that has weight has nobody in it: choose wider bands.
    """
    x, size, weight = _bands(events, n, weights)
    rate = min(float((weight * x / size).sum()), 1.0)  # weights sum to 1 but for rounding
    variance = float((weight**2 * x / size**2).sum())
    largest = float((weight / size).max())
    left, right = tails(confidence)
    low = variance / (2 * rate) * float(chi2.ppf(left, 2 * rate**2 / variance)) if rate else 0.0
    above, spread = rate + largest, variance + largest**2
    high = spread / (2 * above) * float(chi2.ppf(right, 2 * above**2 / spread))
    method = "direct standardisation, interval of Fay and Feuer"
    return Estimate(
        name, rate, low, min(high, 1.0), method, float(x.sum()), float(size.sum()), given, confidence
    )


def standardised_prevalence(
    flagged: Sequence[int],
    n: Sequence[int],
    weights: Sequence[float],
    accuracy: Accuracy,
    *,
    given: str = "",
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Σ W·π over bands, π by Rogan-Gladen; Monte Carlo with the error of flags, sensitivity and specificity in it.

    Each draw takes Beta(k+½, n−k+½) for the flags of every band and one pair of sensitivity and specificity for all
    bands. The sum is clipped to [0, 1], the bands are not: clipping them would lift the sum.
    """
    x, size, weight = _bands(flagged, n, weights)
    rng = np.random.default_rng(seed)
    apparent = rng.beta(x + 0.5, size - x + 0.5, (DRAWS, len(x)))
    se = _jeffreys(accuracy.tp, accuracy.n_cases, rng)
    sp = _jeffreys(accuracy.tn, accuracy.n_healthy, rng)
    informative = se + sp - 1 > 0.01  # below that the draw says nothing and its quotient explodes
    if informative.mean() < 0.999:
        raise Refused("the set is too small to tell sensitivity + specificity from 1")
    drawn = ((apparent @ weight + sp - 1) / (se + sp - 1))[informative]
    value = sum(
        float(w) * rogan_gladen(int(k), int(m), accuracy) for k, m, w in zip(x, size, weight, strict=True)
    )
    low, high = np.quantile(drawn, tails(confidence))
    value, low, high = (min(max(float(number), 0.0), 1.0) for number in (value, low, high))
    method = f"direct standardisation of Rogan-Gladen, Monte Carlo; accuracy from {accuracy.set_name}"
    return Estimate(
        "standardised corrected prevalence",
        value,
        min(low, value),
        max(high, value),
        method,
        float(x.sum()),
        float(size.sum()),
        given,
        confidence,
    )


def _bands(
    events: Sequence[int], n: Sequence[int], weights: Sequence[float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, size, weight = (np.asarray(values, dtype=np.float64) for values in (events, n, weights))
    if not len(x) == len(size) == len(weight) > 0 or (x < 0).any() or (x > size).any():
        raise ValueError("bands need as many events as sizes and weights, and no more events than persons")
    if abs(weight.sum() - 1) > 1e-9 or (weight < 0).any():
        raise ValueError("the weights of a standard sum to 1")
    if (size[weight > 0] == 0).any():
        raise Refused("a band of age of the standard has nobody in it: choose wider bands")
    used = weight > 0
    return x[used], size[used], weight[used]


def _jeffreys(k: int, n: int, rng: np.random.Generator) -> FloatArray:
    return np.asarray(rng.beta(k + 0.5, n - k + 0.5, DRAWS))
