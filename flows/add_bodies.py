"""`python -m flows.add_bodies MODEL OUT`: a model trained on simulated scans that reads vertebrae one by one too.

The weights stay as they are; the config, and with it the digest, names the reader and how much of its logit is added.
Operating point, domain limit and test are made anew, on scans that no training touched; called again with another
target it scores nothing again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flows.model_card import rejudged_card
from flows.model_files import (
    OPERATING_SCANS_FILE,
    PROTOCOL_FILE,
    PROTOCOL_SCANS_FILE,
    PROTOCOL_USES_FILE,
    REAL_MARKS_FILE,
    TRAINING_FILE,
)
from flows.phantom_judgement import judge, judge_again, keep_judgement
from flows.phantom_scans import PhantomScan, requests
from flows.process_pool import cores
from flows.scan_cache import draw_scans_once
from flows.train import OPERATING_POINT_SEEDS, SEED_SPAN
from flows.training_words import counter, to_stderr
from models.bodies import PIXEL_MM
from models.config import ModelConfig
from models.domain import read_domain
from models.loading import load_model, save_model
from models.registry import ModelError, describe_model, read_model_card, read_operating_point
from phantom.protocol import SEEN


def main(arguments: list[str] | None = None) -> int:
    """Join, judge, write."""
    parser = argparse.ArgumentParser(prog="python -m flows.add_bodies", description=__doc__)
    parser.add_argument("model", help="id of a shipped model, or a folder")
    parser.add_argument("out", type=Path)
    parser.add_argument("--bodies", default="bodies-3", help="name of a reader in models/readers")
    parser.add_argument("--weight", type=float, default=1.5, help="of the reader's logit, beside the LSTM's")
    parser.add_argument("--target-specificity", type=float, default=0.97)
    parser.add_argument("--scans", type=int, default=1500, help="for operating point and domain limit")
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--workers", type=int, default=cores())
    given = parser.parse_args(arguments)

    start = load_model(given.model)
    config = joined(start.config, given.bodies, given.weight)
    card, domain = read_model_card(given.model), read_domain(given.model)
    is_known = (given.out / OPERATING_SCANS_FILE).is_file()
    before = describe_model(given.out).digest if is_known else None
    case_share = read_operating_point(given.model).case_share
    save_model(given.out, start.net, start.lstm, config, card)
    carry_over(start.directory, given.out)

    loaded = load_model(given.out)
    if loaded.digest == before:
        to_stderr("scored before: only the operating point is chosen anew")
        judged = judge_again(given.out, given.target_specificity)
        for name in (PROTOCOL_FILE, PROTOCOL_SCANS_FILE):  # of another operating point
            (given.out / name).unlink(missing_ok=True)
    else:
        judged = judge(
            loaded,
            held_out=lambda: _drawn(given, config, 0, given.scans),
            test=lambda: _drawn(given, config, given.scans, given.test),
            target_specificity=given.target_specificity,
            domain=None if domain is None else replace(domain, model_digest=loaded.digest),
            say=to_stderr,
        )
    point = replace(judged.point, case_share=case_share)
    card = rejudged_card(card, config, point, judged.evaluation)
    save_model(given.out, start.net, start.lstm, config, card)
    keep_judgement(given.out, replace(judged, point=point))
    print(f"{given.out}: {loaded.digest}, threshold {point.threshold:.4f} ({point.rule})")
    return 0


def carry_over(source: Path, out: Path) -> None:
    """Copy what stays true of the same weights: what they saw, and each use of a frozen test set."""
    for name in (TRAINING_FILE, REAL_MARKS_FILE, PROTOCOL_USES_FILE):
        if (source / name).is_file() and not (out / name).exists():  # uses of its own are never lost
            shutil.copyfile(source / name, out / name)


def joined(config: ModelConfig, bodies: str, weight: float) -> ModelConfig:
    """The config of a model that reads vertebrae one by one. ModelError where its images do not suit the reader."""
    if config.view.kind != "tiles" or config.view.pixel_mm != PIXEL_MM:
        raise ModelError(f"vertebrae are read in tiles of {PIXEL_MM} mm: view {config.view.name} has none")
    return config.with_bodies(bodies, weight)


def _drawn(given: argparse.Namespace, config: ModelConfig, first: int, n: int) -> Sequence[PhantomScan]:
    first_seed = given.seed * SEED_SPAN + OPERATING_POINT_SEEDS + first
    wanted = requests(first_seed, n, config.view, families=SEEN)
    return list(draw_scans_once(wanted, given.out / "scans", given.workers, counter("drawn", n, to_stderr)))


if __name__ == "__main__":
    sys.exit(main())
