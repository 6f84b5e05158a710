"""Random changes to how a batch of images looks, far beyond any simulator: shape is all that stays.

Each change has a range in `Augmentation` and is drawn for every image by itself; 0 leaves it out.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.recipes import Augmentation

TONE_KNOTS = 6  # of the random curve from grey to grey
COARSE_PX = 16  # what varies more slowly than this is background, the rest texture
GRAINS_PX = (1, 2, 4, 9)  # of noise, from fine to blotchy
FIELD_PX = 48  # of the slow change of brightness over an image
HOLE_SHARE = (0.12, 0.4)  # side of a hole, as a share of the image's
N_BODIES = 18
# The shell of a body: so far outside and inside the edge of its label, which is good to a pixel.
CORTEX_OUT_PX, CORTEX_IN_PX = 1, 3
MARROW_PX = 8  # marrow so far from a place of the shell is what it fades to


def uniform(n: int, half_range: float, generator: torch.Generator) -> Tensor:
    """(n,) between ± half_range."""
    return (torch.rand(n, generator=generator) * 2 - 1) * half_range


def change_intensity(
    images: Tensor, labels: Tensor, ranges: Augmentation, generator: torch.Generator
) -> Tensor:
    """images (N, 1, H, W) in 0…1, labels (N, H/4, W/4) → changed in look, in 0…1."""
    out = images
    if ranges.body_offset:
        out = out + _body_offsets(labels, out.shape, ranges.body_offset, generator)
    if ranges.mix:
        out = _mix(out, ranges.mix, generator)
    if ranges.sharpen:
        out = _sharpen(out, ranges.sharpen, generator)
    if ranges.blur_px or ranges.slice_blur_px:
        out = _blur_all(out, ranges, generator)
    if ranges.coarsen:
        out = _coarsen(out, ranges.coarsen, generator)
    out = _tones(out, ranges, generator)
    out = out + _grain(out, ranges, generator)
    if ranges.hole_share:
        out = _holes(out, ranges.hole_share, generator)
    return out.clamp(0, 1)


def _draw(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator)[:, None, None, None]


def _chosen(n: int, share: float, generator: torch.Generator) -> Tensor:
    """(n, 1, 1, 1), 1 for about that share of the images."""
    return (_draw(n, generator) < share).float()


def _spread(n: int, half_range: float, generator: torch.Generator) -> Tensor:
    return uniform(n, half_range, generator)[:, None, None, None]


def _body_offsets(labels: Tensor, shape: torch.Size, most: float, generator: torch.Generator) -> Tensor:
    """Each body denser or thinner by a number of its own, in half of the images: density says nothing."""
    n = len(labels)
    table = (torch.rand(n, N_BODIES, generator=generator) * 2 - 1) * most
    table = table * _chosen(n, 0.5, generator)[:, :, 0, 0]
    table[:, 0] = 0
    coarse = table.gather(1, labels.flatten(1)).view(n, 1, *labels.shape[1:])
    return F.interpolate(coarse, size=shape[2:], mode="bilinear", align_corners=False)


def fade_cortex(images: Tensor, bodies: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cortex and endplates fainter, down to the grey of the marrow inside them, in `share` of the images.

    images and bodies (N, 1, H, W), 1 inside a body. Where the shell is no brighter than its marrow nothing changes.
    """
    n = len(images)
    inner = 1 - _widened(1 - bodies, CORTEX_IN_PX)
    shell = _widened(bodies, CORTEX_OUT_PX) - inner
    seen = _mean_around(inner, MARROW_PX)
    marrow = _mean_around(images * inner, MARROW_PX) / seen.clamp(min=1e-6)
    excess = torch.where(seen > 0, (images - marrow).clamp(min=0), torch.zeros_like(images))
    return images - _chosen(n, share, generator) * _draw(n, generator) * shell * excess


def _mean_around(images: Tensor, px: int) -> Tensor:
    """Over a square of 2 px + 1, zeros outside; along the rows, then across: an eighth of the work for 8."""
    size = 2 * px + 1
    return F.avg_pool2d(F.avg_pool2d(images, (size, 1), 1, (px, 0)), (1, size), 1, (0, px))


def _widened(mask: Tensor, px: int) -> Tensor:
    size = 2 * px + 1
    return F.max_pool2d(F.max_pool2d(mask, (size, 1), 1, (px, 0)), (1, size), 1, (0, px))


