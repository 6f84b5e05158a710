"""`python -m benchmarks.bodies`: what reading every vertebra by itself adds to a model.

A model's LSTM and a reader of vertebrae (models/bodies.py) on the same studies of protocol 1, which is used up: tells
which reader is worth a use of a newer test set, and how loud it should be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from estimates.roc import auc
from flows.body_scans import marked
from flows.phantom_scans import HALF_WIDTH_MM, PIXEL_MM, sequence_scan
from flows.process_pool import cores, process_pool
from flows.training_words import counter, to_stderr
from models.bodies import BodyNets, body_nets, load_bodies, shares, with_logits, worst_logit
from models.body_nets import FRACTURE, HEIGHT_MM, LEFT
from models.body_training import BodyScan, find_all, read_all
from models.config import ViewRecipe
from models.dataset import FRACTURE_LOSS, SequenceScan
from models.infer import Scorer
from models.loading import load_model
from phantom.protocol import ProtocolStudy, draw_test_scan, test_studies

SPECIFICITIES = (0.96, 0.967)
WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0)
NEAR = (0.15, FRACTURE_LOSS, 0.25)  # losses of bodies that are hard to tell apart


def main(arguments: list[str] | None = None) -> int:
    """Draw, read, score, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description=__doc__)
    parser.add_argument("--model", default="ovf-phantom-2", help="id of a shipped model, or a folder")
    parser.add_argument("--bodies", default="bodies-3", help="name of a reader, or a .safetensors file")
    parser.add_argument("--every", type=int, default=4, help="every so manyth study of protocol 1")
    asked = parser.parse_args(arguments)
    path = Path(asked.bodies)
    nets = body_nets(load_file(path)) if path.is_file() else load_bodies(asked.bodies)
    loaded = load_model(asked.model)
    scorer = Scorer(replace(loaded, config=replace(loaded.config, bodies="")))

    studies = [each for each in test_studies(1) if each.kind in ("positive", "negative")][:: asked.every]
    count = counter("scored", len(studies), to_stderr)
    scans, by_lstm = [], []
    with process_pool(cores()) as pool:
        for scan, sequence in pool.map(_draw, studies, [scorer.config.view] * len(studies), chunksize=4):
            [score] = scorer.score([sequence])
            scans.append(scan)
            by_lstm.append(score.logit)
            count(len(scans))
    find_all(nets.finder, scans)
    read_all(nets.reader, scans)
    print_found(scans, nets)
    by_body = [worst_logit(with_logits(nets.neighbours, scan.bodies)) for scan in scans]
    print_scores(scans, by_lstm, by_body)
    return 0


def _draw(study: ProtocolStudy, view: ViewRecipe) -> tuple[BodyScan, SequenceScan]:
    slab = draw_test_scan(study, pixel_mm=PIXEL_MM, half_width_mm=HALF_WIDTH_MM)
    return marked(slab, study.family), sequence_scan(slab, study.family, view)


def print_found(scans: Sequence[BodyScan], nets: BodyNets) -> None:
    """How many bodies were found, and how well they were read."""
    shown = sum(truth.is_visible for scan in scans for truth in scan.truths.values())
    found = [scan.truth_of(body) for scan in scans for body in scan.bodies]
    none = sum(truth is None for truth in found)
    print(
        f"bodies found: {sum(t is not None and t.is_visible for t in found):,} of {shown:,} shown whole",
        end="",
    )
    print(f", and {none:,} that are none")
    taught = [pair for scan in scans for pair in scan.taught()[0]]
    off = np.array([body.read[LEFT] * HEIGHT_MM - truth.heights_mm for body, truth in taught])
    print(f"heights off by (standard deviation): {off.std(axis=0).round(2)} mm")
    alone = {id(body): float(body.read[FRACTURE]) for scan in scans for body in scan.bodies}
    together = {
        id(body): logit for scan in scans for body, logit in with_logits(nets.neighbours, scan.bodies)
    }
    for name, said in (("by itself", alone), ("with its neighbours", together)):
        low = [said[id(body)] for body, truth in taught if NEAR[0] <= (truth.loss or 0) < NEAR[1]]
        high = [said[id(body)] for body, truth in taught if NEAR[1] <= (truth.loss or 0) < NEAR[2]]
        if low and high:
            print(f"bodies that lost 20-25 % against 15-20 %, {name}: AUC {auc(high, low).value:.3f}")


def print_scores(
    scans: Sequence[BodyScan], by_lstm: Sequence[float], by_body: Sequence[float | None]
) -> None:
    """The LSTM, the bodies and sums of their logits on the same studies."""
    is_positive = np.array([scan.is_positive for scan in scans])
    print(f"{int(is_positive.sum())} + {int((~is_positive).sum())} studies of protocol 1")
    print(f"{sum(logit is None for logit in by_body)} of them without a body that is heard")
    alone = [lstm if body is None else body for lstm, body in zip(by_lstm, by_body, strict=True)]
    said_by = {"LSTM": np.array(by_lstm), "bodies": np.array(alone)}
    for weight in WEIGHTS:
        times, added = np.array([shares(body, weight) for body in by_body]).T
        said_by[f"LSTM + {weight:g} bodies"] = times * np.array(by_lstm) + added
    for name, said in said_by.items():
        found = auc(said[is_positive].tolist(), said[~is_positive].tolist())
        caught = [
            (said[is_positive] > np.quantile(said[~is_positive], specificity)).mean()
            for specificity in SPECIFICITIES
        ]
        print(
            f"{name:17} AUC {found.value:.4f} ({found.low:.3f}-{found.high:.3f}), sensitivity at a specificity of "
            + ", ".join(f"{at}: {rate:.3f}" for at, rate in zip(SPECIFICITIES, caught, strict=True))
        )


if __name__ == "__main__":
    sys.exit(main())
