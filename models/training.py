"""The stages of a training: dense pre-training, features by label propagation, LSTM, the published end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.augment import augment, cell_targets
from models.config import ModelConfig
from models.dataset import SequenceScan, TrainingScan, draw_crop
from models.heads import FractureNet, SliceHead, row_logits
from models.infer import Convolutions
from models.lstm import ScanLstm
from models.optimise import Checkpoint, OnProgress, ParameterGroups, StageRun
from models.recipes import Stage, TrainingRecipe
from models.resnet import DENSE_STRIDE

# An aggregation learns from scans with some of their images left out: archives give sequences of any length.
KEEP_IMAGES_SHARE = 0.75
SETTLE_BATCHES = 24
BATCH_NORM_MOMENTUM = 0.1  # torch's own


@dataclass(frozen=True)
class PooledScan:
    """One scan after the convolutions: the pooled 512-vector of each of its images, and its label."""

    pooled: Tensor  # (n, 512)
    is_positive: bool


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


def pretrain(net: FractureNet, scans: Sequence[TrainingScan], settings: TrainerSettings) -> None:
    """Teach the extractor where fractures are, on narrow crops around the spine; needs dense truth."""
    recipe = settings.recipe
    known = [scan for scan in scans if scan.lesion_mask is not None]
    if recipe.pretrain.epochs > 0 and not known:
        raise ValueError("pre-training needs scans whose fractured bodies are known")
    loss = ExtractorLoss(net, known, settings, size=recipe.pretrain_crop, dense_weight=1.0, image_truth=True)
    with frozen(net, ()) as trainable:
        _extractor_stage(recipe.pretrain, trainable, known, settings, loss)


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
        self.positive = [i for i, scan in enumerate(scans) if scan.is_positive]
        self.negative = [i for i, scan in enumerate(scans) if not scan.is_positive]

    def __call__(self, stage: Stage, step: int) -> Tensor:
        images, cells, labels, known = self.draw(stage, step)
        out = self.net(images)
        loss = F.binary_cross_entropy_with_logits(out.logits, labels)
        if self.dense_weight and bool(known.any()):
            loss = loss + self.dense_weight * self.dense_loss(out.cell_logits[known], cells[known])
        return loss

    def draw(self, stage: Stage, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """images (N, 1, H, W), cells (N, H/16, W/16), labels (N,), known (N,): of one step."""
        rng = np.random.default_rng([self.settings.seed, _number(stage.name), step])
        chosen = [self.scans[i] for i in self._choose(stage.batch, rng)]
        crops = [draw_crop(scan, self.size, rng) for scan in chosen]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        images, masks = augment(
            torch.from_numpy(np.stack([crop.image for crop in crops])),
            torch.from_numpy(np.stack([crop.mask for crop in crops])),
            self.size,
            self.settings.recipe.augmentation,
            generator,
        )
        cells = cell_targets(masks, DENSE_STRIDE)
        known = torch.tensor([scan.lesion_mask is not None for scan in chosen])
        labels = torch.tensor([float(scan.is_positive) for scan in chosen])
        if self.image_truth:
            labels = torch.where(known, cells.amax(dim=(1, 2)), labels)
        return normalise(images, self.settings.config), cells, labels, known

    def dense_loss(self, cell_logits: Tensor, cells: Tensor) -> Tensor:
        """Which row holds a fractured body, and which cell of it."""
        recipe = self.settings.recipe
        rows = F.binary_cross_entropy_with_logits(row_logits(cell_logits), cells.amax(dim=2))
        each = F.binary_cross_entropy_with_logits(cell_logits, cells)
        return recipe.dense_row_weight * rows + recipe.dense_cell_weight * each

    def _choose(self, n: int, rng: np.random.Generator) -> list[int]:
        """As many positive as negative scans, as the published cohort has."""
        halves = (self.positive or self.negative, self.negative or self.positive)
        return [int(rng.choice(halves[k % 2])) for k in range(n)]


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
        [([p for p in net.parameters() if p.requires_grad], 1.0)],
        n_items=sum(len(scan.images) for scan in scans),
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
    """The pooled 512-vectors of every image of every scan, by the very code that scores (no augmentation)."""
    runner = Convolutions(net.eval(), config, device or torch.device("cpu"), torch.float32)
    vectors = runner.pooled(image for scan in scans for image in scan.images_nhw)
    done = []
    for index, scan in enumerate(scans):
        own = list(islice(vectors, len(scan.images_nhw)))
        done.append(PooledScan(torch.stack(own).clone(), scan.is_positive))
        if on_scan is not None:
            on_scan(index + 1)
    return done


class Aggregation(nn.Module):
    """The trainable end of the model: FC layers of the extractor (batch norm frozen) and the LSTM."""

    def __init__(self, head: SliceHead, lstm: ScanLstm) -> None:
        super().__init__()
        self.head, self.lstm = head, lstm

    def forward(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        """pooled (B, T, 512), lengths (B,) → scan logits (B,)."""
        flat = pooled.flatten(0, 1)
        features, _ = self.head(flat)
        return self.lstm(features.view(*pooled.shape[:2], -1), lengths)  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Aggregation:
        """Training mode for the dropout; the batch norm stays frozen, as published."""
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
    groups = [(list(model.lstm.parameters()), 1.0), (list(model.head.parameters()), head_share)]
    _aggregation_stage(recipe.lstm, model, training, settings, groups=groups, validation=validation)
    groups = [(list(model.parameters()), 1.0)]
    both = [*training, *validation]
    _aggregation_stage(recipe.final, model, both, settings, groups=groups, validation=())


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

    def batch_loss(step: int) -> Tensor:
        rng = np.random.default_rng([settings.seed, _number(stage.name), step])
        torch.manual_seed(int(rng.integers(2**62)))  # of the dropout
        return _aggregation_loss(model, _draw_scans(scans, stage.batch, rng))

    def validation_loss() -> float:
        model.eval()
        with torch.no_grad():
            loss = float(_aggregation_loss(model, validation))
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
        drawn.append(PooledScan(kept, scan.is_positive))
    return drawn


def _aggregation_loss(model: Aggregation, scans: Sequence[PooledScan]) -> Tensor:
    lengths = torch.tensor([len(scan.pooled) for scan in scans])
    padded = nn.utils.rnn.pad_sequence([scan.pooled for scan in scans], batch_first=True)
    labels = torch.tensor([float(scan.is_positive) for scan in scans])
    return F.binary_cross_entropy_with_logits(model(padded, lengths), labels)


def _number(name: str) -> int:
    """A stage's name as a number, to seed its own stream."""
    return int.from_bytes(name.encode()[:7], "big")
