"""The numbers of one evaluation as its page and its tables show them: frozen, with all that must stand beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from estimates.curves import Curve, DecisionCurve, ReliabilityBin
from estimates.reader_study import DomainRow, ReaderStudy, ReadScan
from estimates.result import SIMULATED_CAVEAT


@dataclass(frozen=True, slots=True)
class EvaluationBasis:
    """What all numbers of one evaluation rest on."""

    model_id: str
    model_digest: str
    is_simulated_only: bool
    threshold: float
    threshold_rule: str
    label_source: str
    scores_from: str  # in words
    split_words: str  # what is known about who the model was trained on
    split_digest: str | None
    code_version: str
    is_shown_small: bool
    is_enriched: bool  # the scans were chosen by what AI or reports said
    left_out: Mapping[str, int] = field(default_factory=dict)  # studies that no number counts, by reason
    reports_words: str = ""  # why the reports are no reader, or may be none of their own
    bodies: str = ""  # the reader of vertebrae that is heard beside the LSTM; empty: none, or not known
    apparent_words: str = ""  # that the threshold was chosen on the very scans that are counted

    @property
    def caveat(self) -> str:
        simulated = SIMULATED_CAVEAT if self.is_simulated_only else ""
        return "; ".join(words for words in (simulated, self.apparent_words) if words)


@dataclass(frozen=True, slots=True)
class EvaluationCurves:
    """What the pictures show, of the LSTM's probability; None where a class is missing."""

    roc: Curve | None
    precision_recall: Curve | None
    average_precision: float | None
    reliability: tuple[ReliabilityBin, ...]
    brier: float
    decision: DecisionCurve
    prevalence: float  # share of cases among the scored


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything the page and the tables show."""

    basis: EvaluationBasis
    study: ReaderStudy
    curves: EvaluationCurves
    errors: tuple[ReadScan, ...]  # missed ones first, the likeliest wrong first
    domain: tuple[DomainRow, ...] = ()  # empty: the model has no domain reference
    domain_limit: float | None = None
