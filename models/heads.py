"""The heads on the extractor: 512 → 32 → 1 for a slice, and a dense one that says where the fracture is."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import ModelConfig
from models.resnet import DENSE_CHANNELS, DENSE_STRIDE, OUT_CHANNELS, ResNet34

# Start the dense head near the rate of what it looks for, so that the first steps are not spent on the bias.
DENSE_PRIOR = 0.02
# What the channels of the dense head say of a cell. Losses are in units of LOSS_UNIT.
FRACTURE_CHANNEL, BODY_CHANNEL, LOSS_CHANNELS = 0, 1, slice(2, 5)
ALL_DENSE_CHANNELS = 5
LOSS_UNIT = 0.2  # a loss of 20 %, where a fracture begins (Genant 1993), is 1


class SliceHead(nn.Module):
    """512 → 32 → 1. Batch norm and ReLU after the first layer only: ReLU before a sigmoid never says no."""

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(OUT_CHANNELS, feature_size)
        self.bn = nn.BatchNorm1d(feature_size)
        self.fc2 = nn.Linear(feature_size, 1)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """pooled (N, 512) → features (N, 32) and logits (N,)."""
        features = torch.relu(self.bn(self.fc1(pooled)))
        return features, self.fc2(features).squeeze(1)


class DenseHead(nn.Module):
    """What each cell of the image holds: a fractured vertebra? a vertebra at all? how much height is lost?

    Reads the stride-16 features; with a stride of 8 each of them speaks for four cells. The first channel is a
    logit for "fractured"; more are taught in pre-training only, so that the features know heights.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.per_feature = DENSE_STRIDE // config.dense_stride
        self.hidden = nn.Conv2d(DENSE_CHANNELS, config.dense_hidden, 1)
        self.out = nn.Conv2d(config.dense_hidden, config.dense_channels * self.per_feature**2, 1)
        nn.init.zeros_(cast(Tensor, self.out.bias))
        with torch.no_grad():
            fracture = cast(Tensor, self.out.bias)[: self.per_feature**2]
            fracture.fill_(math.log(DENSE_PRIOR / (1 - DENSE_PRIOR)))

    def forward(self, dense: Tensor) -> Tensor:
        """dense (N, 256, H/16, W/16) → cells (N, channels, H/stride, W/stride)."""
        said = self.out(torch.relu(self.hidden(dense)))
        return said if self.per_feature == 1 else F.pixel_shuffle(said, self.per_feature)


def row_logits(cell_logits: Tensor) -> Tensor:
    """Cell logits (N, R, C) → row logits (N, R): the largest cell speaks for its row."""
    return cell_logits.amax(dim=2)


class SliceOutput(NamedTuple):
    """What the extractor says about N images: features (N, 32), logits (N,), cells (N, channels, R, C)."""

    features: Tensor
    logits: Tensor
    cells: Tensor

    @property
    def cell_logits(self) -> Tensor:
        """Logits of "fractured" by cell, (N, R, C)."""
        return self.cells[:, FRACTURE_CHANNEL]


class FractureNet(nn.Module):
    """ResNet34 + slice head + dense head: the extractor, before any aggregation over slices."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.resnet = ResNet34()
        self.head = SliceHead(config.feature_size)
        self.dense_head = DenseHead(config)

    def forward(self, images: Tensor) -> SliceOutput:
        """images (N, 1, H, W), normalised → `SliceOutput`, in fp32 whatever the convolutions ran in."""
        dense, deep = self.resnet(images)
        cells = self.dense_head(dense).float()
        with torch.autocast(images.device.type, enabled=False):
            features, logits = self.head(self.pool(deep, cells))
        return SliceOutput(features, logits, cells)

    def pool(self, deep: Tensor, cells: Tensor) -> Tensor:
        """Feature map (N, 512, h, w) and cells → (N, 512) in fp32, as the config's `pooling` says."""
        if self.pooling == "mean":
            return deep.float().mean(dim=(2, 3))
        return focus(deep.float(), cells[:, FRACTURE_CHANNEL])


def focus(deep: Tensor, cell_logits: Tensor) -> Tensor:
    """deep (N, 512, h, w) averaged where the cells (N, R, C) say "fractured": weights are a softmax of their logits.

    Where nothing is suspicious all places count about the same; one clear fracture speaks for its image.
    """
    at_deep = F.adaptive_max_pool2d(
        cell_logits[:, None], deep.shape[2:]
    )  # (N, 1, h, w): the worst cell of each
    weights = at_deep.flatten(1).softmax(dim=1)[:, None]  # (N, 1, h·w)
    return (deep.flatten(2) * weights).sum(dim=2)
