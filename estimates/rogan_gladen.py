"""True prevalence from flags and a known-to-be-uncertain accuracy: Rogan-Gladen with Lang and Reiczigel's interval."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scipy.stats import norm

from estimates.result import Estimate, Refused, needs_counts, tails


class AccuracySource(StrEnum):
    """Where counts of sensitivity and specificity come from. Only the first may correct a prevalence."""

    EXTERNAL_HUMAN_READ = "external_human_read"
    PHANTOM = "phantom"
    REPORT_LABELS = "report_labels"
    ENRICHED = "enriched"
    SAME_ARCHIVE_AUDIT = "same_archive_audit"


_WHY_REFUSED = {
    AccuracySource.PHANTOM: "simulated scans say nothing about the accuracy on patients",
    AccuracySource.REPORT_LABELS: "reports miss fractures, so accuracy against them is not accuracy",
    AccuracySource.ENRICHED: "an enriched set has another spectrum than an archive",
    AccuracySource.SAME_ARCHIVE_AUDIT: "an audited sample of this archive gives the prevalence itself, by its weights",
}


@dataclass(frozen=True)
class Accuracy:
    """Counts of a reader against human readings: `tp` of `n_cases` found, `tn` of `n_healthy` left alone.

    `set_name` is printed beside every number that rests on it. Refused from any source that must not correct a
    real archive.
    """

    tp: int
    n_cases: int
    tn: int
    n_healthy: int
    source: AccuracySource
    set_name: str

    def __post_init__(self) -> None:
        if self.source in _WHY_REFUSED:
            raise Refused(
                f"no prevalence is corrected with accuracy from {self.source}: {_WHY_REFUSED[self.source]}"
            )
        if not self.set_name.strip():
            raise Refused("the human-read set that sensitivity and specificity come from needs a name")
        needs_counts(self.tp, self.n_cases)
        needs_counts(self.tn, self.n_healthy)
        if self.youden <= 0:
            raise Refused(
                "sensitivity + specificity is not above 1: flags carry no information on prevalence"
            )

    @property
    def sensitivity(self) -> float:
        return self.tp / self.n_cases

    @property
    def specificity(self) -> float:
        return self.tn / self.n_healthy

    @property
    def youden(self) -> float:
        return self.sensitivity + self.specificity - 1


@dataclass(frozen=True)
class CorrectedPrevalence:
    """The corrected prevalence inside [0, 1], and the same three numbers before they were clipped."""

    estimate: Estimate
    raw_value: float
    raw_low: float
    raw_high: float


def rogan_gladen(flagged: int, n: int, accuracy: Accuracy) -> float:
    """(AP + Sp − 1)/(Se + Sp − 1), not clipped: below zero it says that the specificity is not known well enough.

    Rogan & Gladen 1978, doi 10.1093/oxfordjournals.aje.a112510.
    """
    needs_counts(flagged, n)
    return (flagged / n + accuracy.specificity - 1) / accuracy.youden


def lang_reiczigel(
    flagged: int, n: int, accuracy: Accuracy, *, given: str = "", confidence: float = 0.95
) -> CorrectedPrevalence:
    """Corrected prevalence with an interval that holds the error of flags, sensitivity and specificity.

    Lang & Reiczigel 2014, doi 10.1016/j.prevetmed.2013.09.015: z² and z²/2 added to n and k; Se and Sp from counts
    +1 over n +2; π' ± z·se moved by d = 2z²[π'Se'(1−Se')/n_Se' − (1−π')Sp'(1−Sp')/n_Sp']; clipped to [0, 1].
    """
    value = rogan_gladen(flagged, n, accuracy)
    z = float(norm.ppf(tails(confidence)[1]))
    n_, apparent = n + z**2, (flagged + z**2 / 2) / (n + z**2)
    n_se, n_sp = accuracy.n_cases + 2, accuracy.n_healthy + 2
    se, sp = (accuracy.tp + 1) / n_se, (accuracy.tn + 1) / n_sp
    youden = se + sp - 1
    if youden <= 0:
        raise Refused("the set is too small to tell sensitivity + specificity from 1")
    pi = (apparent + sp - 1) / youden
    var_se, var_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z**2 * (pi * var_se - (1 - pi) * var_sp)
    error = (apparent * (1 - apparent) / n_ + pi**2 * var_se + (1 - pi) ** 2 * var_sp) ** 0.5 / youden
    method = f"Rogan-Gladen, interval of Lang and Reiczigel; accuracy from {accuracy.set_name}"
    low, high = pi + shift - z * error, pi + shift + z * error
    inside, below, above = (min(max(number, 0.0), 1.0) for number in (value, low, high))
    # The shift can leave the plain value outside its interval by a hair; then the limit follows it.
    below, above = min(below, inside), max(above, inside)
    name = "corrected prevalence"
    estimate = Estimate(name, inside, below, above, method, flagged, n, given, confidence)
    return CorrectedPrevalence(estimate, value, low, high)
