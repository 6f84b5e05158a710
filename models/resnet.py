"""ResNet34 as a slice's feature extractor; torchvision's parameter names, so that public weights load."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

# He et al. 2016, table 1, 34 layers: blocks per stage, and their channels.
BLOCKS = (3, 4, 6, 3)
CHANNELS = (64, 128, 256, 512)
OUT_CHANNELS = CHANNELS[-1]
DENSE_CHANNELS = CHANNELS[2]  # of the stride-16 features that the dense head reads
DENSE_STRIDE = 16
# Classifier weights in public state dicts that this network does not have.
FOREIGN_PREFIXES = ("fc.",)


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return cast(Tensor, self.relu(self.bn2(self.conv2(x)) + shortcut))


class ResNet34(nn.Module):
    """The convolutional part of ResNet34. `forward` gives the stride-16 and the stride-32 feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(CHANNELS[0], CHANNELS[0], BLOCKS[0], stride=1)
        self.layer2 = _stage(CHANNELS[0], CHANNELS[1], BLOCKS[1], stride=2)
        self.layer3 = _stage(CHANNELS[1], CHANNELS[2], BLOCKS[2], stride=2)
        self.layer4 = _stage(CHANNELS[2], CHANNELS[3], BLOCKS[3], stride=2)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, 1 or 3, H, W) → features (N, 256, H/16, W/16) and (N, 512, H/32, W/32)."""
        if images.shape[1] == 1 and self.conv1.in_channels == 3:
            images = images.expand(-1, 3, -1, -1)  # "copied to three channels" (Mao 2025)
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # (N, 64, H/4, W/4)
        dense = self.layer3(self.layer2(self.layer1(x)))  # (N, 256, H/16, W/16)
        return dense, self.layer4(dense)


def _stage(in_channels: int, out_channels: int, n_blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1) for _ in range(n_blocks - 1)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def load_public_weights(network: ResNet34, state: dict[str, Tensor]) -> None:
    """Load a torchvision-style ResNet34 state dict (ImageNet). ValueError when it is another network's.

    The 1000-class `fc` is dropped; counters such as `num_batches_tracked` may be absent.
    """
    own = {name: value for name, value in state.items() if not name.startswith(FOREIGN_PREFIXES)}
    try:
        missing, unexpected = network.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise ValueError("the weights have other shapes than ResNet34's") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"not a ResNet34: {len(missing)} tensors missing, {len(unexpected)} unknown")


def fold_batch_norm(network: ResNet34) -> ResNet34:
    """Merge every batch norm into its convolution, and the three equal input channels into one, in place.

    The result computes the same function of one-channel images up to rounding, in fewer passes over memory.
    For inference only.
    """
    network.eval()
    network.conv1 = _merged(network.conv1, network.bn1)
    network.conv1.weight = nn.Parameter(network.conv1.weight.sum(dim=1, keepdim=True))
    network.conv1.in_channels = 1
    network.bn1 = cast(nn.BatchNorm2d, nn.Identity())
    for block in [m for m in network.modules() if isinstance(m, BasicBlock)]:
        block.conv1, block.bn1 = _merged(block.conv1, block.bn1), cast(nn.BatchNorm2d, nn.Identity())
        block.conv2, block.bn2 = _merged(block.conv2, block.bn2), cast(nn.BatchNorm2d, nn.Identity())
        if isinstance(block.downsample, nn.Sequential):
            conv, norm = block.downsample[0], block.downsample[1]
            block.downsample = nn.Sequential(_merged(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm)))
    return network


def _merged(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    return torch.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())