def _mix(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Background or texture of another image of the batch over this one's, in `share` of the images each."""
    n = len(images)
    other = images[torch.randperm(n, generator=generator)]
    own_slow, other_slow = _slow(images), _slow(other)
    background = _chosen(n, share, generator) * _draw(n, generator) * 0.6
    texture = _chosen(n, share, generator) * _spread(n, 0.35, generator)
    return images + background * (other_slow - own_slow) + texture * (other - other_slow)


def _slow(images: Tensor) -> Tensor:
    small = F.avg_pool2d(images, COARSE_PX, ceil_mode=True)
    return F.interpolate(small, size=images.shape[2:], mode="bilinear", align_corners=False)


def _sharpen(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Cortex against marrow: more of what a small blur takes away, or less."""
    n = len(images)
    strength = _spread(n, most, generator) + 0.3 * most
    return images + strength * (images - F.avg_pool2d(images, 3, 1, 1, count_include_pad=False))


def _blur_all(images: Tensor, ranges: Augmentation, generator: torch.Generator) -> Tensor:
    n = len(images)
    across = torch.rand(n, generator=generator) * ranges.blur_px
    thick = (torch.rand(n, generator=generator) < 0.4).float() * torch.rand(n, generator=generator)
    along = (across**2 + (thick * ranges.slice_blur_px) ** 2).sqrt()
    return blur(images, along, across)


def blur(images: Tensor, rows_px: Tensor, cols_px: Tensor) -> Tensor:
    """Gaussian blur of 7 taps, sigmas (N,) per image along its rows' order and across."""
    taps = torch.arange(-3, 4).float()
    moved = images.transpose(0, 1)  # (1, N, H, W): a group per image
    n = len(images)
    for sigma, pad, shape in ((cols_px, (3, 3, 0, 0), (n, 1, 1, 7)), (rows_px, (0, 0, 3, 3), (n, 1, 7, 1))):
        kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=1e-3)[:, None]) ** 2)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        moved = F.conv2d(F.pad(moved, pad, mode="replicate"), kernel.view(shape), groups=n)
    return moved.transpose(0, 1)


def _coarsen(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """In `share` of the images: rows (and in some columns too) of twice or thrice the size, steps or slopes."""
    out = images.clone()
    for index in torch.nonzero(torch.rand(len(images), generator=generator) < share).flatten().tolist():
        draw = torch.rand(3, generator=generator).tolist()
        factor = 1.5 + 1.7 * draw[0]
        height, width = images.shape[2:]
        small = (max(1, round(height / factor)), round(width / factor) if draw[1] < 0.3 else width)
        coarse = F.interpolate(images[index : index + 1], size=small, mode="area")
        steps = draw[2] < 0.4
        out[index] = F.interpolate(coarse, size=(height, width), mode="nearest" if steps else "bilinear")[0]
    return out


def _tones(images: Tensor, ranges: Augmentation, generator: torch.Generator) -> Tensor:
    """Another curve from grey to grey: gamma, a random rising one, gain and offset."""
    n = len(images)
    out = images.clamp(0, 1)
    if ranges.gamma:
        out = out ** torch.exp(_spread(n, ranges.gamma, generator))
    if ranges.tone:
        out = _random_curve(out, ranges.tone, generator)
    gain = 1 + _spread(n, ranges.gain, generator)
    out = out * gain + _spread(n, ranges.offset, generator)
    if ranges.field:
        out = out * (1 + ranges.field * _noise(out, FIELD_PX, generator).clamp(-2, 2))
    return out


def _random_curve(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Piecewise linear and rising; `most` 0 leaves all as it is, 1 lets each piece be three times as steep or flat."""
    n = len(images)
    steps = torch.exp((torch.rand(n, TONE_KNOTS, generator=generator) * 2 - 1) * math.log(3.0) * most)
    ends = torch.cat([torch.zeros(n, 1), (steps / steps.sum(dim=1, keepdim=True)).cumsum(dim=1)], dim=1)
    where = images.flatten(1) * TONE_KNOTS
    low = where.long().clamp(0, TONE_KNOTS - 1)
    first, last = ends.gather(1, low), ends.gather(1, low + 1)
    return (first + (last - first) * (where - low)).view_as(images)


def _grain(images: Tensor, ranges: Augmentation, generator: torch.Generator) -> Tensor:
    """Noise of several grains, most images with little of it and some with much."""
    n = len(images)
    total = torch.zeros_like(images)
    for amplitude, step in ((ranges.noise, GRAINS_PX[0]), (ranges.blotch, GRAINS_PX[1]), (ranges.blotch, GRAINS_PX[2]),
                            (ranges.blotch / 2, GRAINS_PX[3])):  # fmt: skip
        if amplitude:
            total += amplitude * _draw(n, generator) ** 2 * _noise(images, step, generator)
    return total


def _noise(images: Tensor, step: int, generator: torch.Generator) -> Tensor:
    n, _, height, width = images.shape
    field = torch.randn(n, 1, math.ceil(height / step) + 1, math.ceil(width / step) + 1, generator=generator)
    if step == 1:
        return field[:, :, :height, :width]
    return F.interpolate(field, size=(height, width), mode="bilinear", align_corners=False)


def _holes(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """In `share` of the images a rectangle at the front or back edge filled with one grey: other organs, other air."""
    n, _, height, width = images.shape
    rows, cols = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    low, high = HOLE_SHARE
    draw = torch.rand(n, 6, generator=generator)
    tall = (low + (high - low) * draw[:, 0]) * 2 * height
    wide = (low + (high - low) * draw[:, 1]) * width * 0.6
    top = (draw[:, 2] * height)[:, None, None]
    left = torch.where(draw[:, 3] < 0.65, torch.zeros(n), width - wide)[:, None, None]
    inside = (rows >= top) & (rows < top + tall[:, None, None])
    inside = inside & (cols >= left) & (cols < left + wide[:, None, None])
    inside = inside & (draw[:, 4] < share)[:, None, None]
    return torch.where(inside[:, None], draw[:, 5][:, None, None, None], images)
