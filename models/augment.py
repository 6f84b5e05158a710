"""Random changes to a batch of training images: geometry, the labels of bodies moved along, then intensity."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.appearance import change_intensity, fade_cortex, uniform
from models.recipes import Augmentation

# Labels are read at every fourth pixel: sixteen (or four) places in a cell of the dense head.
LABEL_PX = 4


def augment(
    images: Tensor, labels: Tensor, size: tuple[int, int], ranges: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """images (N, H, W) and labels (N, h, w) of the same places, uint8 → images (N, 1, *size) in 0…1 and labels
    (N, *size / 4), moved alike; the sides of `size` are multiples of four.
    """
    grid = sampling_grid(images.shape, size, ranges, generator)
    warped = F.grid_sample(
        images.float()[:, None] / 255, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    middles = 0.5 * (grid[:, 1::LABEL_PX, 1::LABEL_PX] + grid[:, 2::LABEL_PX, 2::LABEL_PX])
    moved = F.grid_sample(
        labels.float()[:, None], middles, mode="nearest", padding_mode="zeros", align_corners=False
    )
    found = moved[:, 0].round().long()
    if ranges.cortex:
        inside = F.grid_sample((labels > 0).float()[:, None], grid, mode="bilinear", align_corners=False)
        warped = fade_cortex(warped, (inside > 0.5).float(), ranges.cortex, generator)
    return change_intensity(warped, found, ranges, generator), found


def sampling_grid(
    shape: torch.Size, size: tuple[int, int], ranges: Augmentation, generator: torch.Generator
) -> Tensor:
    """Where each pixel of the result comes from, (N, *size, 2) as x and y in −1…1 of images of `shape` (N, H, W)."""
    n, height, width = shape[0], shape[-2], shape[-1]
    angle = uniform(n, math.radians(ranges.rotate_deg), generator)
    scale = 1 + uniform(n, ranges.scale, generator)
    stretch = 1 + uniform(n, ranges.stretch, generator)
    shift_x, shift_y = uniform(n, ranges.shift_px, generator), uniform(n, ranges.rise_px, generator)
    rows = torch.arange(size[0]) - (size[0] - 1) / 2
    cols = torch.arange(size[1]) - (size[1] - 1) / 2
    y, x = torch.meshgrid(rows, cols, indexing="ij")  # pixels from the middle
    cos, sin = (angle.cos() * scale)[:, None, None], (angle.sin() * scale)[:, None, None]
    old_x = cos * x - sin * y + shift_x[:, None, None] + _bend(y, n, ranges.bend_px, generator)
    old_y = (sin * x + cos * y) * stretch[:, None, None] + shift_y[:, None, None]
    return torch.stack([old_x * 2 / width, old_y * 2 / height], dim=3)


def _bend(y: Tensor, n: int, most_px: float, generator: torch.Generator) -> Tensor:
    """A wave along the spine that moves rows to the front and back: heights along the rows stay as they are."""
    if not most_px:
        return torch.zeros(n, 1, 1)
    amplitude = uniform(n, most_px, generator)[:, None, None]
    turns = (0.3 + 0.9 * torch.rand(n, generator=generator))[:, None, None] / y.shape[0]
    phase = torch.rand(n, generator=generator)[:, None, None] * 2 * math.pi
    return amplitude * torch.sin(2 * math.pi * turns * y[None] + phase)
