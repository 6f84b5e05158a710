"""Estimates of an audit within groups of its units, and age-standardised ones: the same reads, labelled otherwise.

A group (women, one year, one site) cuts across the cells, so its size in each cell is not needed: a ratio of two
weighted sums over all cells, each of the reads that lie in the group, is unbiased in large samples (Hájek).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from estimates.audit_limits import MonteCarlo, drawn_sizes, ratio_estimate
from estimates.audit_reads import AuditReads, cell_ratio
from estimates.result import Estimate, FloatArray, Refused, tails


def share_of_labels(
    reads: AuditReads,
    events: tuple[str, ...],
    others: tuple[str, ...],
    *,
    name: str,
    given: str = "",
    how: MonteCarlo | None = None,
) -> Estimate:
    """Weighted reads of the labels `events`, of all with these or the labels `others`. Labels are classes of the reads.

    With `events` the cases of a group and `others` its other reads this is the prevalence in the group.
    """
    everywhere = np.ones(len(reads.cells), dtype=bool)
    ratio = cell_ratio(reads, reads.cases(events), everywhere, reads.cases(others), everywhere)
    return ratio_estimate(ratio, name, given, how)


def standardised_from_reads(
    reads: AuditReads,
    bands: Sequence[tuple[str, str]],
    weights: Sequence[float],
    *,
    name: str = "standardised prevalence",
    given: str = "",
    how: MonteCarlo | None = None,
) -> Estimate:
    """Σ W·π over bands of age, π = weighted cases / weighted reads of the band; `bands` names (case, no case) labels.

    Limits: each cell's shares of all labels drawn from one Dirichlet of its counts, with half a pseudo-read for
    each label shared out over the cells by their weights, as the audit's own limits do. Refused when a band with
    weight has no read.
    """
    how = how or MonteCarlo()
    units, read = reads.n_units, reads.n_read
    if (read[units > 0] == 0).any():
        raise Refused("a cell has units but no reads: read some, or leave it out and give its bounds")
    labels = [label for pair in bands for label in pair]
    counts = np.stack([reads.cases((label,)) for label in labels])  # (2 · bands, cells)
    per_read = np.divide(units, read, out=np.zeros_like(units), where=read > 0)
    weighted = counts @ per_read
    weight = np.asarray(weights, dtype=np.float64)
    value = _standardised(weighted[None], weight)
    if np.isnan(value).any():
        raise Refused("a band of age of the standard has no read: choose wider bands")
    drawn = _standardised(_drawn(counts, units, read, per_read, how), weight)
    low, high = np.nanquantile(drawn, tails(how.confidence))
    point = float(value[0])
    method = f"direct standardisation of the weighted reads; {how.in_words}"
    total = float(weighted.sum())
    return Estimate(
        name,
        point,
        min(float(low), point),
        max(float(high), point),
        method,
        point * total,
        total,
        given,
        how.confidence,
    )


def _standardised(weighted: FloatArray, weight: FloatArray) -> FloatArray:
    """(draws, 2 · bands) weighted cases and others → (draws,) Σ W·π; NaN where a band with weight is empty."""
    cases, others = weighted[:, 0::2], weighted[:, 1::2]
    total = cases + others
    share = np.divide(cases, total, out=np.full_like(total, np.nan), where=total > 0)
    return np.minimum(share[:, weight > 0] @ weight[weight > 0], 1.0)  # weights sum to 1 but for rounding


def _drawn(
    counts: FloatArray, units: FloatArray, read: FloatArray, per_read: FloatArray, how: MonteCarlo
) -> FloatArray:
    """(draws, labels) weighted units of each label, from one Dirichlet a cell, and one of the cells' sizes."""
    pseudo = 0.5 * per_read / max(float(per_read.sum()), 1e-12)
    rest = np.maximum(read - counts.sum(axis=0), 0.0)
    shapes = np.vstack([counts + pseudo, rest + pseudo])
    rng = np.random.default_rng(how.seed)
    gamma = rng.standard_gamma(shapes, (how.draws, *shapes.shape))
    shares = gamma / np.maximum(gamma.sum(axis=1, keepdims=True), 1e-300)
    sizes = units if how.is_finite else drawn_sizes(units, how, rng)[:, None, :]
    return np.asarray((shares[:, :-1, :] * sizes).sum(axis=2))
