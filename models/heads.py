"""The heads on the extractor: 512 → 32 → 1 for a slice, and a dense one that says where the fracture is."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.resnet import DENSE_CHANNELS, OUT_CHANNELS, ResNet34

DENSE_HIDDEN = 64
# Start both heads near the rate of what they look for, so that the first steps are not spent on the bias.
DENSE_PRIOR = 0.02


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
    """A logit for each 16 × 16-pixel cell of the stride-16 features: does it hold a fractured vertebra?

    Used in pre-training only, as an auxiliary task; a row's logit is its widest cell's, whatever the width.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(DENSE_CHANNELS, DENSE_HIDDEN, 1)
        self.out = nn.Conv2d(DENSE_HIDDEN, 1, 1)
        nn.init.constant_(cast(Tensor, self.out.bias), math.log(DENSE_PRIOR / (1 - DENSE_PRIOR)))

    def forward(self, dense: Tensor) -> Tensor:
        """dense (N, 256, H/16, W/16) → cell logits (N, H/16, W/16)."""
        return cast(Tensor, self.out(torch.relu(self.hidden(dense))).squeeze(1))


def row_logits(cell_logits: Tensor) -> Tensor:
    """Cell logits (N, R, C) → row logits (N, R): the largest cell speaks for its row."""
    return cell_logits.amax(dim=2)


class SliceOutput(NamedTuple):
    """What the extractor says about N images: features (N, 32), logits (N,), cells (N, H/16, W/16)."""

    features: Tensor
    logits: Tensor
    cell_logits: Tensor


class FractureNet(nn.Module):
    """ResNet34 + slice head + dense head: the extractor, before any aggregation over slices."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.resnet = ResNet34()
        self.head = SliceHead(config.feature_size)
        self.dense_head = DenseHead()

    def forward(self, images: Tensor) -> SliceOutput:
        """images (N, 1, H, W), normalised → `SliceOutput`."""
        dense, deep = self.resnet(images)
        features, logits = self.head(pool(deep))
        return SliceOutput(features, logits, self.dense_head(dense))


def pool(deep: Tensor) -> Tensor:
    """Feature map (N, 512, h, w) → (N, 512), the mean over the image, in fp32."""
    return deep.float().mean(dim=(2, 3))
