"""`python -m benchmarks.coverage`: how often the intervals of an audit hold the truth, over simulated hospitals.

Approximate 95 % intervals should hold it in 93.5-97.5 % of the hospitals, conservative ones in 94.5 % or more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from benchmarks.audit_hospitals import CELLS, AuditedHospital, FloatArray, audited_hospital
from estimates.audit_cells import AiResult, Definition
from estimates.audit_estimates import (
    Reader,
    missed_rate,
    predictive_value,
    prevalence,
    sensitivity,
    specificity,
)
from estimates.audit_limits import Method, MonteCarlo
from estimates.audit_reads import AuditReads, CellReads
from estimates.result import Estimate

READS = 600
DRAWS = 1_000  # for each interval; the audit itself takes ten times as many
APPROXIMATE = (0.935, 0.975)
CONSERVATIVE = (0.945, 1.0)
BATCH = 50  # hospitals per process and turn

Estimator = Callable[[AuditReads, MonteCarlo], Estimate]

_scored = np.array([cell.is_scored for cell in CELLS])
_flagged = np.array([cell.ai is AiResult.FLAGGED for cell in CELLS])
_with_report = np.array([cell.has_report for cell in CELLS])
_all = np.ones(len(CELLS), dtype=bool)


@dataclass(frozen=True)
class Quantity:
    """An estimate, and its truth: the share `numerator` has of the cases (or non-cases) in `denominator`."""

    name: str
    estimator: Estimator
    numerator: np.ndarray
    denominator: np.ndarray
    of_healthy: bool = False

    def truth(self, n_units: FloatArray, share: FloatArray) -> float:
        counted = n_units * (1 - share if self.of_healthy else share)
        return float(counted[self.numerator].sum() / counted[self.denominator].sum())


class _Share(Quantity):
    """The share of cases among units: prevalence, or predictive value within the numerator's cells."""

    def truth(self, n_units: FloatArray, share: FloatArray) -> float:
        return float((n_units * share)[self.numerator].sum() / n_units[self.numerator].sum())


def _reported(definition: Definition) -> np.ndarray:
    return np.array([cell.is_reported(definition) for cell in CELLS])


_S, _L = Definition.STRICT, Definition.LENIENT
QUANTITIES: tuple[Quantity, ...] = (
    _Share("prevalence", lambda reads, how: prevalence(reads, how=how), _all, _all),
    Quantity(
        "missed rate, strict",
        lambda reads, how: missed_rate(reads, _S, how=how),
        _with_report & ~_reported(_S),
        _with_report,
    ),
    Quantity(
        "missed rate, lenient",
        lambda reads, how: missed_rate(reads, _L, how=how),
        _with_report & ~_reported(_L),
        _with_report,
    ),
    Quantity(
        "sensitivity of the AI", lambda reads, how: sensitivity(reads, Reader.AI, how=how), _flagged, _scored
    ),
    Quantity(
        "specificity of the AI",
        lambda reads, how: specificity(reads, Reader.AI, how=how),
        _scored & ~_flagged,
        _scored,
        of_healthy=True,
    ),
    Quantity(
        "sensitivity of the reports",
        lambda reads, how: sensitivity(reads, Reader.REPORTS, _L, how=how),
        _reported(_L),
        _with_report,
    ),
    Quantity(
        "specificity of the reports",
        lambda reads, how: specificity(reads, Reader.REPORTS, _L, how=how),
        _with_report & ~_reported(_L),
        _with_report,
        of_healthy=True,
    ),
    _Share(
        "predictive value of the AI",
        lambda reads, how: predictive_value(reads, Reader.AI, how=how),
        _flagged,
        _flagged,
    ),
)


@dataclass(frozen=True)
class Kind:
    """One way to draw limits, and the range that its coverage should lie in."""

    method: Method
    is_finite: bool
    wanted: tuple[float, float] | None

    @property
    def name(self) -> str:
        return f"{self.method}, {'this archive' if self.is_finite else 'its source'}"


KINDS = (
    Kind(Method.SHARED, False, APPROXIMATE),
    Kind(Method.SHARED, True, APPROXIMATE),
    Kind(Method.MELDED, False, CONSERVATIVE),
    Kind(Method.MELDED, True, CONSERVATIVE),
    Kind(Method.JEFFREYS, False, None),
)


