"""The stages of a training: dense pre-training, features by label propagation, LSTM, the published end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.augment import augment
from models.bodies import reader_of, shares
from models.config import ModelConfig
from models.dataset import SequenceScan, TrainingScan, draw_crop
from models.dense_truth import DenseTargets, dense_loss, dense_targets, image_labels, soft_step
from models.heads import FractureNet, SliceHead
from models.infer import Convolutions, choose_dtype, has_fast_bf16
from models.lstm import ScanLstm
from models.optimise import Checkpoint, OnProgress, ParameterGroups, StageRun
from models.recipes import Stage, TrainingRecipe

# An aggregation learns from scans with some of their images left out: archives give sequences of any length.
KEEP_IMAGES_SHARE = 0.75
SETTLE_BATCHES = 24
IMAGES_PER_SCAN = 3  # an epoch of the extractor: as many images as so many slices of every scan
BATCH_NORM_MOMENTUM = 0.1  # torch's own


@dataclass(frozen=True)
class PooledScan:
    """One scan after the convolutions: the pooled 512-vector of each of its images, and its label."""

    pooled: Tensor  # (n, 512)
    is_positive: bool
    largest_loss: float | None = None  # as in SequenceScan
    # How often the LSTM's logit counts, and what a model that reads vertebrae one by one adds (`bodies.shares`).
    shares: tuple[float, float] = (1.0, 0.0)

    def label(self, width: float) -> float:
        """0 or 1; where the loss is known, a step of that width from one to the other instead (`soft_step`)."""
        if not width or self.largest_loss is None:
            return float(self.is_positive)
        return float(soft_step(torch.tensor(self.largest_loss), width))


@dataclass(frozen=True)
class TrainerSettings:
    """What a training is given beside its data."""

    recipe: TrainingRecipe
    config: ModelConfig
    seed: int
    checkpoint: Checkpoint | None = None
    on_progress: OnProgress | None = None


def normalise(images: Tensor, config: ModelConfig) -> Tensor:
    """Images in 0…1 → zero mean and unit spread over the training data."""
    return (images - config.pixel_mean) / config.pixel_std


def pretrain(
    net: FractureNet, scans: Sequence[TrainingScan], settings: TrainerSettings, stage: Stage
) -> None:
    """Teach the extractor where fractures are, on narrow crops around the spine; needs dense truth."""
    known = scans if hasattr(scans, "kinds") else [scan for scan in scans if scan.truth is not None]
    if stage.epochs > 0 and not known:
        raise ValueError("pre-training needs scans whose fractured bodies are known")
    size = settings.recipe.pretrain_crop
    loss = ExtractorLoss(net, known, settings, size=size, dense_weight=1.0, image_truth=True)
    with frozen(net, ()) as trainable:
        _extractor_stage(stage, trainable, known, settings, loss)


def train_features(net: FractureNet, scans: Sequence[TrainingScan], settings: TrainerSettings) -> None:
    """The published feature stage on whole tiles; every image carries its scan's label (or its own truth)."""
    view, recipe = settings.config.view, settings.recipe
    loss = ExtractorLoss(
        net,
        scans,
        settings,
        size=(view.tile_rows, view.tile_cols),
        dense_weight=recipe.features_dense_weight,
        image_truth=recipe.has_image_truth,
    )
    with frozen(net, recipe.features_frozen) as trainable:
        _extractor_stage(recipe.features, trainable, scans, settings, loss)


class Batch(NamedTuple):
    """One step's images and truth. `label_weights` 0: nobody knows whether the image shows a fracture."""

    images: Tensor  # (N, 1, H, W), normalised
    labels: Tensor  # (N,)
    label_weights: Tensor  # (N,)
    cells: DenseTargets
    is_known: Tensor  # (N,) whether the dense truth is known


