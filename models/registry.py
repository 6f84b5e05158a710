"""Models on disk: safetensors, config, card and hashes in one directory each; nothing is ever unpickled.

ModelError
├── unknown model, or a directory that is none
├── a hash that does not match, or a file that is missing
└── weights of another network, or of another format
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from models.config import ModelConfig, ViewRecipe
from models.heads import FractureNet
from models.lstm import ScanLstm

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "card.md"
MANIFEST_FILE, OPERATING_POINT_FILE = "manifest.json", "operating_point.json"
SHIPPED = Path(__file__).parent / "weights"
# First bytes of what torch.save and pickle write; named, so that the message can say what to do.
PICKLE_MAGICS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class ModelError(Exception):
    """A model that is not there, was altered, or is none. The command ends with exit code 13."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where "flagged" begins. Beside the model and outside its digest: changing it re-scores nothing."""

    threshold: float  # on the probability that the LSTM's logit gives
    rule: str  # how it was chosen, in words
    chosen_on: str  # which scans


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to score, and what it is."""

    net: FractureNet
    lstm: ScanLstm
    config: ModelConfig
    digest: str  # over weights and config: the identity of every score
    directory: Path


@dataclass(frozen=True)
class ModelListing:
    """What is said about a model without loading its weights."""

    model_id: str
    digest: str
    architecture: str
    view: ViewRecipe
    is_simulated_only: bool
    intended_use: str
    card: str  # Markdown
    n_bytes: int
    directory: Path

    @property
    def view_name(self) -> str:
        """Name of the view that the model reads."""
        return self.view.name


class _Whole(nn.Module):
    """All parameters of a model under one name each."""

    def __init__(self, net: FractureNet, lstm: ScanLstm) -> None:
        super().__init__()
        self.net, self.lstm = net, lstm


def describe_models(root: Path = SHIPPED) -> list[ModelListing]:
    """The models under `root`, by id. Hashes are not checked here (`load_model` does)."""
    found = sorted(path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    return [_listing(directory) for directory in found]


def describe_model(id_or_path: str | Path, root: Path = SHIPPED) -> ModelListing:
    """One model by shipped id or directory, hashes unchecked. Raises ModelError when there is none."""
    return _listing(find_model(id_or_path, root))


def _listing(directory: Path) -> ModelListing:
    config = _read_config(directory)
    return ModelListing(
        model_id=config.model_id,
        digest=str(_read_manifest(directory)["model_digest"]),
        architecture=config.architecture,
        view=config.view,
        is_simulated_only=config.is_simulated_only,
        intended_use=config.intended_use,
        card=_read(directory / CARD_FILE).decode("utf-8"),
        n_bytes=(directory / WEIGHTS_FILE).stat().st_size,
        directory=directory,
    )


def find_model(id_or_path: str | Path, root: Path = SHIPPED) -> Path:
    """The directory of a shipped model's id, or of a path. Raises ModelError when there is none."""
    path = Path(id_or_path)
    for directory in (root / path.name if path.name == str(id_or_path) else path, path):
        if (directory / MANIFEST_FILE).is_file():
            return directory
    known = ", ".join(path.parent.name for path in sorted(root.glob(f"*/{MANIFEST_FILE}"))) or "none"
    raise ModelError(f"no such model; shipped: {known}; a directory with {MANIFEST_FILE} works too")


def verify_model(id_or_path: str | Path, root: Path = SHIPPED) -> None:
    """Check the hashes of a model's weights and config without building the network. Raises ModelError."""
    directory = find_model(id_or_path, root)
    weights, config_bytes = _read(directory / WEIGHTS_FILE), _read(directory / CONFIG_FILE)
    _check_hashes(weights, config_bytes, _read_manifest(directory))


def load_model(
    id_or_path: str | Path, root: Path = SHIPPED, expected_digest: str | None = None
) -> LoadedModel:
    """Load a model by shipped id or directory, on the CPU in fp32, in evaluation mode.

    Raises ModelError when it is missing, when a hash does not match, when it is not of this architecture, or
    when it is another than `expected_digest` (a worker must score with the model that the driver chose).
    """
    directory = find_model(id_or_path, root)
    manifest = _read_manifest(directory)
    weights, config_bytes = _read(directory / WEIGHTS_FILE), _read(directory / CONFIG_FILE)
    _check_hashes(weights, config_bytes, manifest)
    if expected_digest is not None and manifest["model_digest"] != expected_digest:
        raise ModelError("this machine holds another model under that name than the driver")
    config = _read_config(directory)
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
    manifest = _manifest(weights, config_bytes)
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest["model_digest"]


def read_model_card(id_or_path: str | Path, root: Path = SHIPPED) -> str:
    """The model's card, Markdown. Raises ModelError when there is none."""
    return _read(find_model(id_or_path, root) / CARD_FILE).decode("utf-8")


def read_operating_point(id_or_path: str | Path, root: Path = SHIPPED) -> OperatingPoint:
    """The threshold kept beside a model. Raises ModelError when there is none."""
    text = _read(find_model(id_or_path, root) / OPERATING_POINT_FILE)
    try:
        return OperatingPoint(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{OPERATING_POINT_FILE} is not an operating point") from error


def write_operating_point(directory: Path, point: OperatingPoint) -> None:
    """Keep a threshold beside a model."""
    text = json.dumps(
        {"threshold": point.threshold, "rule": point.rule, "chosen_on": point.chosen_on}, indent=2
    )
    (directory / OPERATING_POINT_FILE).write_text(text + "\n")


def _manifest(weights: bytes, config_bytes: bytes) -> dict[str, str]:
    parts = {
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "config_sha256": hashlib.sha256(config_bytes).hexdigest(),
    }
    joined = parts["weights_sha256"] + parts["config_sha256"]
    return {**parts, "model_digest": hashlib.sha256(joined.encode()).hexdigest()}


def _check_hashes(weights: bytes, config_bytes: bytes, manifest: dict[str, Any]) -> None:
    if weights.startswith(PICKLE_MAGICS):
        raise ModelError("the weights are pickled; only safetensors are read")
    for name, value in _manifest(weights, config_bytes).items():
        if manifest.get(name) != value:
            raise ModelError(f"{name} does not match {MANIFEST_FILE}: the model was altered or cut short")


def _tensors(weights: bytes) -> dict[str, Tensor]:
    try:
        return {name: _single(value) for name, value in load_tensors(weights).items()}
    except SafetensorError as error:
        raise ModelError("the weights are not safetensors") from error


def _fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError("the weights belong to another network than the config describes") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} of the model cannot be read") from error


def _read_manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(_read(directory / MANIFEST_FILE))
        return dict(manifest) | {"model_digest": manifest["model_digest"]}
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{MANIFEST_FILE} of the model is damaged") from error


def _read_config(directory: Path) -> ModelConfig:
    try:
        return ModelConfig.from_json(_read(directory / CONFIG_FILE).decode("utf-8"))
    except ValueError as error:
        raise ModelError(f"{CONFIG_FILE} of the model is damaged or of another version") from error


def _half(value: Tensor) -> Tensor:
    kept = value.detach().cpu().contiguous()
    return kept.half() if kept.is_floating_point() else kept


def _single(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value
