"""`python -m benchmarks.bodies`: what measuring every vertebra by itself would add to a model.

Three small networks (`body_nets`) are taught from random weights on simulated patients: one finds the bodies, one reads
each of them cut out upright, one reads a body with its neighbours. They are judged beside a model's LSTM on studies of
protocol 1, which is used up and chooses nothing any more. Nothing is kept: this is an experiment (docs/model.md).
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.body_nets import (
    BODY,
    CELL_PX,
    FRACTURE,
    HEIGHT_MM,
    HEIGHTS,
    INTACT,
    LEFT,
    NEIGHBOURS,
    OFFSETS,
    PATCH_COLS,
    PATCH_ROWS,
    SPREADS,
    BodyFinder,
    BodyReader,
    NeighbourReader,
)
from benchmarks.body_scans import (
    MARGIN,
    BodyScan,
    FoundBody,
    draw_protocol_scan,
    draw_training_scan,
    drawn,
    find_bodies,
    heights_by_label,
    normalised,
)
from estimates.roc import auc
from flows.phantom_scans import requests
from flows.process_pool import cores
from flows.training_words import counter, progress_words
from models.augment import augment, sampling_grid
from models.config import SPINE_VIEW
from models.dataset import FRACTURE_LOSS, LOW_LOSS, N_LABELS
from models.dense_truth import soft_step
from models.infer import Scorer
from models.loading import load_model
from models.optimise import StageRun
from models.recipes import WILD_AUGMENTATION, Stage
from models.registry import find_model
from phantom.protocol import SEEN, test_studies

FIRST_SEED = 400_000_000  # no training, threshold, test or other benchmark draws here
CROP = (160, 64)  # of the finder's training, in pixels; and so much around it
CROP_MARGIN = 24
FINDER_BATCH, READER_BATCH, SCANS_A_STEP = 32, 64, 32
RATE = 2e-3  # of AdamW, the highest
SOFT = 0.02  # width of the step from sound to fractured, as `deepen` has it
LOW_WEIGHT, LOW_WEIGHT_AMONG_NEIGHBOURS = 5.0, 3.0
# Looks as `deepen` has them, a bit calmer; sizes stay as they are, since heights are told in mm.
LOOKS = replace(WILD_AUGMENTATION.scaled(0.35), scale=0.0, stretch=0.0)
TARGET_SPECIFICITY = 0.96
LEAST_SURE = 0.6  # of the finder, for a body to speak for its scan


def main(arguments: list[str] | None = None) -> int:
    """Teach, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description=__doc__)
    parser.add_argument("--model", default="ovf-phantom-2", help="id of a shipped model, or a folder")
    parser.add_argument("--patients", type=int, default=1750)
    parser.add_argument("--finder-steps", type=int, default=1500)
    parser.add_argument("--reader-steps", type=int, default=6600)
    parser.add_argument("--neighbour-steps", type=int, default=1500)
    parser.add_argument("--every", type=int, default=4, help="every so manyth study of protocol 1")
    asked = parser.parse_args(arguments)

    wanted = requests(FIRST_SEED, asked.patients, SPINE_VIEW, families=SEEN)
    training = _listed(drawn(draw_training_scan, wanted, cores()), len(wanted))
    finder = taught_finder(training, asked.finder_steps)
    _searched(finder, training)
    reader = taught_reader(training, asked.reader_steps)
    read_bodies(reader, training)
    neighbours = taught_neighbours(training, asked.neighbour_steps)

    studies = [each for each in test_studies(1) if each.kind in ("positive", "negative")][:: asked.every]
    test = _listed(drawn(draw_protocol_scan, studies, cores()), len(studies))
    _searched(finder, test)
    read_bodies(reader, test)
    print_found(test)
    print_scores(test, neighbours, lstm_logits(asked.model, test))
    return 0


def _listed(scans: Iterable[BodyScan], n: int) -> list[BodyScan]:
    done: list[BodyScan] = []
    count = counter("drawn", n, _say)
    for scan in scans:
        done.append(scan)
        count(len(done))
    return done


