"""Teaches the three networks that read vertebrae one by one (`bodies.py`), on scans whose bodies are marked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.appearance import change_intensity, fade_cortex, uniform
from models.augment import LABEL_PX, augment, sampling_grid
from models.bodies import (
    LAYERS,
    MARGIN,
    FoundBody,
    facts_of,
    find_bodies,
    normalised,
    patches_read,
    read_bodies,
    windows_of,
)
from models.body_nets import (
    BODY,
    CELL_PX,
    FRACTURE,
    HEIGHT_MM,
    HEIGHTS,
    INTACT,
    LEFT,
    OFFSETS,
    PATCH_COLS,
    PATCH_ROWS,
    SPREADS,
    BodyFinder,
    BodyReader,
    NeighbourReader,
)
from models.dataset import CROP_MARGIN_PX, FRACTURE_LOSS, LABEL_STEP, LOW_LOSS, N_LABELS, cut
from models.dense_truth import soft_step
from models.optimise import Checkpoint, OnProgress, StageRun
from models.recipes import WILD_AUGMENTATION, Augmentation, Stage

N = TypeVar("N", bound=nn.Module)
FINE = 2  # places a pixel, either way, that tell the share of body in it
CROP = (160, 64)  # of the finder's training, in pixels
FINDER_BATCH, READER_BATCH, SCANS_A_STEP = 32, 64, 32
ON_SPINE, ASIDE_PX = 0.8, 10  # share of the crops that are cut around the spine, and how far aside
RATE = 2e-3  # of AdamW, the highest
SOFT = 0.02  # width of the step from sound to fractured, as `deepen` has it
LOW_WEIGHT, LOW_WEIGHT_AMONG_NEIGHBOURS = 5.0, 3.0
# Bodies of real scans are few, so they are shown more often; what counts as sound without being known is taught less.
REAL_WEIGHT, OTHERS_WEIGHT = 2.0, 0.5
# Looks as `deepen` has them, a bit calmer; sizes stay as they are, since heights are told in mm.
LOOKS = replace(WILD_AUGMENTATION.scaled(0.35), scale=0.0, stretch=0.0)
# Of the reader, whose places are its own. Wild looks teach what to measure, calm ones to measure it well.
WILD, CALM = (WILD_AUGMENTATION.scaled(share) for share in (0.4, 0.15))
CALM_RATE = 0.5  # of the rate
PATCH_TURN, PATCH_SCALE, PATCH_SHIFT_PX = 0.08, 0.04, 3.0
MASK_OFF, MASK_LOST = 0.2, 0.1
NAMED_SHARE = 0.3  # of a found body's cells that bear a label, for the body to be that one
# Share of the scans of which bodies are left out, and how many of them: the finder may miss one.
FORGETFUL, FORGOTTEN = 0.3, 0.08
FACT_NOISE = 0.004


@dataclass(frozen=True)
class BodyTruth:
    """What is true of one body."""

    heights_mm: tuple[float, float, float]  # anterior, middle, posterior
    intact_mm: tuple[float, float, float]
    loss: float | None  # the largest share lost of a height; None where nobody knows
    is_visible: bool


# Of what counts as sound, and was measured by nobody: its heights are any, all the same.
UNMEASURED = BodyTruth((HEIGHT_MM,) * 3, (HEIGHT_MM,) * 3, 0.0, True)


@dataclass
class BodyScan:
    """The layers of a scan's tiles, which body lies where in them, and what was found."""

    family: str
    is_positive: bool
    largest_loss: float
    layers: NDArray[np.uint8]  # (tiles, 3, rows, cols)
    tops_mm: NDArray[np.float32]  # (tiles,)
    labels: NDArray[np.uint8]  # (tiles, 3, rows / 4, cols / 4)
    share: NDArray[np.uint8]  # (tiles, 3, rows, cols) of body, 0-4
    truths: dict[int, BodyTruth]  # by label
    is_all_marked: bool = True  # False: bodies above and below the marked ones are not marked
    bodies: list[FoundBody] = field(default_factory=list)

    def truth_of(self, body: FoundBody) -> BodyTruth | None:
        """The marked body that a found one is; None for one that is none."""
        named = self.labels[body.tile][:, body.cells[:, 0], body.cells[:, 1]].ravel()
        if (named > 0).mean() <= NAMED_SHARE:
            return None
        return self.truths.get(int(np.bincount(named[named > 0]).argmax()))

    def taught(self) -> tuple[list[tuple[FoundBody, BodyTruth]], list[FoundBody]]:
        """The found bodies that are shown whole: those whose truth is known, and all others.

        The others are bodies whose losses nobody knows, and what is no body. A real scan as it is counts as sound
        (phantom/from_real.py), so they are taught as such.
        """
        known: list[tuple[FoundBody, BodyTruth]] = []
        others: list[FoundBody] = []
        for body in self.bodies:
            if not body.is_whole:
                continue
            truth = self.truth_of(body)
            if truth is None or truth.loss is None:
                others.append(body)
            elif truth.is_visible:
                known.append((body, truth))
        return known, others


