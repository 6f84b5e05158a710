"""`python -m benchmarks.explain`: do the peak of the occlusion map and the frame lie on the fractured vertebra?

Simulated scans with one fracture, of seeds that nothing else uses, through view and scorer of a sweep. Counted among
the true positives (flagged at the model's own threshold), beside what a random peak would hit.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from estimates.roc import share
from flows.explain_vertebrae import heard_one, told_vertebrae
from flows.phantom_scans import DrawRequest, clear_case, view_of
from models.infer import ScanScore, Scorer
from models.loading import load_model
from models.occlusion import Explanation, Peak, explain_scan
from models.registry import read_operating_point
from phantom.protocol import SEEN
from phantom.slabs import PhantomSlab
from phantom.truth import VertebraTruth
from tasks.view import View

FIRST_SEED = 700_000_000  # no training, threshold or test draws from here on
TARGET_SHARE = 0.70
# The peak is the middle of a cell of 5 mm: a body counts as hit within half a cell of its pixels.
HALF_CELL_MM = 2.5


@dataclass(frozen=True)
class Case:
    """One true positive with one fracture."""

    seed: int
    family: str
    coverage: str
    level: str
    grade: int
    shape: str
    loss: float
    probability: float
    is_at_height: bool  # the peak's row lies between the upper and the lower edge of the fractured body
    is_in_body: bool  # and its pixel in that body, give or take half a cell
    is_framed: bool | None  # that body's height holds the middle of the vertebra that is heard; None: none is
    random_height: float  # chance of a row of the slab drawn at random
    random_body: float  # chance of a vertebra drawn at random among those shown whole
    n_passes: int
    duration_s: float


def main(arguments: list[str] | None = None) -> int:
    """Print the rates; exit 1 when the rate of hits is under the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explain", description=__doc__)
    parser.add_argument("--model", default="ovf-phantom-2", help="id of a shipped model, or a folder")
    parser.add_argument("--scans", type=int, default=100, help="true positives with one fracture to look at")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, help="one line a case, as CSV")
    given = parser.parse_args(arguments)
    cases = []
    for case in true_positives(given.model, given.scans, given.first_seed):
        cases.append(case)
        if len(cases) % 10 == 0:
            print(f"{len(cases)} of {given.scans} true positives", file=sys.stderr, flush=True)
    if given.out:
        write_cases(given.out, cases)
    print(summary(given.model, cases))
    return int(sum(case.is_at_height for case in cases) < TARGET_SHARE * len(cases))


def true_positives(model: str, n: int, first_seed: int) -> Iterator[Case]:
    """The first `n` simulated scans with exactly one fracture that the model flags, explained."""
    loaded = load_model(model)
    scorer, point, found = Scorer(loaded), read_operating_point(model), 0
    for number in range(1000 * n):
        request = DrawRequest(first_seed + number, True, loaded.config.view, False, SEEN[number % len(SEEN)])
        slab = clear_case(request)
        fractured = [body for body in slab.vertebrae if body.grade > 0]
        if len(fractured) != 1:
            continue
        view = view_of(slab, loaded.config.view)
        score = scorer.score([view])[0]
        probability = point.probability(score.logit)
        if probability < point.threshold:
            continue
        started = time.perf_counter()
        explained = explain_scan(scorer, view, score.slice_logits)
        duration_s = time.perf_counter() - started
        facts = Facts(request.seed, request.family, probability, duration_s, heard_row_mm(score, view))
        yield case_of(slab, fractured[0], explained, facts)
        found += 1
        if found == n:
            return


@dataclass(frozen=True)
class Facts:
    """What else is told of a case."""

    seed: int
    family: str
    probability: float
    duration_s: float
    heard_row_mm: float | None = None  # middle of the vertebra that the model hears


def heard_row_mm(score: ScanScore, view: View) -> float | None:
    """Where the middle of the vertebra lies that the model hears, from the slab's upper edge; None: it hears none."""
    heard = heard_one(told_vertebrae(score, view))
    return None if heard is None else float(np.mean(heard["rows_mm"]))


def case_of(slab: PhantomSlab, body: VertebraTruth, explained: Explanation, facts: Facts) -> Case:
    """How the peak of a scan lies to its one fractured body."""
    upper_mm, lower_mm = body.row_start * slab.pixel_mm, body.row_stop * slab.pixel_mm
    return Case(
        seed=facts.seed,
        family=facts.family,
        coverage=slab.coverage,
        level=body.level,
        grade=body.grade,
        shape=body.shape,
        loss=round(body.loss, 3),
        probability=round(facts.probability, 4),
        is_at_height=upper_mm <= explained.peak.row_mm < lower_mm,
        is_in_body=_is_in_body(slab, body.label, explained.peak),
        is_framed=None if facts.heard_row_mm is None else upper_mm <= facts.heard_row_mm < lower_mm,
        random_height=(lower_mm - upper_mm) / (slab.slab_xzy_hu.shape[1] * slab.pixel_mm),
        random_body=1 / sum(each.is_visible for each in slab.vertebrae),
        n_passes=explained.n_passes,
        duration_s=round(facts.duration_s, 3),
    )


def _is_in_body(slab: PhantomSlab, label: int, peak: Peak) -> bool:
    """Whether the labelled pixels of a body, in any slice, come within half a cell of the peak."""
    mask = (slab.vertebra_label_xzy == label).any(axis=0)
    reach = math.ceil(HALF_CELL_MM / slab.pixel_mm)
    row, col = (int(mm / slab.pixel_mm) for mm in (peak.row_mm, peak.col_mm))
    near = mask[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]
    return bool(near.any())


def summary(model: str, cases: list[Case]) -> str:
    """The rates with their intervals, as text."""
    n = len(cases)
    lines = [
        f"{model}: occlusion peaks of {n} true positives, simulated scans with one fracture "
        "(95 % limits: Clopper-Pearson)"
    ]
    for name, hits, by_chance in (
        ("at the height of that vertebra", [c.is_at_height for c in cases], [c.random_height for c in cases]),
        ("in the body of that vertebra", [c.is_in_body for c in cases], [c.random_body for c in cases]),
    ):
        lines.append(f"  {name}: {_rate(hits)}; a random peak: {np.mean(by_chance):.1%}")
    if framed := [case.is_framed for case in cases if case.is_framed is not None]:
        lines.append(
            f"  the vertebra that is heard is that vertebra: {_rate(framed)}; of {n - len(framed)} none is heard"
        )
    for grade in (1, 2, 3):
        of_grade = [case.is_at_height for case in cases if case.grade == grade]
        lines.append(f"  grade {grade}: {sum(of_grade)} of {len(of_grade)} at that height")
    durations = sorted(case.duration_s for case in cases)
    lines.append(
        f"  {np.median(durations):.2f} s a study (middle), {durations[-1]:.2f} s at most, "
        f"{np.mean([case.n_passes for case in cases]):.0f} passes of one image"
    )
    return "\n".join(lines)


def _rate(hits: list[bool]) -> str:
    rate = share(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} = {rate.value:.1%} ({rate.low:.1%}-{rate.high:.1%})"


def write_cases(path: Path, cases: list[Case]) -> None:
    """One line a case."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Case.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(case) for case in cases)


if __name__ == "__main__":
    sys.exit(main())