def _searched(finder: BodyFinder, scans: Sequence[BodyScan]) -> None:
    """Notes with every scan the bodies that are found in it."""
    count = counter("searched", len(scans), _say)
    for number, scan in enumerate(scans, 1):
        scan.bodies = find_bodies(finder, scan)
        count(number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _taught(net: nn.Module, name: str, steps: int, loss_of: Callable[[np.random.Generator], Tensor]) -> None:
    """One cycle over so many steps; each draws its randomness from its own number."""
    stage = Stage(name, epochs=steps, batch=1, learning_rate=RATE, optimiser="adamw", weight_decay=1e-2)
    run = StageRun(stage, net, [(list(net.parameters()), 1.0)], n_items=1, on_progress=progress_words(_say))
    net.train()
    run.run(lambda step: loss_of(np.random.default_rng([len(name), step])))
    net.eval()


# ---- the finder


def taught_finder(scans: Sequence[BodyScan], steps: int) -> BodyFinder:
    """Learns where bodies are, and how high."""
    torch.manual_seed(1)
    finder = BodyFinder()
    _taught(finder, "finder", steps, functools.partial(_finder_loss, finder, scans))
    return finder


def _finder_loss(finder: BodyFinder, scans: Sequence[BodyScan], rng: np.random.Generator) -> Tensor:
    chosen = [scans[int(number)] for number in rng.choice(len(scans), FINDER_BATCH)]
    crops = [_crop(scan, rng) for scan in chosen]
    images, labels, shares = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
    seed = int(rng.integers(2**62))
    grid = sampling_grid(shares.shape, CROP, LOOKS, torch.Generator().manual_seed(seed))
    share = F.grid_sample(shares.float()[:, None] / 4, grid, mode="bilinear", align_corners=False)
    pixels, moved = augment(images, labels, CROP, LOOKS, torch.Generator().manual_seed(seed))
    said, mask = finder(normalised(pixels))
    facts = torch.from_numpy(np.stack([heights_by_label(scan) for scan in chosen]))
    body = (moved > 0).float()
    heights, weight = _truth_by_cell(moved, facts)
    off = (said[:, HEIGHTS] - heights).abs()
    spread = said[:, SPREADS].clamp(-5, 2)
    n = weight.sum().clamp(min=1)
    told = ((off * torch.exp(-spread) + spread) * weight).sum() / n / 3
    way = F.smooth_l1_loss(said[:, OFFSETS], _ways(moved), reduction="none")
    return torch.as_tensor(
        3 * F.binary_cross_entropy_with_logits(mask, F.avg_pool2d(share, 2))
        + 0.5 * F.binary_cross_entropy_with_logits(said[:, BODY], body)
        + 0.15 * told
        + (off * weight).sum() / n / 3
        + 0.3 * (way * weight).sum() / n / 2
    )


def _crop(
    scan: BodyScan, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Image, labels (of every second pixel) and shares around the spine, or now and then beside it."""
    number = int(rng.integers(len(scan.images)))
    rows, cols = (size + 2 * CROP_MARGIN for size in CROP)
    image, labels, share = scan.images[number], scan.labels[number], scan.share[number]
    top = int(rng.integers(0, (image.shape[0] - rows) // CELL_PX + 1)) * CELL_PX
    with_body = np.flatnonzero(labels.any(axis=0))
    is_on_spine = len(with_body) > 0 and rng.random() < 0.8
    middle = (
        int(np.median(with_body)) * CELL_PX if is_on_spine else int(rng.integers(32, image.shape[1] - 32))
    )
    left = (middle - cols // 2 + int(rng.integers(-10, 11))) // CELL_PX * CELL_PX
    left = min(max(left, -CROP_MARGIN), image.shape[1] - cols + CROP_MARGIN) + CROP_MARGIN
    sides = ((0, 0), (CROP_MARGIN, CROP_MARGIN))
    fine = np.pad(labels.repeat(CELL_PX, 0).repeat(CELL_PX, 1), sides)[top : top + rows, left : left + cols]
    wide = [np.pad(layer, sides)[top : top + rows, left : left + cols] for layer in (image, share)]
    return wide[0], fine[::2, ::2], wide[1]


def _truth_by_cell(labels: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
    """Heights (N, 3, h, w) of each cell's body, and 1 (N, 1, h, w) where it is whole in the crop and in the scan."""
    is_cut = torch.zeros(facts.shape[:2], dtype=torch.bool)
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_cut.scatter_(1, edge, True)
    is_known = (facts[:, :, 3] > 0) & ~is_cut
    flat = labels.flatten(1)
    heights = facts[:, :, :3].gather(1, flat[:, :, None].expand(-1, -1, 3)).transpose(1, 2)
    weight = is_known.gather(1, flat).reshape(labels.shape) & (labels > 0)
    return heights.reshape(len(labels), 3, *labels.shape[1:]), weight.float()[:, None]


def _ways(labels: Tensor) -> Tensor:
    """(N, 2, h, w): rows and columns from each cell to the middle of its body."""
    one_hot = F.one_hot(labels, N_LABELS).float()
    n_cells = one_hot.sum((1, 2)).clamp(min=1)
    ways = []
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = labels.shape[axis]
        place = torch.arange(labels.shape[axis]).float().reshape(shape)
        middle = (one_hot * place).sum((1, 2)) / n_cells
        ways.append(middle.gather(1, labels.flatten(1)).reshape(labels.shape) - place[..., 0])
    return torch.stack(ways, dim=1)


# ---- the reader


def taught_reader(scans: Sequence[BodyScan], steps: int) -> BodyReader:
    """Learns the heights of a body that was cut out, and whether it is fractured."""
    torch.manual_seed(2)
    reader = BodyReader()
    bodies = [body for scan in scans for body in scan.bodies if body.is_whole and _is_known(body)]
    losses = np.array([body.truth.loss for body in bodies if body.truth])
    chances = np.where(losses >= LOW_LOSS, LOW_WEIGHT, 1.0)
    _say(f"{len(bodies):,} bodies, {int((losses >= FRACTURE_LOSS).sum()):,} of them fractured")
    loss = functools.partial(_reader_loss, reader, bodies, chances / chances.sum())
    _taught(reader, "reader", steps, loss)
    return reader


def _is_known(body: FoundBody) -> bool:
    return body.truth is not None and body.truth.is_visible


def _reader_loss(
    reader: BodyReader, bodies: Sequence[FoundBody], chances: NDArray[np.float64], rng: np.random.Generator
) -> Tensor:
    chosen = [bodies[int(number)] for number in rng.choice(len(bodies), READER_BATCH, p=chances)]
    truths = [body.truth for body in chosen if body.truth is not None]
    left = torch.tensor([truth.heights_mm for truth in truths]) / HEIGHT_MM
    intact = torch.tensor([truth.intact_mm for truth in truths]) / HEIGHT_MM
    patches = torch.from_numpy(np.stack([body.patch for body in chosen]))
    pixels, scale = _changed(patches, torch.Generator().manual_seed(int(rng.integers(2**62))))
    said = reader(pixels)
    lost = 1 - said[:, LEFT] / said[:, INTACT].clamp(min=0.3)
    is_fractured = soft_step(torch.tensor([truth.loss for truth in truths]), SOFT)
    return torch.as_tensor(
        2 * (said[:, LEFT] - left / scale).abs().mean()
        + (said[:, INTACT] - intact / scale).abs().mean()
        + 3 * F.smooth_l1_loss(lost, 1 - left / intact, beta=0.02)
        + 0.3 * F.binary_cross_entropy_with_logits(said[:, FRACTURE], is_fractured)
    )


def _changed(patches: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Patches turned by 5°, moved by 3 pixels, 4 % larger or smaller, in other greys; and by how much they shrank."""

    def uniform(most: float) -> Tensor:
        return ((torch.rand(len(patches), generator=generator) * 2 - 1) * most)[:, None]

    turn, scale = uniform(0.08), 1 + uniform(0.04)
    cut = _cut_out(patches, turn, scale, uniform(3.0), uniform(3.0))
    greys = cut[:, :3].clamp(1e-3, 1) ** torch.exp(uniform(0.25))[..., None, None]
    greys = greys * (1 + uniform(0.25))[..., None, None] + uniform(0.08)[..., None, None]
    dull = F.avg_pool2d(F.pad(greys, (1, 1, 1, 1), mode="replicate"), 3, 1)
    greys = torch.where((uniform(1.0) < -0.4)[..., None, None], dull, greys)
    noise = torch.randn(greys.shape, generator=generator) * (uniform(1.0) ** 2 * 0.06)[..., None, None]
    return _normalised(torch.cat([greys + noise, cut[:, 3:]], dim=1)), scale


def _cut_out(patches: Tensor, turn: Tensor, scale: Tensor, back: Tensor, down: Tensor) -> Tensor:
    rows = (torch.arange(PATCH_ROWS) - (PATCH_ROWS - 1) / 2)[None, :, None]
    cols = (torch.arange(PATCH_COLS) - (PATCH_COLS - 1) / 2)[None, None, :]
    cos, sin = (turn.cos() * scale)[..., None], (turn.sin() * scale)[..., None]
    x = (cos * cols - sin * rows + back[..., None]) * 2 / (PATCH_COLS + 2 * MARGIN)
    y = (sin * cols + cos * rows + down[..., None]) * 2 / (PATCH_ROWS + 2 * MARGIN)
    grid = torch.stack([x, y], dim=3)
    return F.grid_sample(patches.float() / 255, grid, mode="bilinear", align_corners=False)


def _normalised(patches: Tensor) -> Tensor:
    return torch.cat([normalised(patches[:, :3]), (patches[:, 3:] - 0.5) * 2], dim=1)


def read_bodies(reader: BodyReader, scans: Sequence[BodyScan]) -> None:
    """Notes with every body what the reader says of it."""
    with torch.inference_mode():
        for scan in scans:
            if scan.bodies:
                patches = torch.from_numpy(np.stack([body.patch for body in scan.bodies]))
                still = torch.zeros(len(patches), 1)
                said = reader(_normalised(_cut_out(patches, still, still + 1, still, still))).numpy()
                for body, own in zip(scan.bodies, said, strict=True):
                    body.read = own


# ---- the neighbours


def facts_of(bodies: Sequence[FoundBody]) -> NDArray[np.float32]:
    """(n, facts) of a scan's bodies from head to foot; the last is 1."""
    rows = np.array([body.row_mm for body in bodies], np.float32)
    gaps = np.diff(rows) / 35
    facts = [
        [
            *body.read,
            *body.heights,
            *(body.read[LEFT][:2] / np.maximum(body.read[INTACT][:2], 0.3)),
            body.tilt * 2,
            body.sureness,
            body.n_cells / 40,
            float(not body.is_whole),
            gaps[number - 1] if number else 0.0,
            gaps[number] if number < len(gaps) else 0.0,
            1.0,
        ]
        for number, body in enumerate(bodies)
    ]
    return np.array(facts, np.float32)


def windows_of(facts: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 9, facts): each body with its neighbours, zeros beyond the ends."""
    padded = np.pad(facts, ((NEIGHBOURS, NEIGHBOURS), (0, 0)))
    return np.stack([padded[number : number + 2 * NEIGHBOURS + 1] for number in range(len(facts))])


def taught_neighbours(scans: Sequence[BodyScan], steps: int) -> NeighbourReader:
    """Learns which body of a spine is fractured."""
    torch.manual_seed(3)
    usable = [scan for scan in scans if scan.bodies]
    windows = np.concatenate([windows_of(facts_of(scan.bodies)) for scan in usable])
    known = windows[..., -1] > 0
    n = known.sum(axis=0)[:, None].clip(min=1)
    mean = (windows * known[..., None]).sum(axis=0) / n
    spread = np.sqrt(((windows - mean) ** 2 * known[..., None]).sum(axis=0) / n)
    mean[:, -1], spread[:, -1] = 0, 1
    spread[spread < 1e-4] = 1
    net = NeighbourReader(torch.from_numpy(mean).float(), torch.from_numpy(spread).float())
    loss = functools.partial(_neighbour_loss, net, usable)
    _taught(net, "neighbours", steps, loss)
    return net


def _neighbour_loss(net: NeighbourReader, scans: Sequence[BodyScan], rng: np.random.Generator) -> Tensor:
    windows, losses = [], []
    for number in rng.choice(len(scans), SCANS_A_STEP):
        bodies = scans[int(number)].bodies
        if len(bodies) > 3 and rng.random() < 0.3:  # the finder may miss one
            bodies = [body for body in bodies if rng.random() > 0.08] or bodies
        for body, window in zip(bodies, windows_of(facts_of(bodies)), strict=True):
            if body.is_whole and _is_known(body) and body.truth is not None:
                windows.append(window)
                losses.append(body.truth.loss)
    if not windows:
        return torch.zeros((), requires_grad=True)
    given, lost = torch.from_numpy(np.stack(windows)), torch.tensor(losses)
    noise = 0.004 * torch.randn(
        given.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62)))
    )
    noise[..., -1] = 0
    said = net(given + noise)
    weight = torch.where(lost >= LOW_LOSS, LOW_WEIGHT_AMONG_NEIGHBOURS, 1.0)
    each = F.binary_cross_entropy_with_logits(said[:, 0], soft_step(lost, SOFT), reduction="none")
    off = F.smooth_l1_loss(said[:, 1], lost / FRACTURE_LOSS, reduction="none", beta=0.1)
    return ((each + 2 * off) * weight).mean()


# ---- the judgement


def body_logit(net: NeighbourReader, scan: BodyScan) -> float:
    """The most suspicious body speaks for its scan; a scan without one says "sound"."""
    speaks = [body.is_whole and body.sureness > LEAST_SURE for body in scan.bodies]
    if not any(speaks):
        return -10.0
    with torch.inference_mode():
        said = net(torch.from_numpy(windows_of(facts_of(scan.bodies))))[:, 0].numpy()
    return float(np.clip(said[speaks].max(), -10, 10))


def lstm_logits(model: str, scans: Sequence[BodyScan]) -> NDArray[np.float64]:
    """What a model says of the same images."""
    scorer = Scorer(load_model(find_model(model)))
    count = counter("scored by the model", len(scans), _say)
    said = []
    for number, scan in enumerate(scans, 1):
        said.append(scorer.score([scan.images])[0].logit)
        count(number)
    return np.array(said)


def print_found(scans: Sequence[BodyScan]) -> None:
    """How many bodies were found, and how well they were read."""
    shown = sum(truth.is_visible for scan in scans for truth in scan.truths.values())
    bodies = [body for scan in scans for body in scan.bodies]
    known = [body for body in bodies if _is_known(body) and body.is_whole]
    off = np.array([body.read[LEFT] * HEIGHT_MM - body.truth.heights_mm for body in known if body.truth])
    losses = np.array([body.truth.loss for body in known if body.truth])
    print(f"bodies found: {sum(map(_is_known, bodies)):,} of {shown:,} shown whole", end="")
    print(f", and {sum(body.truth is None for body in bodies):,} that are none")
    print(f"heights off by (standard deviation): {off.std(axis=0).round(2)} mm")
    near = [(body, loss) for body, loss in zip(known, losses, strict=True) if 0.15 <= loss < 0.25]
    low = [float(body.read[FRACTURE]) for body, loss in near if loss < FRACTURE_LOSS]
    high = [float(body.read[FRACTURE]) for body, loss in near if loss >= FRACTURE_LOSS]
    if low and high:
        print(f"bodies that lost 20-25 % against 15-20 %: AUC {auc(high, low).value:.3f}")


def print_scores(scans: Sequence[BodyScan], net: NeighbourReader, by_lstm: NDArray[np.float64]) -> None:
    """The model, the bodies and the sum of their logits on the same studies."""
    by_body = np.array([body_logit(net, scan) for scan in scans])
    is_positive = np.array([scan.is_positive for scan in scans])
    print(f"{int(is_positive.sum())} + {int((~is_positive).sum())} studies of protocol 1")
    for name, said in (("LSTM", by_lstm), ("bodies", by_body), ("sum", by_lstm + by_body)):
        positive, negative = said[is_positive].tolist(), said[~is_positive].tolist()
        found = auc(positive, negative)
        caught = float((said[is_positive] > np.quantile(said[~is_positive], TARGET_SPECIFICITY)).mean())
        print(
            f"{name:7} AUC {found.value:.3f} ({found.low:.3f}-{found.high:.3f}), "
            f"sensitivity at a specificity of {TARGET_SPECIFICITY} {caught:.3f}"
        )


if __name__ == "__main__":
    sys.exit(main())
