"""The published feature stage on a hospital's own scans: every image carries its scan's label; nothing else is known.

The same draws as `training.ExtractorLoss`, with a validation loss each epoch (the published rate is halved when that
stalls), on the CPU, one GPU or several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dataset import TrainingScan
from models.heads import FractureNet, SliceOutput
from models.infer import choose_dtype
from models.optimise import StageRun
from models.recipes import Augmentation, Stage, TrainingRecipe
from models.training import ExtractorLoss, TrainerSettings, frozen, settle_batch_norm

VALIDATION_BATCHES = 8  # fixed draws, so that epochs can be compared
UNCHANGED = Augmentation(rotate_deg=0.0, shift_px=0.0)


class WeakLabelLoss:
    """The loss of one step: binary cross-entropy of each image against its scan's label."""

    def __init__(
        self,
        net: FractureNet,
        scans: Sequence[TrainingScan],
        settings: TrainerSettings,
        device: torch.device,
    ) -> None:
        view = settings.config.view
        size = (view.tile_rows, view.tile_cols)
        self.drawn = ExtractorLoss(net, scans, settings, size=size, dense_weight=0.0, image_truth=False)
        self.device = device
        self.is_bf16 = choose_dtype("auto", device) is torch.bfloat16
        self.forward = _on_all_devices(net, device)

    def __call__(self, stage: Stage, step: int) -> Tensor:
        batch = self.drawn.draw(stage, step)
        images, labels = batch.images, batch.labels
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
            said = cast(SliceOutput, self.forward(images.to(self.device)))
        return F.binary_cross_entropy_with_logits(said.logits.float(), labels.to(self.device))

    def images(self, stage: Stage, step: int) -> Tensor:
        """The images of a step alone, on the device."""
        return self.drawn.draw(stage, step).images.to(self.device)


def _on_all_devices(net: FractureNet, device: torch.device) -> nn.Module:
    """The network itself; with several GPUs a copy on each, the batch shared out (torch's DataParallel).

    Gradients and the running batch statistics of the first GPU's share land in `net`, which is settled afterwards.
    """
    if device.type == "cuda" and torch.cuda.device_count() > 1:
        return nn.DataParallel(net)
    return net


def train_weak_features(
    net: FractureNet,
    training: Sequence[TrainingScan],
    validation: Sequence[TrainingScan],
    settings: TrainerSettings,
    device: torch.device,
) -> None:
    """Train the extractor in place, settle its batch norm over whole images, and freeze it. Ends on the CPU."""
    recipe = settings.recipe
    net.to(device)
    loss = WeakLabelLoss(net, training, settings, device)
    with frozen(net, recipe.features_frozen) as trainable:
        run = StageRun(
            recipe.features,
            trainable,
            [([p for p in trainable.parameters() if p.requires_grad], 1.0)],
            n_items=sum(len(scan.images) for scan in training),
            checkpoint=settings.checkpoint,
            on_progress=settings.on_progress,
        )
        validate = _Validation(net, validation, settings, device) if validation else None
        run.run(lambda step: loss(recipe.features, step), validate)
    settle_batch_norm(net, lambda step: loss.images(recipe.features, step), keep=recipe.features_frozen)
    net.to("cpu")


class _Validation:
    """The mean loss over fixed draws of the validation scans, unchanged; leaves the network as it was."""

    def __init__(
        self,
        net: FractureNet,
        scans: Sequence[TrainingScan],
        settings: TrainerSettings,
        device: torch.device,
    ) -> None:
        plain = replace(settings, recipe=_without_changes(settings.recipe))
        self.net, self.loss = net, WeakLabelLoss(net, scans, plain, device)
        batch = settings.recipe.features.batch
        n_images = sum(len(scan.images) for scan in scans)
        self.stage = replace(settings.recipe.features, name="validate", batch=min(batch, 32))
        self.n_batches = max(1, min(VALIDATION_BATCHES, n_images // self.stage.batch))

    def __call__(self) -> float:
        were_training = [module.training for module in self.net.modules()]
        self.net.eval()
        with torch.no_grad():
            losses = [float(self.loss(self.stage, step)) for step in range(self.n_batches)]
        for module, was_training in zip(self.net.modules(), were_training, strict=True):
            module.training = was_training
        return sum(losses) / len(losses)


def _without_changes(recipe: TrainingRecipe) -> TrainingRecipe:
    return replace(recipe, augmentation=UNCHANGED)
