"""How a model does on simulated scans of seeds that it never saw: through the view and the scorer of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from estimates.roc import Interval, auc, share
from flows.operating_point import point_by_specificity
from flows.phantom_scans import PhantomScan
from models.dataset import LOW_LOSS, SequenceScan
from models.infer import Scorer
from models.loading import LoadedModel
from models.pooling import max_probability, mean_probability, sigmoid, vote_share
from models.registry import OperatingPoint

TARGET_SPECIFICITY = 0.95
SCANS_PER_CALL = 16
# What must not give the answer away: scores made of these alone should stay near one half (method.md: ≤ 0.65).
GIVEAWAYS = ("trabecular_hu", "noise_hu", "thickness_mm", "mean_intensity")


@dataclass(frozen=True)
class Result:
    """One scored simulated scan: facts that results are broken down by, and a score per rule."""

    seed: int
    family: str
    is_positive: bool
    worst_grade: int
    coverage: str
    thickness_mm: float
    noise_hu: float
    trabecular_hu: float
    largest_loss: float
    mean_intensity: float  # over all pixels of the view
    lstm: float  # probabilities (vote: share of slices)
    max: float
    mean: float
    vote: float


RULES = ("lstm", "max", "mean", "vote")


@dataclass(frozen=True)
class Evaluation:
    """The numbers of a model's card."""

    n_positive: int
    n_negative: int
    auc_by_rule: dict[str, Interval]
    auc_by_grade: dict[str, Interval]  # of the LSTM; scans of one worst grade against all negatives
    auc_by_coverage: dict[str, Interval]
    auc_by_family: dict[str, Interval]
    auc_of_giveaways: dict[str, float]  # the better of a score and its opposite
    threshold: float
    sensitivity: Interval
    specificity: Interval
    imitator_flag_rate: Interval | None  # negatives with a body of 8-19 % loss

    def to_json(self) -> str:
        """Readable JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def score_phantoms(
    loaded: LoadedModel,
    scans: Sequence[PhantomScan],
    on_scan: Callable[[int], None] | None = None,
    features: list[NDArray[np.float32]] | None = None,
) -> list[Result]:
    """Score simulated scans as a sweep does; the features of each scan's images go into `features` too."""
    scorer, results = Scorer(loaded), []
    for start in range(0, len(scans), SCANS_PER_CALL):
        part = scans[start : start + SCANS_PER_CALL]
        for scan, score in zip(part, scorer.score([_sequence(s) for s in part]), strict=True):
            results.append(_result(scan, score.logit, score.slice_logits))
            if features is not None:
                features.append(score.slice_features)
        if on_scan is not None:
            on_scan(len(results))
    return results


def _sequence(scan: PhantomScan) -> SequenceScan:
    if scan.sequence is None:
        raise ValueError("a scan drawn for the extractor cannot be scored")
    return scan.sequence


def _result(scan: PhantomScan, logit: float, slice_logits: NDArray[np.float32]) -> Result:
    return Result(
        seed=scan.seed,
        family=scan.family,
        is_positive=scan.is_positive,
        worst_grade=scan.worst_grade,
        coverage=scan.coverage,
        thickness_mm=scan.thickness_mm,
        noise_hu=scan.noise_hu,
        trabecular_hu=scan.trabecular_hu,
        largest_loss=scan.largest_loss,
        mean_intensity=float(_sequence(scan).images_nhw.mean()),
        lstm=float(sigmoid(np.array([logit]))[0]),
        max=max_probability(slice_logits),
        mean=mean_probability(slice_logits),
        vote=vote_share(slice_logits),
    )


def choose_operating_point(
    results: Sequence[Result], chosen_on: str, target: float = TARGET_SPECIFICITY
) -> OperatingPoint:
    """The lowest threshold whose specificity is at least `target` on these scans, which no training touched."""
    return point_by_specificity([r.lstm for r in results if not r.is_positive], target, chosen_on)


def evaluate(results: Sequence[Result], threshold: float) -> Evaluation:
    """Areas, rates and sanity checks of scored scans at a threshold fixed beforehand."""
    positive = [r for r in results if r.is_positive]
    negative = [r for r in results if not r.is_positive]
    imitators = [r for r in negative if r.largest_loss >= LOW_LOSS]
    return Evaluation(
        n_positive=len(positive),
        n_negative=len(negative),
        auc_by_rule={rule: auc(_of(positive, rule), _of(negative, rule)) for rule in RULES},
        auc_by_grade={
            str(grade): auc(_of(same, "lstm"), _of(negative, "lstm"))
            for grade in (1, 2, 3)
            if (same := [r for r in positive if r.worst_grade == grade])
        },
        auc_by_coverage=_by(results, "coverage"),
        auc_by_family=_by(results, "family"),
        auc_of_giveaways={name: _either_way(positive, negative, name) for name in GIVEAWAYS},
        threshold=threshold,
        sensitivity=share(sum(r.lstm >= threshold for r in positive), len(positive)),
        specificity=share(sum(r.lstm < threshold for r in negative), len(negative)),
        imitator_flag_rate=share(sum(r.lstm >= threshold for r in imitators), len(imitators))
        if imitators
        else None,
    )


def _by(results: Sequence[Result], name: str) -> dict[str, Interval]:
    """The area among the scans of each value of a fact; values without both kinds of scans are left out."""
    found = {}
    for value in sorted({getattr(r, name) for r in results}):
        sides = [
            [r.lstm for r in results if getattr(r, name) == value and r.is_positive is is_positive]
            for is_positive in (True, False)
        ]
        if all(sides):
            found[value] = auc(sides[0], sides[1])
    return found


def _either_way(positive: Iterable[Result], negative: Iterable[Result], name: str) -> float:
    area = auc(_of(positive, name), _of(negative, name)).value
    return max(area, 1 - area)


def _of(results: Iterable[Result], name: str) -> list[float]:
    return [float(getattr(result, name)) for result in results]
