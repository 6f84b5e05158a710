"""What a model is, as one frozen dataclass: all but the weights. Saved beside them as `config.json`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")
ViewKind = Literal["whole", "tiles"]
Pooling = Literal["mean", "focus"]


@dataclass(frozen=True)
class ViewRecipe:
    """How the images that a model reads are cut from a slab. Another view is another model."""

    name: str
    kind: ViewKind
    # Side of one pixel of the view; None: whatever makes the whole coverage fit the tile (`whole`).
    pixel_mm: float | None
    tile_rows: int = 224
    tile_cols: int = 224
    # Rows from one tile to the next, at most: 40 shared rows of 1.25 mm hold a vertebra and a disc, so that a
    # body cut by one tile's edge is whole in the next.
    tile_stride: int = 184
    # The HU window that becomes 0…255 (method.md: −200…1000 HU).
    hu_low: float = -200.0
    hu_high: float = 1000.0
    # Slices inside this share of the patient's lateral extent are read (Mao 2025: the central 5 %).
    central_share: float = 0.05
    # Half-width in mm that is read where the lateral extent is unknown, and the least and most that is read.
    fallback_half_mm: float = 9.0
    min_half_mm: float = 6.0
    max_half_mm: float = 12.0
    # Which finder says how far the spine lies beside the slab's middle (tasks/midline.py), so that slices follow it;
    # empty: slices stay in the middle, as published.
    midline: str = ""
    # Bytes per scan, at most: a megabyte may travel to a scoring worker (docs/model.md). A long scan keeps
    # every tile and gives up its outer slices, down to three.
    max_bytes: int = 1 << 20
    min_slices: int = 3

    @property
    def max_images(self) -> int:
        """Images that `max_bytes` hold."""
        return self.max_bytes // (self.tile_rows * self.tile_cols)


PUBLISHED_VIEW = ViewRecipe(name="published", kind="whole", pixel_mm=None)
# 280 × 160 mm around the spine: in 24 simulated and 12 real scans every body of a tile lay inside its 160 mm,
# and what lies in front of them only costs time.
TILES_VIEW = ViewRecipe(name="tiles-1p25", kind="tiles", pixel_mm=1.25, tile_cols=128)


# The same along the spine, wherever it bends to the side.
SPINE_VIEW = dataclasses.replace(TILES_VIEW, name="tiles-1p25-spine", midline="spine-1")


VIEW_RECIPES: dict[str, ViewRecipe] = {
    recipe.name: recipe for recipe in (PUBLISHED_VIEW, TILES_VIEW, SPINE_VIEW)
}


@dataclass(frozen=True)
class ModelConfig:
    """One network: its shape, the view it reads, how pixels are normalised, and what it may be used for."""

    model_id: str
    view: ViewRecipe
    architecture: str = "resnet34-fc32-lstm256"
    feature_size: int = 32  # the vector each slice is reduced to (Mao 2025)
    lstm_size: int = 256  # units of the one LSTM layer (Mao 2025)
    # mean: over the last feature map (He 2016); focus: the features of the places that the dense head finds suspicious.
    pooling: Pooling = "mean"
    dense_channels: int = 1  # of the dense head: 1 fracture, or 5: fracture, body, three heights' losses
    dense_hidden: int = 64
    dense_stride: int = 16  # pixels per cell of the dense head: 16 or 8
    # Which reader of single vertebrae is heard beside the LSTM (bodies.py), empty: none, as published; and how much of
    # its logit is added to the LSTM's.
    bodies: str = ""
    body_weight: float = 0.0
    dropout: float = 0.2  # in the aggregation, while training (Mao 2025)
    # The published per-pixel mean, as one number per model: tiles have no fixed place in the body.
    pixel_mean: float = 0.25
    pixel_std: float = 0.25
    # True: all fractures that the weights have seen were made, in simulated patients or in real scans deformed. Every
    # output that carries a score says so.
    is_simulated_only: bool = True
    intended_use: str = "research; not for clinical use"

    def with_bodies(self, name: str, weight: float) -> ModelConfig:
        """The same with this reader of vertebrae, heard so much; with an empty name without one."""
        architecture = self.architecture.removesuffix("+bodies") + ("+bodies" if name else "")
        return dataclasses.replace(
            self, bodies=name, body_weight=weight if name else 0.0, architecture=architecture
        )

    def to_json(self) -> str:
        """This config as readable JSON with sorted keys (stable: it is part of the model's digest)."""
        values = dataclasses.asdict(self)
        if not self.bodies:  # configs of before this was a choice keep their digest
            del values["bodies"], values["body_weight"]
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The config that `to_json` wrote. Raises ValueError on anything else."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("a model config is a JSON object")
        return _build(cls, {**values, "view": _build(ViewRecipe, dict(values.get("view", {})))})


def _build(cls: type[T], values: dict[str, Any]) -> T:
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"not a {cls.__name__}: {error}") from error
