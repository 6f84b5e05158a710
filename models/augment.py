"""Random changes to a batch of training images: geometry and intensity, the mask of lesions moved along."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.recipes import Augmentation

# A cell of the dense head counts as fractured when this share of it lies in a fractured body.
CELL_SHARE = 0.25


def augment(
    images: Tensor, masks: Tensor, size: tuple[int, int], ranges: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """images, masks (N, H, W) uint8 → images (N, 1, *size) in 0…1 and masks (N, 1, *size), moved alike."""
    both = torch.stack([images.float() / 255, masks.float()], dim=1)  # (N, 2, H, W)
    grid = _sampling_grid(both.shape, size, ranges, generator)
    warped = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return change_intensity(warped[:, :1], ranges, generator), warped[:, 1:]


def _sampling_grid(
    shape: torch.Size, size: tuple[int, int], ranges: Augmentation, generator: torch.Generator
) -> Tensor:
    n, height, width = shape[0], shape[2], shape[3]
    angle = _uniform(n, math.radians(ranges.rotate_deg), generator)
    scale = 1 + _uniform(n, ranges.scale, generator)
    stretch = 1 + _uniform(n, ranges.stretch, generator)
    shift = torch.stack([_uniform(n, ranges.shift_px, generator) for _ in range(2)], dim=1)  # (N, 2): x, y
    rows = torch.arange(size[0]) - (size[0] - 1) / 2
    cols = torch.arange(size[1]) - (size[1] - 1) / 2
    y, x = torch.meshgrid(rows, cols, indexing="ij")  # pixels from the middle
    cos, sin = (angle.cos() * scale)[:, None, None], (angle.sin() * scale)[:, None, None]
    old_x = cos * x - sin * y + shift[:, 0, None, None]
    old_y = (sin * x + cos * y) * stretch[:, None, None] + shift[:, 1, None, None]
    return torch.stack([old_x * 2 / width, old_y * 2 / height], dim=3)  # (N, *size, 2), −1…1


def change_intensity(images: Tensor, ranges: Augmentation, generator: torch.Generator) -> Tensor:
    """images (N, 1, H, W) in 0…1 → blurred, bent, scaled, shifted and made noisy, drawn per image."""
    n = len(images)
    out = _blur(images, torch.rand(n, generator=generator) * ranges.blur_px) if ranges.blur_px else images
    if ranges.gamma:
        out = out.clamp(0, 1) ** torch.exp(_uniform(n, ranges.gamma, generator))[:, None, None, None]
    gain = 1 + _uniform(n, ranges.gain, generator)[:, None, None, None]
    out = out * gain + _uniform(n, ranges.offset, generator)[:, None, None, None]
    out = out + _grain(out.shape, ranges, generator)
    return out.clamp(0, 1)


def _grain(shape: torch.Size, ranges: Augmentation, generator: torch.Generator) -> Tensor:
    n, _, height, width = shape
    total = torch.zeros(shape)
    for amplitude, step in ((ranges.noise, 1), (ranges.blotch, 3)):
        if not amplitude:
            continue
        strength = torch.rand(n, generator=generator)[:, None, None, None] * amplitude
        field = torch.randn(n, 1, math.ceil(height / step), math.ceil(width / step), generator=generator)
        total += strength * F.interpolate(field, size=(height, width), mode="bilinear", align_corners=False)
    return total


def _blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """Gaussian blur of 5 taps, one sigma per image."""
    taps = torch.arange(-2, 3).float()
    kernel = torch.exp(-0.5 * (taps / sigma_px.clamp(min=1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (N, 5)
    moved = images.transpose(0, 1)  # (1, N, H, W): a group per image
    n = len(images)
    moved = F.conv2d(F.pad(moved, (2, 2, 0, 0), mode="replicate"), kernel.view(n, 1, 1, 5), groups=n)
    moved = F.conv2d(F.pad(moved, (0, 0, 2, 2), mode="replicate"), kernel.view(n, 1, 5, 1), groups=n)
    return moved.transpose(0, 1)


def _uniform(n: int, half_range: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * half_range


def cell_targets(masks: Tensor, stride: int) -> Tensor:
    """masks (N, 1, H, W) in 0…1 → 1.0 for each stride × stride cell that a fractured body fills enough of."""
    share = F.avg_pool2d(masks, stride)[:, 0]  # (N, H/stride, W/stride)
    return (share >= CELL_SHARE).float()