@dataclass(frozen=True)
class Coverage:
    """Hospitals whose truth lies inside, under and above the interval, and the mean width."""

    kind: Kind
    quantity: str
    n: int
    n_below: int
    n_above: int
    n_empty: int
    n_missed_empty: int
    width: float

    @property
    def share(self) -> float:
        return 1 - (self.n_below + self.n_above) / self.n

    @property
    def share_of_empty(self) -> float:
        """Coverage where some cell held cases of which the audit saw none."""
        return 1 - self.n_missed_empty / max(self.n_empty, 1)

    @property
    def is_as_wanted(self) -> bool:
        return self.kind.wanted is None or self.kind.wanted[0] <= self.share <= self.kind.wanted[1]


def audit_reads(hospital: AuditedHospital) -> AuditReads:
    rows = zip(
        CELLS,
        hospital.n_units.tolist(),
        hospital.n_read.tolist(),
        hospital.cases_read.tolist(),
        strict=True,
    )
    return AuditReads(("fracture",), tuple(CellReads(c, n, r, (k,)) for c, n, r, k in rows if n))


def outcomes(seeds: Iterable[int], kinds: Sequence[Kind] = KINDS) -> FloatArray:
    """(hospitals, kinds, quantities, 4): truth below, truth above, some cell empty, width."""
    return np.array([_of_hospital(seed, kinds) for seed in seeds])


def _of_hospital(seed: int, kinds: Sequence[Kind]) -> list[list[tuple[float, float, float, float]]]:
    hospital = audited_hospital(np.random.default_rng([20261121, seed]), READS)
    reads, empty = audit_reads(hospital), float(hospital.has_cell_without_event)
    rows = []
    for kind in kinds:
        how = MonteCarlo(kind.method, kind.is_finite, DRAWS, seed)
        target = (
            (hospital.n_units.astype(np.float64), hospital.archive_share)
            if kind.is_finite
            else (hospital.source_units, hospital.true_share)
        )
        row = []
        for quantity in QUANTITIES:
            truth, found = quantity.truth(*target), quantity.estimator(reads, how)
            row.append(
                (
                    float(truth < found.low - 1e-12),
                    float(truth > found.high + 1e-12),
                    empty,
                    found.high - found.low,
                )
            )
        rows.append(row)
    return rows


def coverage(n_hospitals: int, kinds: Sequence[Kind] = KINDS, workers: int = 1) -> list[Coverage]:
    """Coverage of each quantity by each kind of limits, over hospitals 0 to n − 1."""
    batches = [range(i, min(i + BATCH, n_hospitals)) for i in range(0, n_hospitals, BATCH)]
    if workers == 1:
        parts = [outcomes(batch, kinds) for batch in batches]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(outcomes, batches, [kinds] * len(batches)))
    found = np.concatenate(parts)
    return [
        _summed(kind, quantity.name, found[:, i, j])
        for i, kind in enumerate(kinds)
        for j, quantity in enumerate(QUANTITIES)
    ]


def _summed(kind: Kind, quantity: str, found: FloatArray) -> Coverage:
    below, above, empty, width = found.T
    missed_empty = int(((below + above) * empty).sum())
    return Coverage(
        kind,
        quantity,
        len(found),
        int(below.sum()),
        int(above.sum()),
        int(empty.sum()),
        missed_empty,
        float(width.mean()),
    )


def markdown(rows: Sequence[Coverage]) -> str:
    lines = [
        "| limits | quantity | coverage | truth below | truth above | with an empty cell | width | as wanted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = "" if row.kind.wanted is None else ("yes" if row.is_as_wanted else "NO")
        lines.append(
            f"| {row.kind.name} | {row.quantity} | {row.share:.3f} | {row.n_below / row.n:.3f} |"
            f" {row.n_above / row.n:.3f} | {row.share_of_empty:.3f} | {row.width:.3f} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hospitals", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    wanted = parser.parse_args()
    rows = coverage(wanted.hospitals, workers=wanted.workers)
    print(f"{wanted.hospitals} hospitals, {READS} reads each, 95 % intervals\n")
    print(markdown(rows))
    return 0 if all(row.is_as_wanted for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
