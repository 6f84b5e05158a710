"""Models on disk: safetensors, config, card and hashes in one directory each; nothing is ever unpickled.

Says what there is and whether it is unaltered; `loading.py` builds the networks. Imports no torch: what only
asks which model there is (the driver of a sweep, every error message) need not wait seconds for it.

ModelError
├── unknown model, or a directory that is none
├── a hash that does not match, or a file that is missing
└── weights of another network, or of another format
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from models.config import ModelConfig, ViewKind, ViewRecipe
from models.digests import is_digits, is_named_by
from models.pooling import sigmoid

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "card.md"
MANIFEST_FILE, OPERATING_POINT_FILE = "manifest.json", "operating_point.json"
SHIPPED = Path(__file__).parent / "weights"
# First bytes of what torch.save and pickle write; named, so that the message can say what to do.
PICKLE_MAGICS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class ModelError(Exception):
    """A model that is not there, was altered, or is none. The command ends with exit code 13."""


@dataclass(frozen=True)
class PartKind:
    """Small networks that come with the program: a config names one, and so does its digest; not a byte may differ."""

    words: str
    folder: Path
    sha256_by_name: dict[str, str]

    def path(self, name: str) -> Path:
        """Where the weights of that name lie."""
        return self.folder / f"{name}.safetensors"

    def read(self, name: str) -> bytes:
        """The weights of that name. Raises ModelError: missing, altered, or unknown."""
        content = read_part(self.path(name))
        if hashlib.sha256(content).hexdigest() != self.sha256_by_name.get(name):
            raise ModelError(f"the weights of the {self.words} {name!r} were altered: install ovf again")
        return content


MIDLINE_FINDERS = PartKind(
    "midline finder",
    Path(__file__).parent / "midlines",
    {"spine-1": "da99de36ddf3181c416164b536bdd6cee1764cc976773ecb66273b5563c509ad"},
)
BODY_READERS = PartKind(
    "reader of vertebrae",
    Path(__file__).parent / "readers",
    {"bodies-3": "c1410b1653192cd72d74163da86eb0e6e89be0f0d36cb48429842e6abb449026"},
)


@dataclass(frozen=True)
class OperatingPoint:
    """Where "flagged" begins. Beside the model and outside its digest: changing it re-scores nothing."""

    threshold: float  # on the calibrated probability
    rule: str  # how it was chosen, in words
    chosen_on: str  # which scans
    calibration_slope: float = 1.0  # a and b in probability = 1 / (1 + exp(-(a * logit + b)))
    calibration_intercept: float = 0.0
    case_share: float | None = None  # of cases among the scans that it holds for; None: not told

    def probability(self, logit: float) -> float:
        """The calibrated probability of a raw logit, which the threshold is on."""
        return float(sigmoid(np.array([self.calibration_slope * logit + self.calibration_intercept]))[0])

    def is_flagged(self, logit: float) -> bool:
        """Whether a scan with this raw logit is flagged."""
        return self.probability(logit) >= self.threshold


@dataclass(frozen=True)
class ModelListing:
    """What is said about a model without loading its weights."""

    model_id: str
    digest: str
    architecture: str
    bodies: str  # the reader of vertebrae that is heard beside the LSTM; empty: none
    body_weight: float
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


def describe_models(root: Path = SHIPPED) -> list[ModelListing]:
    """The models under `root`, by id, without damaged ones. Hashes are not checked here (`load_model` does)."""
    return [model for _, model in model_folders(root) if isinstance(model, ModelListing)]


def model_folders(root: Path = SHIPPED) -> Iterator[tuple[Path, ModelListing | ModelError]]:
    """Each folder under `root` that holds a manifest, by name, and its model or why it cannot be described."""
    for path in sorted(root.glob(f"*/{MANIFEST_FILE}")):
        try:
            yield path.parent, _listing(path.parent)
        except ModelError as error:
            yield path.parent, error


def describe_model(id_or_path: str | Path, root: Path = SHIPPED) -> ModelListing:
    """One model by shipped id, its digest or directory, hashes unchecked. Raises ModelError when there is none."""
    return _listing(find_model(id_or_path, root))


def _listing(directory: Path) -> ModelListing:
    config = read_config(directory)
    return ModelListing(
        model_id=config.model_id,
        digest=str(read_manifest(directory)["model_digest"]),
        architecture=config.architecture,
        bodies=config.bodies,
        body_weight=config.body_weight,
        view=config.view,
        is_simulated_only=config.is_simulated_only,
        intended_use=config.intended_use,
        card=read_part(directory / CARD_FILE).decode("utf-8", errors="replace"),
        n_bytes=_size(directory / WEIGHTS_FILE),
        directory=directory,
    )


def installed_weights(name: str, digest: str, root: Path = SHIPPED) -> ModelListing | None:
    """The model of that digest: the one of this name, or of any name under `root`. None where there is none."""
    for each in (name, digest):
        try:
            found = describe_model(each, root)
        except ModelError:
            continue
        if found.digest == digest:
            return found
    return None


def find_model(id_or_path: str | Path, root: Path = SHIPPED) -> Path:
    """The directory of a shipped model's id or digest, or of a path. Raises ModelError when there is none."""
    path = Path(id_or_path)
    for directory in (root / path.name if path.name == str(id_or_path) else path, path):
        if (directory / MANIFEST_FILE).is_file():
            return directory
    if is_digits(str(id_or_path)) and (of_digest := _find_digest(str(id_or_path), root)):
        return of_digest
    known = ", ".join(path.parent.name for path in sorted(root.glob(f"*/{MANIFEST_FILE}"))) or "none"
    raise ModelError(f"no such model; shipped: {known}; a directory with {MANIFEST_FILE} works too")