@dataclass(frozen=True)
class Teaching:
    """What the three trainings share."""

    seed: int
    checkpoint: Checkpoint | None = None
    on_progress: OnProgress | None = None

    def new(self, kind: type[N]) -> N:
        """A network with random weights."""
        torch.manual_seed(self.seed)
        return kind()


def _taught(
    net: nn.Module,
    name: str,
    steps: int,
    loss_of: Callable[[np.random.Generator], Tensor],
    teaching: Teaching,
    *,
    rate: float = RATE,
) -> None:
    """One cycle over so many steps, each with randomness of its own; the weights end as they will be kept."""
    stage = Stage(name, epochs=steps, batch=1, learning_rate=rate, optimiser="adamw", weight_decay=1e-2)
    run = StageRun(
        stage,
        net,
        [(list(net.parameters()), 1.0)],
        n_items=1,
        checkpoint=teaching.checkpoint,
        on_progress=teaching.on_progress,
    )
    net.train()
    run.run(lambda step: loss_of(np.random.default_rng([teaching.seed, len(name), step])))
    net.eval()
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())


def find_all(finder: BodyFinder, scans: Sequence[BodyScan]) -> None:
    """Notes with every scan the bodies that are found in it."""
    for scan in scans:
        scan.bodies = find_bodies(finder, scan.layers, scan.tops_mm)


def read_all(reader: BodyReader, scans: Sequence[BodyScan]) -> None:
    """Notes with every found body what the reader says of it."""
    for scan in scans:
        read_bodies(reader, scan.bodies)


# ---- the finder


def teach_finder(scans: Sequence[BodyScan], steps: int, teaching: Teaching) -> BodyFinder:
    """Learns where bodies are, and how high."""
    finder = teaching.new(BodyFinder)
    _taught(finder, "finder", steps, functools.partial(_finder_loss, finder, scans), teaching)
    return finder


def _finder_loss(finder: BodyFinder, scans: Sequence[BodyScan], rng: np.random.Generator) -> Tensor:
    chosen = [scans[int(number)] for number in rng.choice(len(scans), FINDER_BATCH)]
    crops = [_crop(scan, rng) for scan in chosen]
    images, labels, shares = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
    seed = int(rng.integers(2**62))
    grid = sampling_grid(shares.shape, CROP, LOOKS, torch.Generator().manual_seed(seed))
    share = F.grid_sample(shares.float()[:, None] / FINE**2, grid, mode="bilinear", align_corners=False)
    pixels, moved = augment(images, labels, CROP, LOOKS, torch.Generator().manual_seed(seed))
    said, mask = finder(normalised(pixels))
    body = (moved > 0).float()
    known = _marked_rows(body, torch.tensor([scan.is_all_marked for scan in chosen]))
    heights, weight = _truth_by_cell(
        moved, torch.from_numpy(np.stack([_heights_by_label(s) for s in chosen]))
    )
    off = (said[:, HEIGHTS] - heights).abs()
    spread = said[:, SPREADS].clamp(-5, 2)
    n = weight.sum().clamp(min=1)
    told = ((off * torch.exp(-spread) + spread) * weight).sum() / n / 3
    way = F.smooth_l1_loss(said[:, OFFSETS], _ways(moved), reduction="none")
    known_fine = known.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    return torch.as_tensor(
        3 * F.binary_cross_entropy_with_logits(mask, F.avg_pool2d(share, 2), known_fine)
        + 0.5 * F.binary_cross_entropy_with_logits(said[:, BODY], body, known)
        + 0.15 * told
        + (off * weight).sum() / n / 3
        + 0.3 * (way * weight).sum() / n / 2
    )


def _marked_rows(body: Tensor, is_all_marked: Tensor) -> Tensor:
    """1 (N, h, w) where it is known what is a body: in a real scan from its first to its last marked row only."""
    rows = body.amax(dim=2)
    between = torch.minimum(rows.cummax(dim=1).values, rows.flip(1).cummax(dim=1).values.flip(1))
    return torch.maximum(between, is_all_marked.float()[:, None])[..., None].expand_as(body)


