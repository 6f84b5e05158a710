"""`python -m flows.train_bodies OUT`: the networks that read vertebrae one by one (models/bodies.py).

Learn from simulated patients of the families that training may see and, with `--real-series`, from twins of real
scans; from random weights. Drawn scans and checkpoints lie in OUT, so that a training resumes where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from flows.body_scans import draw_body_scans_once, twins_once
from flows.phantom_scans import DrawRequest, requests
from flows.process_pool import cores, process_pool
from flows.real_scans import RealSource, read_sources
from flows.training_folder import claim_folder, digest_of
from flows.training_words import counter, progress_words, to_stderr
from flows.version import code_version
from models.bodies import BodyNets, FoundBody
from models.body_training import (
    BodyScan,
    Teaching,
    calm_reader,
    find_all,
    read_all,
    teach_finder,
    teach_neighbours,
    teach_reader,
)
from models.config import SPINE_VIEW
from models.optimise import Checkpoint
from phantom.protocol import SEEN

Work = Callable[[Any, Sequence[BodyScan]], None]
SCANS_A_PART = 50
FIRST_SEED = 400_000_000  # of patients that no other training, threshold or test draws
TWIN_SEED = 5


def main(arguments: list[str] | None = None) -> int:
    """Draw, teach, write, and say the digest that `models.registry.BODY_READERS` names."""
    parser = argparse.ArgumentParser(prog="python -m flows.train_bodies", description=__doc__)
    parser.add_argument("out", type=Path, help="folder of scans and checkpoints, and of bodies.safetensors")
    parser.add_argument("--patients", type=int, default=7000)
    parser.add_argument(
        "--finder-patients", type=int, default=1500, help="of them, the first: for the finder"
    )
    parser.add_argument(
        "--reader-patients", type=int, default=3500, help="of them, the first: for the reader's first cycle"
    )
    parser.add_argument("--finder-steps", type=int, default=1500)
    parser.add_argument("--reader-steps", type=int, default=5000)
    parser.add_argument("--calm-steps", type=int, default=3000, help="of the reader's second cycle, on all")
    parser.add_argument("--neighbour-steps", type=int, default=2500)
    parser.add_argument("--real-series", type=Path, nargs="*", default=[], help="as `ovf train` takes them")
    parser.add_argument("--real-marks", type=Path, nargs="*", default=[])
    parser.add_argument("--twin-pairs", type=int, default=120, help="of each real volume")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)

    sources = read_sources(given.real_series, given.real_marks) if given.real_series else []
    claim_folder(given.out, digest_of(_told(given, sources), [source.digest for source in sources]))
    teaching = Teaching(given.seed, Checkpoint(given.out / "checkpoints"), progress_words(to_stderr))
    twins = _twins(given, sources)
    wanted = requests(FIRST_SEED, given.patients, SPINE_VIEW, families=SEEN)
    first = _drawn(wanted[: given.finder_patients], given)
    finder = teach_finder([*twins, *first], given.finder_steps, teaching)
    scans = [*twins, *first, *_drawn(wanted[given.finder_patients :], given)]
    _shared_out(find_all, finder, scans, given.workers)
    reader = teach_reader(scans[: len(twins) + given.reader_patients], given.reader_steps, teaching)
    calm_reader(reader, scans, given.calm_steps, teaching)
    _shared_out(read_all, reader, scans, given.workers)
    neighbours = teach_neighbours(scans, given.neighbour_steps, teaching)

    path = given.out / "bodies.safetensors"
    save_file(BodyNets(finder, reader, neighbours).tensors(), path)
    path.with_suffix(".json").write_text(
        json.dumps({**_told(given, sources), "code": code_version()}, indent=2) + "\n"
    )
    print(f"{path}: SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return 0


def _twins(given: argparse.Namespace, sources: Sequence[RealSource]) -> list[BodyScan]:
    scans: list[BodyScan] = []
    for source in sources:
        pairs = source.pairs(given.twin_pairs)
        to_stderr(f"making {pairs} twins and their shams of {source.name}, {len(source.marks)} vertebrae")
        scans += twins_once(source, pairs, TWIN_SEED * given.seed, given.out / "scans")
    return scans


def _told(given: argparse.Namespace, sources: Sequence[RealSource]) -> dict[str, Any]:
    """What a reader was taught on, for the file beside its weights."""
    steps = {name: getattr(given, f"{name}_steps") for name in ("finder", "reader", "calm", "neighbour")}
    return {
        "seed": given.seed,
        "steps": steps,
        "families": list(SEEN),
        "simulated_patients": {
            "first_seed": FIRST_SEED,
            "n": given.patients,
            "finder": given.finder_patients,
            "reader": given.reader_patients,
        },
        "real_scans": [
            {
                "name": source.name,
                "twins_and_shams": 2 * source.pairs(given.twin_pairs),
                "vertebrae": [mark.level for mark in source.marks],
            }
            for source in sources
        ],
    }


def _drawn(wanted: list[DrawRequest], given: argparse.Namespace) -> list[BodyScan]:
    scans: list[BodyScan] = []
    count = counter("drawn", len(wanted), to_stderr)
    for scan in draw_body_scans_once(wanted, given.out / "scans", given.workers):
        scans.append(scan)
        count(len(scans))
    return scans


def _shared_out(work: Work, net: nn.Module, scans: list[BodyScan], workers: int) -> None:
    """Has every scan searched, or its bodies read, in so many processes; notes with each what was found."""
    parts = [scans[first : first + SCANS_A_PART] for first in range(0, len(scans), SCANS_A_PART)]
    count, n_done = counter(work.__name__, len(scans), to_stderr), 0
    with process_pool(workers) as pool:
        for part, found in zip(parts, pool.map(_work_on, repeat(work), repeat(net), parts), strict=True):
            for scan, bodies in zip(part, found, strict=True):
                scan.bodies = bodies
            n_done += len(part)
            count(n_done)


def _work_on(work: Work, net: nn.Module, scans: list[BodyScan]) -> list[list[FoundBody]]:
    torch.set_num_threads(1)
    work(net, scans)
    return [scan.bodies for scan in scans]


if __name__ == "__main__":
    sys.exit(main())
