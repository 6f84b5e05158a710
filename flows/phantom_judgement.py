"""What a model that was trained on simulated scans gets at its end: operating point, domain limit, and a test, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.model_card import results_csv
from flows.model_files import EVALUATION_FILE, EVALUATION_SCANS_FILE
from flows.phantom_evaluation import Evaluation, Result, choose_operating_point, evaluate, score_phantoms
from flows.phantom_scans import PhantomScan
from flows.training_words import Say, counter
from models.domain import DomainReference, write_domain
from models.loading import LoadedModel
from models.registry import OperatingPoint, write_operating_point

Draw = Callable[[], Sequence[PhantomScan]]


@dataclass(frozen=True)
class Judgement:
    """What is kept beside the weights."""

    point: OperatingPoint
    domain: DomainReference | None
    evaluation: Evaluation
    results: list[Result]


def judge(
    loaded: LoadedModel,
    *,
    held_out: Draw,
    test: Draw,
    target_specificity: float,
    domain: DomainReference | None,
    say: Say,
) -> Judgement:
    """Threshold and the limit of `domain` from scans of their own, then the test. Neither was trained on."""
    features: list[NDArray[np.float32]] = []
    scans = held_out()
    results = score_phantoms(loaded, scans, counter("scored", len(scans), say), features)
    chosen_on = f"{len(scans)} simulated scans that no training touched"
    point = choose_operating_point(results, chosen_on, target_specificity)
    if domain is not None:
        domain = domain.with_limit(np.array([domain.distance(own) for own in features]), chosen_on)
    scans = test()
    results = score_phantoms(loaded, scans, counter("tested", len(scans), say))
    return Judgement(point, domain, evaluate(results, point.threshold), results)


def keep_judgement(out: Path, judged: Judgement) -> None:
    """Write it beside the weights; the card is the caller's."""
    write_operating_point(out, judged.point)
    if judged.domain is not None:
        write_domain(out, judged.domain)
    (out / EVALUATION_FILE).write_text(judged.evaluation.to_json())
    (out / EVALUATION_SCANS_FILE).write_text(results_csv(judged.results))
