"""What a model that was trained on simulated scans gets at its end: operating point, domain limit, and a test, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.model_files import EVALUATION_FILE, EVALUATION_SCANS_FILE, OPERATING_SCANS_FILE
from flows.phantom_evaluation import Evaluation, Result, choose_operating_point, evaluate, score_phantoms
from flows.phantom_scans import PhantomScan
from flows.result_rows import read_rows, write_rows
from flows.training_words import Say, counter
from models.domain import DOMAIN_FILE, DomainReference, read_domain, write_domain
from models.loading import LoadedModel
from models.registry import OperatingPoint, write_operating_point

Draw = Callable[[], Sequence[PhantomScan]]


@dataclass(frozen=True)
class Judgement:
    """What is kept beside the weights."""

    point: OperatingPoint
    domain: DomainReference | None
    evaluation: Evaluation
    results: list[Result]  # of the test
    held_out: list[Result]  # what the operating point was chosen on


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
    chosen = score_phantoms(loaded, scans, counter("scored", len(scans), say), features)
    if domain is not None:
        domain = domain.with_limit(np.array([domain.distance(own) for own in features]), _chosen_on(chosen))
    scans = test()
    results = score_phantoms(loaded, scans, counter("tested", len(scans), say))
    return _judged(chosen, results, domain, target_specificity)


def judge_again(out: Path, target_specificity: float) -> Judgement:
    """Another operating point from the scores that `keep_judgement` left; nothing is scored."""
    chosen, results = (
        read_rows(out / name, Result) for name in (OPERATING_SCANS_FILE, EVALUATION_SCANS_FILE)
    )
    domain = read_domain(out) if (out / DOMAIN_FILE).is_file() else None
    return _judged(chosen, results, domain, target_specificity)


def _judged(
    chosen: list[Result], results: list[Result], domain: DomainReference | None, target_specificity: float
) -> Judgement:
    point = choose_operating_point(chosen, _chosen_on(chosen), target_specificity)
    return Judgement(point, domain, evaluate(results, point.threshold), results, chosen)


def _chosen_on(chosen: Sequence[Result]) -> str:
    return f"{len(chosen)} simulated scans that no training touched"


def keep_judgement(out: Path, judged: Judgement) -> None:
    """Write it beside the weights; the card is the caller's."""
    write_operating_point(out, judged.point)
    if judged.domain is not None:
        write_domain(out, judged.domain)
    (out / EVALUATION_FILE).write_text(judged.evaluation.to_json())
    write_rows(out / EVALUATION_SCANS_FILE, Result, judged.results)
    write_rows(out / OPERATING_SCANS_FILE, Result, judged.held_out)
