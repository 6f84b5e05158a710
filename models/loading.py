"""Networks from models on disk, and back: the part of the registry that needs torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from models.config import ModelConfig
from models.heads import FractureNet
from models.lstm import ScanLstm
from models.registry import (
    CARD_FILE,
    CONFIG_FILE,
    MANIFEST_FILE,
    SHIPPED,
    WEIGHTS_FILE,
    ModelError,
    check_hashes,
    check_parts,
    find_model,
    make_manifest,
    read_config,
    read_manifest,
    read_part,
)


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to score, and what it is."""

    net: FractureNet
    lstm: ScanLstm
    config: ModelConfig
    digest: str  # over weights and config: the identity of every score
    directory: Path


class _Whole(nn.Module):
    """All parameters of a model under one name each."""

    def __init__(self, net: FractureNet, lstm: ScanLstm) -> None:
        super().__init__()
        self.net, self.lstm = net, lstm


def load_model(
    id_or_path: str | Path, root: Path = SHIPPED, expected_digest: str | None = None
) -> LoadedModel:
    """Load a model by shipped id or directory, on the CPU in fp32, in evaluation mode.

    Raises ModelError when it is missing, when a hash does not match, when it is not of this architecture, or
    when it is another than `expected_digest` (a worker must score with the model that the driver chose).
    """
    directory = find_model(id_or_path, root)
    manifest = read_manifest(directory)
    weights, config_bytes = read_part(directory / WEIGHTS_FILE), read_part(directory / CONFIG_FILE)
    check_hashes(weights, config_bytes, manifest)
    if expected_digest is not None and manifest["model_digest"] != expected_digest:
        raise ModelError("this machine holds another model under that name than the driver")
    config = read_config(directory)
    check_parts(config)
    # Without numbers: to draw 21 million that are then replaced takes a quarter of a second.
    with torch.device("meta"):
        net, lstm = FractureNet(config), ScanLstm(config)
    _fill(_Whole(net, lstm), _tensors(weights))
    net.eval(), lstm.eval()
    return LoadedModel(net, lstm, config, str(manifest["model_digest"]), directory)


def save_model(directory: Path, net: FractureNet, lstm: ScanLstm, config: ModelConfig, card: str) -> str:
    """Write a model as fp16 safetensors with its config, card and hashes; returns the digest."""
    directory.mkdir(parents=True, exist_ok=True)
    state = _Whole(net, lstm).state_dict()
    weights = dump_tensors({name: _half(value) for name, value in state.items()}, {"format": "pt"})
    config_bytes = config.to_json().encode()
    (directory / WEIGHTS_FILE).write_bytes(weights)
    (directory / CONFIG_FILE).write_bytes(config_bytes)
    (directory / CARD_FILE).write_text(card, encoding="utf-8")
    manifest = make_manifest(weights, config_bytes)
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest["model_digest"]


def _tensors(weights: bytes) -> dict[str, Tensor]:
    try:
        return {name: _single(value) for name, value in load_tensors(weights).items()}
    except SafetensorError as error:
        raise ModelError("the weights are not safetensors") from error


def _fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise ModelError("the weights belong to another network than the config describes") from error


def _half(value: Tensor) -> Tensor:
    kept = value.detach().cpu().contiguous()
    return kept.half() if kept.is_floating_point() else kept


def _single(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value