class ExtractorLoss:
    """Draws the batch of a step and gives its loss; the same step gives the same batch."""

    def __init__(
        self,
        net: FractureNet,
        scans: Sequence[TrainingScan],
        settings: TrainerSettings,
        *,
        size: tuple[int, int],
        dense_weight: float,
        image_truth: bool,
    ) -> None:
        self.net, self.scans, self.settings, self.size = net, scans, settings, size
        self.dense_weight, self.image_truth = dense_weight, image_truth
        kinds = kinds_of(scans)
        self.places = {
            kind: np.flatnonzero([own == kind for own in kinds])
            for kind in itertools.product((False, True), repeat=2)
        }

    def __call__(self, stage: Stage, step: int) -> Tensor:
        batch = self.draw(stage, step)
        with convolution_precision():
            out = self.net(batch.images)
        each = F.binary_cross_entropy_with_logits(out.logits, batch.labels, reduction="none")
        loss = (each * batch.label_weights).sum() / batch.label_weights.sum().clamp(min=1)
        if self.dense_weight and bool(batch.is_known.any()):
            known = batch.is_known
            own = DenseTargets(*(values[known] for values in batch.cells))
            loss = loss + self.dense_weight * dense_loss(out.cells[known], own, self.settings.recipe)
        return loss

    def draw(self, stage: Stage, step: int) -> Batch:
        """What one step is taught by."""
        recipe = self.settings.recipe
        ranges = recipe.augmentation.scaled(stage.wildness)
        rng = np.random.default_rng([self.settings.seed, _number(stage.name), step])
        chosen = [self.scans[i] for i in self._choose(stage, step, rng)]
        crops = [draw_crop(scan, self.size, rng, ranges.aside_px) for scan in chosen]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        images, labels = augment(
            torch.from_numpy(np.stack([crop.image for crop in crops])),
            torch.from_numpy(np.stack([crop.labels for crop in crops])),
            self.size,
            ranges,
            generator,
        )
        bodies = torch.from_numpy(np.stack([crop.bodies for crop in crops]))
        cells = dense_targets(labels, bodies, self.settings.config.dense_stride, recipe.soft_label)
        is_known = torch.tensor([scan.truth is not None for scan in chosen])
        said = torch.tensor([float(scan.is_positive) for scan in chosen])
        weights = torch.ones(len(said))
        if self.image_truth:
            shown, weights_of_shown = image_labels(labels, bodies, recipe.soft_label)
            said = torch.where(is_known, shown, said)
            weights = torch.where(is_known, weights_of_shown, weights)
        return Batch(normalise(images, self.settings.config), said, weights, cells, is_known)

    def _choose(self, stage: Stage, step: int, rng: np.random.Generator) -> list[int]:
        """As many positive as negative scans, as the published cohort has; real ones in the stage's share."""
        usable = usable_at(self.scans, step)
        places = {kind: own[: np.searchsorted(own, usable)] for kind, own in self.places.items()}
        chosen = []
        for k in range(stage.batch):
            is_real, is_positive = bool(rng.random() < stage.real_share), k % 2 == 0
            order = itertools.product((is_real, not is_real), (is_positive, not is_positive))
            chosen.append(int(rng.choice(next(places[kind] for kind in order if len(places[kind])))))
        return chosen


def n_images(scans: Sequence[TrainingScan]) -> int:
    """Images in an epoch of the extractor."""
    return len(scans) * IMAGES_PER_SCAN


def kinds_of(scans: Sequence[TrainingScan]) -> list[tuple[bool, bool]]:
    """(made of a real scan, fractured) of every scan; of scans that are drawn beside the training without waiting."""
    known: list[tuple[bool, bool]] | None = getattr(scans, "kinds", None)
    return known or [(scan.is_real, scan.is_positive) for scan in scans]


def usable_at(scans: Sequence[TrainingScan], step: int) -> int:
    """How many of the scans a step may use: all, unless they are drawn beside the training."""
    usable: Callable[[int], int] | None = getattr(scans, "usable", None)
    return len(scans) if usable is None else usable(step)


