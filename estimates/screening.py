"""What screening with a reader of known accuracy brings at a prevalence: flags, true ones, reads, missed."""

from __future__ import annotations

from dataclasses import dataclass

from estimates.result import Refused, needs_share


@dataclass(frozen=True)
class ScreeningYield:
    """Expected counts among `n_patients`; `reads_per_case` is flags per true case found (1/PPV)."""

    n_patients: int
    prevalence: float
    sensitivity: float
    specificity: float
    flags: float
    ppv: float
    reads_per_case: float
    missed: float


def screening_yield(
    n_patients: int, prevalence: float, sensitivity: float, specificity: float
) -> ScreeningYield:
    """flags = N(π·Se + (1−π)(1−Sp)); PPV = N·π·Se / flags; missed = N·π·(1−Se). Expected values, no interval.

    Refused when nothing would be flagged: there is no predictive value then.
    """
    needs_share(prevalence=prevalence, sensitivity=sensitivity, specificity=specificity)
    found = n_patients * prevalence * sensitivity
    flags = found + n_patients * (1 - prevalence) * (1 - specificity)
    if found <= 0:
        raise Refused("no true case would be flagged: a predictive value does not exist")
    missed = n_patients * prevalence * (1 - sensitivity)
    return ScreeningYield(
        n_patients, prevalence, sensitivity, specificity, flags, found / flags, flags / found, missed
    )
