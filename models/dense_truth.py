"""What dense truth asks of the network: targets for the cells of the dense head, and the loss over them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.augment import LABEL_PX
from models.dataset import FRACTURE_LOSS, FRACTURED, LOSSES, LOW_LOSS, STATUS, UNKNOWN
from models.heads import (
    ALL_DENSE_CHANNELS,
    BODY_CHANNEL,
    FRACTURE_CHANNEL,
    LOSS_CHANNELS,
    LOSS_UNIT,
    row_logits,
)
from models.recipes import TrainingRecipe

# An image shows a fracture when so many places of the body (5 mm apart) are in it, of about a dozen; with fewer, at an
# edge, nobody can say.
PLACES_SHOWN = 5
# A low body counts this many times a sound one, which there are many more of.
LOW_BODY_WEIGHT = 3.0
SMOOTH_L1_BETA = 0.25  # in units of LOSS_UNIT: 5 % of a height


class DenseTargets(NamedTuple):
    """Truth by cell, (N, R, C) each but for `losses` (N, 3, R, C). Weights of 0: unknown."""

    fracture: Tensor
    fracture_weight: Tensor
    body: Tensor
    body_weight: Tensor
    losses: Tensor  # in units of LOSS_UNIT
    loss_weight: Tensor


def dense_targets(labels: Tensor, bodies: Tensor, stride: int, width: float = 0.0) -> DenseTargets:
    """labels (N, H/4, W/4) and bodies (N, 18, 4) → targets of cells of `stride` pixels.

    A cell is fractured as the most fractured of its places is (`fractured_places`), and takes their greatest loss.
    """
    facts = facts_of_places(labels, bodies)  # (N, 4, H/4, W/4)
    per_cell = stride // LABEL_PX
    status = facts[:, STATUS]
    is_body = (labels > 0).float()
    worst = _most(facts[:, LOSSES], per_cell)  # (N, 3, R, C), −1: none known
    fracture = _most(fractured_places(facts, width), per_cell)
    is_unknown = _most((status == UNKNOWN).float(), per_cell)
    is_fractured = _most((status == FRACTURED).float(), per_cell)
    is_low = (worst.amax(dim=1) >= LOW_LOSS).float()
    body = _most(is_body, per_cell)
    known = (worst.amin(dim=1) >= 0).float() * body
    is_all_marked = (bodies[:, 0, LOSSES].amin(dim=1) >= 0).float()[:, None, None]
    return DenseTargets(
        fracture=fracture,
        fracture_weight=torch.maximum(is_fractured, 1 - is_unknown),
        body=body,
        body_weight=torch.maximum(body, is_all_marked.expand_as(body)),
        losses=worst.clamp(min=0) / LOSS_UNIT,
        loss_weight=known * (1 + (LOW_BODY_WEIGHT - 1) * is_low),
    )


def soft_step(losses: Tensor, width: float) -> Tensor:
    """Lost shares of a height → 0 for sound to 1 for fractured, a step as wide as `width` (a share as well).

    Losses of 19 % and of 21 % look alike: told they are opposites, a network learns their noise by heart.
    """
    return torch.sigmoid((losses - FRACTURE_LOSS) / width)


def fractured_places(facts: Tensor, width: float) -> Tensor:
    """facts (N, 4, h, w) → whether each place lies in a fractured body, (N, h, w): 0 or 1.

    With a `width`, by the loss where it is known (`soft_step`). 0 where the status is unknown.
    """
    status, losses = facts[:, STATUS], facts[:, LOSSES]
    hard = (status == FRACTURED).float()
    if not width:
        return hard
    is_measured = (losses.amin(dim=1) >= 0) & (status != UNKNOWN)
    return torch.where(is_measured, soft_step(losses.amax(dim=1), width), hard)


def facts_of_places(labels: Tensor, bodies: Tensor) -> Tensor:
    """labels (N, h, w) and bodies (N, 18, 4) → what is known at each place, (N, 4, h, w)."""
    n, height, width = labels.shape
    index = labels.flatten(1)[:, :, None].expand(-1, -1, bodies.shape[2])
    return bodies.gather(1, index).transpose(1, 2).reshape(n, -1, height, width)


def _most(values: Tensor, per_cell: int) -> Tensor:
    """The greatest of the per_cell × per_cell places of each cell, over the last two axes."""
    return F.max_pool2d(values, per_cell)


def image_labels(labels: Tensor, bodies: Tensor, width: float = 0.0) -> tuple[Tensor, Tensor]:
    """How fractured each image's most fractured body is, (N,) in 0…1, and 1 where that is known, else 0."""
    facts = facts_of_places(labels, bodies)
    status = facts[:, STATUS]
    fractured = (status == FRACTURED).flatten(1).sum(dim=1)
    is_unknown = (status == UNKNOWN).flatten(1).any(dim=1)
    is_clear = (fractured >= PLACES_SHOWN) | ((fractured == 0) & ~is_unknown)
    shown = fractured_places(facts, width).flatten(1).topk(PLACES_SHOWN, dim=1).values[:, -1]
    return shown, is_clear.float()


def dense_loss(cells: Tensor, targets: DenseTargets, recipe: TrainingRecipe) -> Tensor:
    """Which row holds a fractured body, and which cell of it; and what else the dense head has channels for.

    cells (N, channels, R, C).
    """
    logits = cells[:, FRACTURE_CHANNEL]
    each = F.binary_cross_entropy_with_logits(logits, targets.fracture, targets.fracture_weight)
    rows = F.binary_cross_entropy_with_logits(
        row_logits(logits), targets.fracture.amax(dim=2), targets.fracture_weight.amin(dim=2)
    )
    total = recipe.dense_row_weight * rows + recipe.dense_cell_weight * each
    if cells.shape[1] < ALL_DENSE_CHANNELS:
        return total
    body = F.binary_cross_entropy_with_logits(cells[:, BODY_CHANNEL], targets.body, targets.body_weight)
    off = F.smooth_l1_loss(cells[:, LOSS_CHANNELS], targets.losses, reduction="none", beta=SMOOTH_L1_BETA)
    weights = targets.loss_weight[:, None].expand_as(off)
    heights = (off * weights).sum() / weights.sum().clamp(min=1)
    return total + recipe.dense_body_weight * body + recipe.dense_loss_weight * heights