def _crop(
    scan: BodyScan, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Image, labels (of every second pixel) and shares around the spine, or now and then beside it."""
    tile, layer = int(rng.integers(len(scan.layers))), int(rng.integers(scan.layers.shape[1]))
    shape = (CROP[0] + 2 * CROP_MARGIN_PX, CROP[1] + 2 * CROP_MARGIN_PX)
    image, labels, share = (part[tile, layer] for part in (scan.layers, scan.labels, scan.share))
    top = int(rng.integers(0, (image.shape[0] - shape[0]) // CELL_PX + 1)) * CELL_PX
    with_body = np.flatnonzero(labels.any(axis=0))
    is_on_spine = len(with_body) > 0 and rng.random() < ON_SPINE
    beside = int(rng.integers(CROP[1] // 2, image.shape[1] - CROP[1] // 2))
    middle = int(np.median(with_body)) * CELL_PX if is_on_spine else beside
    left = (middle - shape[1] // 2 + int(rng.integers(-ASIDE_PX, ASIDE_PX + 1))) // CELL_PX * CELL_PX
    left = min(max(left, -CROP_MARGIN_PX), image.shape[1] - shape[1] + CROP_MARGIN_PX)
    fine = cut(labels.repeat(CELL_PX, 0).repeat(CELL_PX, 1), (top, left), shape)
    return cut(image, (top, left), shape), fine[::LABEL_STEP, ::LABEL_STEP], cut(share, (top, left), shape)


def _heights_by_label(scan: BodyScan) -> NDArray[np.float32]:
    """(18, 4): three heights in units of HEIGHT_MM, and 1 where the body is shown whole."""
    facts = np.zeros((N_LABELS, 4), np.float32)
    for label, truth in scan.truths.items():
        facts[label] = (*(mm / HEIGHT_MM for mm in truth.heights_mm), truth.is_visible)
    return facts


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


class Lessons(NamedTuple):
    """The bodies that a reader is shown, and how often each."""

    bodies: list[tuple[FoundBody, BodyTruth]]
    chances: NDArray[np.float64]


def teach_reader(scans: Sequence[BodyScan], steps: int, teaching: Teaching) -> BodyReader:
    """Learns the heights of a body that was cut out, and whether it is fractured."""
    reader = teaching.new(BodyReader)
    loss_of = functools.partial(_reader_loss, reader, _lessons(scans), WILD)
    _taught(reader, "reader", steps, loss_of, teaching)
    return reader


def calm_reader(reader: BodyReader, scans: Sequence[BodyScan], steps: int, teaching: Teaching) -> None:
    """Another cycle for a taught reader, on calmer looks."""
    loss_of = functools.partial(_reader_loss, reader, _lessons(scans), CALM)
    _taught(reader, "calm", steps, loss_of, teaching, rate=RATE * CALM_RATE)


def _lessons(scans: Sequence[BodyScan]) -> Lessons:
    shown: list[tuple[FoundBody, BodyTruth]] = []
    chances: list[float] = []
    for scan in scans:
        often = 1.0 if scan.is_all_marked else REAL_WEIGHT
        known, others = scan.taught()
        shown += [*known, *((body, UNMEASURED) for body in others)]
        chances += [often * (LOW_WEIGHT if (truth.loss or 0) >= LOW_LOSS else 1.0) for _, truth in known]
        chances += [OTHERS_WEIGHT] * len(others)
    return Lessons(shown, np.array(chances) / np.sum(chances))


def _reader_loss(
    reader: BodyReader, lessons: Lessons, looks: Augmentation, rng: np.random.Generator
) -> Tensor:
    numbers = rng.choice(len(lessons.bodies), READER_BATCH, p=lessons.chances)
    bodies, truths = zip(*(lessons.bodies[int(number)] for number in numbers), strict=True)
    is_measured = torch.tensor([truth is not UNMEASURED for truth in truths])
    left = _in_units([truth.heights_mm for truth in truths])
    intact = _in_units([truth.intact_mm for truth in truths])
    patches = torch.from_numpy(np.stack([body.patch for body in bodies]))
    pixels, scale = varied_patches(patches, looks, torch.Generator().manual_seed(int(rng.integers(2**62))))
    said = reader(pixels)
    lost = 1 - said[:, LEFT] / said[:, INTACT].clamp(min=0.3)
    is_fractured = soft_step(torch.tensor([truth.loss or 0.0 for truth in truths]), SOFT)
    off = 2 * (said[:, LEFT] - left / scale).abs() + (said[:, INTACT] - intact / scale).abs()
    return torch.as_tensor(
        off[is_measured].mean()
        + 3 * F.smooth_l1_loss(lost, 1 - left / intact, beta=0.02)
        + 0.3 * F.binary_cross_entropy_with_logits(said[:, FRACTURE], is_fractured)
    )


def _in_units(heights_mm: Sequence[tuple[float, float, float]]) -> Tensor:
    """(n, 3) in units of HEIGHT_MM."""
    return (torch.tensor(heights_mm, dtype=torch.float64) / HEIGHT_MM).float()


def varied_patches(patches: Tensor, looks: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Patches (n, 4, rows, cols) of 0…255 as the reader takes them, changed at random; and by how much they shrank.

    Turned by up to 5°, moved by up to 3 pixels, 4 % larger or smaller, all three layers of another look.
    """
    n = len(patches)
    scale = 1 + uniform(n, PATCH_SCALE, generator)
    turn, back, down = (uniform(n, most, generator) for most in (PATCH_TURN, PATCH_SHIFT_PX, PATCH_SHIFT_PX))
    moved = _cut_out(patches, turn, scale, back, down)
    layers, mask = moved[:, :LAYERS].flatten(1, 2)[:, None], moved[:, LAYERS:]
    bodies = (mask > 0.5).float().repeat(1, 1, LAYERS, 1)
    layers = fade_cortex(layers, bodies, looks.cortex, generator)
    labels = bodies[:, 0, ::LABEL_PX, ::LABEL_PX].long()
    layers = change_intensity(layers, labels, looks, generator)
    # A finder is less sure of where a body ends in scans that it was not taught on, or does not know at all.
    mask = (mask + uniform(n, MASK_OFF, generator)[:, None, None, None]).clamp(0, 1)
    mask = mask * (torch.rand(n, generator=generator) >= MASK_LOST)[:, None, None, None]
    layers = layers.reshape(n, LAYERS, PATCH_ROWS, PATCH_COLS)
    return patches_read(torch.cat([layers, mask], dim=1)), scale[:, None]


def _cut_out(patches: Tensor, turn: Tensor, scale: Tensor, back: Tensor, down: Tensor) -> Tensor:
    """(n, 4, 72, 48) in 0…1 out of patches with their margins; all else (n,), in radians and pixels."""
    rows = (torch.arange(PATCH_ROWS) - (PATCH_ROWS - 1) / 2)[None, :, None]
    cols = (torch.arange(PATCH_COLS) - (PATCH_COLS - 1) / 2)[None, None, :]
    turn, scale, back, down = (each[:, None, None] for each in (turn, scale, back, down))
    cos, sin = turn.cos() * scale, turn.sin() * scale
    x = (cos * cols - sin * rows + back) * 2 / (PATCH_COLS + 2 * MARGIN)
    y = (sin * cols + cos * rows + down) * 2 / (PATCH_ROWS + 2 * MARGIN)
    grid = torch.stack([x, y], dim=3)
    return F.grid_sample(patches.float() / 255, grid, mode="bilinear", align_corners=False)


# ---- the neighbours


def teach_neighbours(scans: Sequence[BodyScan], steps: int, teaching: Teaching) -> NeighbourReader:
    """Learns which body of a spine is fractured."""
    usable = [scan for scan in scans if scan.bodies]
    windows = np.concatenate([windows_of(facts_of(scan.bodies)) for scan in usable])
    known = windows[..., -1:] > 0
    n = known.sum(axis=0).clip(min=1)
    mean = (windows * known).sum(axis=0) / n
    spread = np.sqrt(((windows - mean) ** 2 * known).sum(axis=0) / n)
    mean[:, -1], spread[:, -1] = 0, 1
    spread[spread < 1e-2] = 1
    net = teaching.new(NeighbourReader)
    net.mean.copy_(torch.from_numpy(mean))
    net.spread.copy_(torch.from_numpy(spread))
    _taught(net, "neighbours", steps, functools.partial(_neighbour_loss, net, usable), teaching)
    return net


def _neighbour_loss(net: NeighbourReader, scans: Sequence[BodyScan], rng: np.random.Generator) -> Tensor:
    windows, taught = [], []
    for number in rng.choice(len(scans), SCANS_A_STEP):
        scan = scans[int(number)]
        seen = scan.bodies
        if len(seen) > 3 and rng.random() < FORGETFUL:
            seen = [body for body in seen if rng.random() > FORGOTTEN] or seen
        known, others = scan.taught()
        lessons = {id(body): (truth.loss or 0.0, 1.0) for body, truth in known}
        lessons |= {id(body): (0.0, OTHERS_WEIGHT) for body in others}
        for body, window in zip(seen, windows_of(facts_of(seen)), strict=True):
            if (lesson := lessons.get(id(body))) is not None:
                windows.append(window)
                taught.append(lesson)
    if not windows:
        return torch.zeros((), requires_grad=True)
    given, (lost, weight) = torch.from_numpy(np.stack(windows)), torch.tensor(taught).T
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = FACT_NOISE * torch.randn(given.shape, generator=generator)
    noise[..., -1] = 0
    said = net(given + noise)
    weight = weight * torch.where(lost >= LOW_LOSS, LOW_WEIGHT_AMONG_NEIGHBOURS, 1.0)
    each = F.binary_cross_entropy_with_logits(said[:, 0], soft_step(lost, SOFT), reduction="none")
    off = F.smooth_l1_loss(said[:, 1], lost / FRACTURE_LOSS, reduction="none", beta=0.1)
    return torch.as_tensor(((each + 2 * off) * weight).mean())