def convolution_precision() -> torch.autocast:
    """bf16 in the convolutions where this processor multiplies it in hardware; the weights stay in fp32."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_fast_bf16())


@contextmanager
def frozen(net: FractureNet, parts: Sequence[str]) -> Iterator[FractureNet]:
    """The network in training mode, but for parts of its ResNet, whose batch norm does not move either."""
    kept = [getattr(net.resnet, name) for name in parts]
    net.train()
    for module in kept:
        module.eval().requires_grad_(False)
    try:
        yield net
    finally:
        net.requires_grad_(True).eval()


def _extractor_stage(
    stage: Stage,
    net: FractureNet,
    scans: Sequence[TrainingScan],
    settings: TrainerSettings,
    loss: ExtractorLoss,
) -> None:
    run = StageRun(
        stage,
        net,
        [(_trainable(net), 1.0)],
        n_items=n_images(scans),
        checkpoint=settings.checkpoint,
        on_progress=settings.on_progress,
    )
    run.run(lambda step: loss(stage, step))


def settle_batch_norm(
    net: FractureNet,
    draw: Callable[[int], Tensor],
    n_batches: int = SETTLE_BATCHES,
    keep: Sequence[str] = (),
) -> None:
    """Replace the running batch statistics by plain averages over some batches, then freeze them.

    Small batches leave running averages that hang on the last few of them. Parts of the ResNet named in `keep`
    stay as they are.
    """
    with frozen(net, keep), torch.no_grad():
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) and m.training]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch: cumulative average
        for step in range(n_batches):
            with convolution_precision():
                net(draw(step))
        for norm in norms:
            norm.momentum = BATCH_NORM_MOMENTUM


def pool_scans(
    net: FractureNet,
    scans: Sequence[SequenceScan],
    config: ModelConfig,
    on_scan: Callable[[int], None] | None,
    device: torch.device | None = None,
) -> list[PooledScan]:
    """The pooled 512-vectors of every image of every scan, and what its bodies say, by the very code that scores."""
    where = device or torch.device("cpu")
    runner = Convolutions(net.eval(), config, where, choose_dtype("auto", where))
    bodies = reader_of(config.bodies, where) if config.bodies else None
    vectors = runner.pooled(image for scan in scans for image in scan.images_nhw)
    done = []
    for index, scan in enumerate(scans):
        own = list(islice(vectors, len(scan.images_nhw)))
        told = shares(bodies.logit(scan), config.body_weight) if bodies is not None else (1.0, 0.0)
        done.append(PooledScan(torch.stack(own).clone(), scan.is_positive, scan.largest_loss, told))
        if on_scan is not None:
            on_scan(index + 1)
    return done


class Aggregation(nn.Module):
    """The trainable end of the model: FC layers of the extractor (batch norm frozen) and the LSTM."""

    def __init__(self, head: SliceHead, lstm: ScanLstm) -> None:
        super().__init__()
        self.head, self.lstm = head, lstm
        self.head.bn.requires_grad_(False)

    def forward(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        """pooled (B, T, 512), lengths (B,) → the LSTM's logits (B,)."""
        flat = pooled.flatten(0, 1)
        features, _ = self.head(flat)
        return self.lstm(features.view(*pooled.shape[:2], -1), lengths)  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Aggregation:
        """Training mode for the dropout; statistics and parameters of the batch norm stay frozen, as published."""
        super().train(mode)
        self.head.bn.eval()
        return self


def train_aggregation(
    model: Aggregation,
    training: Sequence[PooledScan],
    validation: Sequence[PooledScan],
    settings: TrainerSettings,
) -> None:
    """The LSTM stage with the FC layers fine-tuned, then training + validation together at the final rate."""
    recipe = settings.recipe
    head_share = recipe.head_learning_rate / recipe.lstm.learning_rate
    groups = [(_trainable(model.lstm), 1.0), (_trainable(model.head), head_share)]
    _aggregation_stage(recipe.lstm, model, training, settings, groups=groups, validation=validation)
    groups = [(_trainable(model), 1.0)]
    both = [*training, *validation]
    _aggregation_stage(recipe.final, model, both, settings, groups=groups, validation=())


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _aggregation_stage(
    stage: Stage,
    model: Aggregation,
    scans: Sequence[PooledScan],
    settings: TrainerSettings,
    *,
    groups: ParameterGroups,
    validation: Sequence[PooledScan],
) -> None:
    model.train()
    run = StageRun(
        stage,
        model,
        groups,
        n_items=len(scans),
        checkpoint=settings.checkpoint,
        on_progress=settings.on_progress,
    )

    width = settings.recipe.soft_label

    def batch_loss(step: int) -> Tensor:
        rng = np.random.default_rng([settings.seed, _number(stage.name), step])
        torch.manual_seed(int(rng.integers(2**62)))  # of the dropout
        return _aggregation_loss(model, _draw_scans(scans, stage.batch, rng), width)

    def validation_loss() -> float:
        model.eval()
        with torch.no_grad():
            loss = float(_aggregation_loss(model, validation, width))
        model.train()
        return loss

    run.run(batch_loss, validation_loss if validation else None)
    model.eval()


def _draw_scans(scans: Sequence[PooledScan], n: int, rng: np.random.Generator) -> list[PooledScan]:
    drawn = []
    for index in rng.choice(len(scans), size=min(n, len(scans)), replace=False):
        scan = scans[index]
        keep = rng.random(len(scan.pooled)) < rng.uniform(KEEP_IMAGES_SHARE, 1.0)
        kept = scan.pooled[torch.from_numpy(keep)] if keep.any() else scan.pooled
        drawn.append(replace(scan, pooled=kept))
    return drawn


def _aggregation_loss(model: Aggregation, scans: Sequence[PooledScan], width: float) -> Tensor:
    lengths = torch.tensor([len(scan.pooled) for scan in scans])
    padded = nn.utils.rnn.pad_sequence([scan.pooled for scan in scans], batch_first=True)
    labels = torch.tensor([scan.label(width) for scan in scans])
    times, added = torch.tensor([scan.shares for scan in scans]).T
    return F.binary_cross_entropy_with_logits(times * model(padded, lengths) + added, labels)


def _number(name: str) -> int:
    """A stage's name as a number, to seed its own stream."""
    return int.from_bytes(name.encode()[:7], "big")
