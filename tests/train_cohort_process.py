"""A tiny training from a warehouse as a process of its own, so that a test can kill it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from flows.train_cohort import TrainOrder, train_on_cohort
from models.config import SPINE_VIEW
from models.recipes import QUICK, Stage
from warehouse.store import Store

VIEW = replace(SPINE_VIEW, name="tiny", pixel_mm=8.0, tile_rows=32, tile_cols=32, max_bytes=5 * 32 * 32)
RECIPE = replace(
    QUICK,
    name="tiny",
    pretrain=replace(QUICK.pretrain, epochs=0.0),
    features=Stage("features", epochs=1.0, batch=24, learning_rate=1e-3, schedule="plateau"),
    lstm=Stage("lstm", epochs=6, batch=16, learning_rate=3e-3),
    final=Stage("final", epochs=1, batch=16, learning_rate=1e-6, schedule="constant"),
    features_frozen=(),
    has_image_truth=False,
)


def tiny_order(slabs: Path, labels: Path | None, **changes: object) -> TrainOrder:
    """Random weights, a coarse view, one process."""
    order = TrainOrder(slabs, labels, recipe=RECIPE, start="random", view=VIEW, workers=1, seed=3)
    return replace(order, **changes)  # type: ignore[arg-type]


if __name__ == "__main__":
    torch.set_num_threads(1)
    warehouse, out, slabs_folder, label_file = map(Path, sys.argv[1:])
    # a checkpoint after every step: there is something to be killed after
    order = tiny_order(slabs_folder, label_file, checkpoint_every_s=0.0)
    train_on_cohort(Store.open(warehouse, create=False), out, order, lambda _: None)
