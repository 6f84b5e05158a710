"""`python -m flows.add_bodies MODEL OUT`: a model trained on simulated scans that reads vertebrae one by one too.

The weights stay as they are; the config, and with it the digest, names the reader and how much of its logit is added.
Operating point, domain limit and test are made anew, on scans that no training touched.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.model_card import rejudged_card, results_csv
from flows.model_files import EVALUATION_FILE, EVALUATION_SCANS_FILE, REAL_MARKS_FILE, TRAINING_FILE
from flows.phantom_evaluation import choose_operating_point, evaluate, score_phantoms
from flows.phantom_scans import PhantomScan, requests
from flows.process_pool import cores
from flows.scan_cache import draw_scans_once
from flows.train import OPERATING_POINT_SEEDS, SEED_SPAN
from flows.training_words import counter, to_stderr
from models.bodies import PIXEL_MM
from models.config import ModelConfig
from models.domain import read_domain, write_domain
from models.loading import load_model, save_model
from models.registry import ModelError, read_model_card, read_operating_point, write_operating_point
from phantom.protocol import SEEN


def main(arguments: list[str] | None = None) -> int:
    """Join, judge, write."""
    parser = argparse.ArgumentParser(prog="python -m flows.add_bodies", description=__doc__)
    parser.add_argument("model", help="id of a shipped model, or a folder")
    parser.add_argument("out", type=Path)
    parser.add_argument("--bodies", default="bodies-1", help="name of a reader in models/readers")
    parser.add_argument("--weight", type=float, default=1.0, help="of the reader's logit, beside the LSTM's")
    parser.add_argument("--target-specificity", type=float, default=0.97)
    parser.add_argument("--scans", type=int, default=1500, help="for operating point and domain limit")
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--workers", type=int, default=cores())
    given = parser.parse_args(arguments)

    start = load_model(given.model)
    config = joined(start.config, given.bodies, given.weight)
    card, domain = read_model_card(given.model), read_domain(given.model)
    case_share = read_operating_point(given.model).case_share
    save_model(given.out, start.net, start.lstm, config, card)
    for name in (TRAINING_FILE, REAL_MARKS_FILE):
        if (start.directory / name).is_file():
            shutil.copyfile(start.directory / name, given.out / name)

    loaded = load_model(given.out)
    features: list[NDArray[np.float32]] = []
    held_out = score_phantoms(
        loaded, _drawn(given, config, 0, given.scans), counter("scored", given.scans, to_stderr), features
    )
    chosen_on = f"{len(held_out)} simulated scans that no training touched"
    point = choose_operating_point(held_out, chosen_on, given.target_specificity)
    point = replace(point, case_share=case_share)
    write_operating_point(given.out, point)
    if domain is not None:
        own = replace(domain, model_digest=loaded.digest)
        distances = np.array([own.distance(of_scan) for of_scan in features])
        write_domain(given.out, own.with_limit(distances, chosen_on))
    results = score_phantoms(
        loaded, _drawn(given, config, given.scans, given.test), counter("tested", given.test, to_stderr)
    )
    evaluation = evaluate(results, point.threshold)
    save_model(given.out, start.net, start.lstm, config, rejudged_card(card, config, point, evaluation))
    (given.out / EVALUATION_FILE).write_text(evaluation.to_json())
    (given.out / EVALUATION_SCANS_FILE).write_text(results_csv(results))
    print(f"{given.out}: {loaded.digest}, threshold {point.threshold:.4f} ({point.rule})")
    return 0


def joined(config: ModelConfig, bodies: str, weight: float) -> ModelConfig:
    """The config of a model that reads vertebrae one by one. ModelError where its images do not suit the reader."""
    if config.view.kind != "tiles" or config.view.pixel_mm != PIXEL_MM:
        raise ModelError(f"vertebrae are read in tiles of {PIXEL_MM} mm: view {config.view.name} has none")
    architecture = config.architecture.removesuffix("+bodies") + "+bodies"
    return replace(config, bodies=bodies, body_weight=weight, architecture=architecture)


def _drawn(given: argparse.Namespace, config: ModelConfig, first: int, n: int) -> Sequence[PhantomScan]:
    first_seed = given.seed * SEED_SPAN + OPERATING_POINT_SEEDS + first
    wanted = requests(first_seed, n, config.view, families=SEEN)
    return list(draw_scans_once(wanted, given.out / "scans", given.workers, counter("drawn", n, to_stderr)))


if __name__ == "__main__":
    sys.exit(main())
