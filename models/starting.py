"""What a training begins from: another model's extractor, public ImageNet weights as a file, or random weights.

Nothing is unpickled: public weights come as safetensors with torchvision's names (docs/training.md: how to convert).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from models.config import ModelConfig
from models.digests import short_digest
from models.heads import FractureNet
from models.loading import LoadedModel, load_model
from models.registry import PICKLE_MAGICS, ModelError, read_part
from models.resnet import load_public_weights

RANDOM = "random"
CONVERT = (
    "it is pickled and is not opened. Convert it where you trust it: "
    'python -c "import torch, safetensors.torch as s; '
    "s.save_file(torch.load('resnet34.pth', weights_only=True), 'resnet34.safetensors')\""
)


class Start(NamedTuple):
    """The extractor to begin with, its config, where it is from, and whether it knows spines already."""

    net: FractureNet
    config: ModelConfig
    origin: str  # in words, with a digest
    is_model: bool


def starting_net(start: str, config: ModelConfig, seed: int) -> Start:
    """`start`: `random`, a .safetensors file of ResNet34 (torchvision's names), or id or folder of a model.

    A model brings the shape of its network and how its pixels are normalised; everything else is `config`'s. Raises
    ModelError (exit 13): no such model, an altered one, a pickle, or weights of another network.
    """
    path = Path(start)
    if start == RANDOM:
        return Start(new_net(config, seed), config, "random weights", False)
    if path.is_file():
        net, (tensors, digest) = new_net(config, seed), _load_public(path)
        _fill(net, tensors)
        return Start(net, config, f"public weights {path.name} (sha256 {short_digest(digest)})", False)
    other = load_model(start)
    # The reader of vertebrae is kept, and heard as before; another view's images may not suit it.
    told = other.config if config.view == other.config.view else other.config.with_bodies("", 0.0)
    shaped = replace(
        told,
        model_id=config.model_id,
        view=config.view,
        is_simulated_only=config.is_simulated_only,
        intended_use=config.intended_use,
        dropout=config.dropout,
    )
    net = new_net(shaped, seed)
    net.load_state_dict(other.net.state_dict())
    return Start(net, shaped, origin_of(other), True)


def origin_of(other: LoadedModel) -> str:
    """What a training says when it begins from another model."""
    return f"the extractor of {other.config.model_id} ({short_digest(other.digest)})"


def new_net(config: ModelConfig, seed: int) -> FractureNet:
    """An extractor with random weights; the seed goes on to what a training draws after."""
    torch.manual_seed(seed)
    return FractureNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _load_public(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    content = read_part(path)
    if content.startswith(PICKLE_MAGICS):
        raise ModelError(f"{path.name}: {CONVERT}")
    try:
        return load_tensors(content), hashlib.sha256(content).hexdigest()
    except SafetensorError as error:
        raise ModelError(f"{path.name} is no safetensors file, or is cut short") from error


def _fill(net: FractureNet, tensors: dict[str, torch.Tensor]) -> None:
    try:
        load_public_weights(net.resnet, tensors)
    except ValueError as error:
        raise ModelError(
            f"the start file holds other weights than torchvision's ResNet34: {error}"
        ) from error