def _find_digest(name: str, root: Path) -> Path | None:
    """The directory of the shipped model whose digest begins so. Raises ModelError when several do."""
    found = [model.directory for model in describe_models(root) if is_named_by(model.digest, name)]
    if len(found) > 1:
        raise ModelError(
            f"{name} begins the digests of {', '.join(directory.name for directory in found)}: give more"
        )
    return found[0] if found else None


def portable_name(listing: ModelListing) -> str:
    """How every machine finds a model, whatever its working directory: by id when it is shipped, else by its folder."""
    directory = listing.directory
    return directory.name if directory.parent == SHIPPED else str(directory.absolute())


def verify_model(id_or_path: str | Path, root: Path = SHIPPED) -> None:
    """Check the hashes of all that a model is made of, without building a network. Raises ModelError."""
    directory = find_model(id_or_path, root)
    weights, config_bytes = read_part(directory / WEIGHTS_FILE), read_part(directory / CONFIG_FILE)
    check_hashes(weights, config_bytes, read_manifest(directory))
    check_parts(read_config(directory))


def check_parts(config: ModelConfig) -> None:
    """Raises ModelError when a small network that the config names is not the one that the name stands for."""
    for kind, name in _parts(config):
        kind.read(name)


def read_model_card(id_or_path: str | Path, root: Path = SHIPPED) -> str:
    """The model's card, Markdown. Raises ModelError when there is none."""
    return read_part(find_model(id_or_path, root) / CARD_FILE).decode("utf-8", errors="replace")


def read_operating_point(id_or_path: str | Path, root: Path = SHIPPED) -> OperatingPoint:
    """The threshold kept beside a model. Raises ModelError when there is none."""
    text = read_part(find_model(id_or_path, root) / OPERATING_POINT_FILE)
    try:
        point = OperatingPoint(**json.loads(text))
        is_one = _is_operating_point(point)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{OPERATING_POINT_FILE} is not an operating point") from error
    if not is_one:
        raise ModelError(
            f"{OPERATING_POINT_FILE} is not an operating point: threshold and share of cases are numbers from 0 to 1, "
            "the calibration two finite numbers with a slope above 0"
        )
    return point


def _is_operating_point(point: OperatingPoint) -> bool:
    """Whether the numbers can be used; a file may hold any. Raises TypeError for what is no number."""
    line, share = (point.calibration_slope, point.calibration_intercept), point.case_share
    return (
        0 <= point.threshold <= 1
        and all(math.isfinite(number) for number in line)
        and point.calibration_slope > 0
        and (share is None or 0 <= share <= 1)
        and isinstance(point.rule, str)
        and isinstance(point.chosen_on, str)
    )


def write_operating_point(directory: Path, point: OperatingPoint) -> None:
    """Keep a threshold beside a model."""
    text = json.dumps(asdict(point), indent=2)
    (directory / OPERATING_POINT_FILE).write_text(text + "\n")


def make_manifest(weights: bytes, config_bytes: bytes) -> dict[str, str]:
    """Hashes of both parts, and the digest over them."""
    parts = {
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "config_sha256": hashlib.sha256(config_bytes).hexdigest(),
    }
    joined = parts["weights_sha256"] + parts["config_sha256"]
    return {**parts, "model_digest": hashlib.sha256(joined.encode()).hexdigest()}


def check_hashes(weights: bytes, config_bytes: bytes, manifest: dict[str, Any]) -> None:
    """Raises ModelError when a part is not the one that the manifest names."""
    if weights.startswith(PICKLE_MAGICS):
        raise ModelError("the weights are pickled; only safetensors are read")
    for name, value in make_manifest(weights, config_bytes).items():
        if manifest.get(name) != value:
            raise ModelError(f"{name} does not match {MANIFEST_FILE}: the model was altered or cut short")


def read_part(path: Path) -> bytes:
    """The bytes of one file of a model. Raises ModelError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path.name} of the model cannot be read") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path.name} of the model cannot be read") from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a model's directory. Raises ModelError."""
    try:
        manifest = json.loads(read_part(directory / MANIFEST_FILE))
        return dict(manifest) | {"model_digest": manifest["model_digest"]}
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{MANIFEST_FILE} of the model is damaged") from error


def read_config(directory: Path) -> ModelConfig:
    """The config of a model's directory. Raises ModelError."""
    try:
        config = ModelConfig.from_json(read_part(directory / CONFIG_FILE).decode("utf-8"))
    except ValueError as error:
        raise ModelError(f"{CONFIG_FILE} of the model is damaged or of another version") from error
    if lacking := _lacking(config):
        raise ModelError(f"the model needs {lacking}, which this version of ovf does not have: update it")
    return config


def _lacking(config: ModelConfig) -> str:
    """What this version lacks of what a model is made of; empty: nothing."""
    if config.view.kind not in get_args(ViewKind):
        return f"the kind of view {config.view.kind!r}"
    lacking = [(kind, name) for kind, name in _parts(config) if not kind.path(name).is_file()]
    return f"the {lacking[0][0].words} {lacking[0][1]!r}" if lacking else ""


def _parts(config: ModelConfig) -> list[tuple[PartKind, str]]:
    named = ((MIDLINE_FINDERS, config.view.midline), (BODY_READERS, config.bodies))
    return [(kind, name) for kind, name in named if name]
