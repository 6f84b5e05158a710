"""Training recipes: every number of a training run, as named frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """One optimisation: which optimiser, how long, how fast."""

    name: str
    epochs: float  # passes over the training images (or scans, for the aggregation); 0 skips the stage
    batch: int
    learning_rate: float
    optimiser: Literal["adam", "sgd"] = "adam"
    # one_cycle: up and down once; plateau: halved when the validation loss stalls; constant.
    schedule: Literal["one_cycle", "plateau", "constant"] = "one_cycle"
    patience_epochs: int = 5  # of `plateau`
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float = 5.0


@dataclass(frozen=True)
class Augmentation:
    """Ranges that every training image is changed by; intensities in units of the 0…1 window."""

    rotate_deg: float
    shift_px: float
    scale: float = 0.0  # ± share, both axes
    stretch: float = 0.0  # ± share, one axis against the other
    gain: float = 0.0
    offset: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    blotch: float = 0.0  # noise of a few pixels' grain
    blur_px: float = 0.0


# "random rotation and horizontal shift" only (Mao 2025; the ranges are unstated and ours).
PUBLISHED_AUGMENTATION = Augmentation(rotate_deg=5.0, shift_px=11.0)
# Far beyond one simulator's look, so that the network holds on to shape.
WIDE_AUGMENTATION = Augmentation(
    rotate_deg=8.0,
    shift_px=8.0,
    scale=0.12,
    stretch=0.03,
    gain=0.2,
    offset=0.07,
    gamma=0.25,
    noise=0.05,
    blotch=0.04,
    blur_px=0.9,
)


@dataclass(frozen=True)
class TrainingRecipe:
    """A whole training: pre-training on dense truth, the two published stages, and the published end."""

    name: str
    augmentation: Augmentation
    pretrain: Stage  # dense truth, narrow crops around the spine
    features: Stage  # every image carries its scan's label
    lstm: Stage  # the aggregation over the slices' 32-vectors
    head_learning_rate: float  # of the extractor's FC layers while the LSTM trains
    final: Stage  # training and validation together
    pretrain_crop: tuple[int, int] = (160, 80)
    dense_row_weight: float = 3.0
    dense_cell_weight: float = 10.0
    # Weight of the dense truth in the feature stage; 0 is the published weak label alone.
    features_dense_weight: float = 0.0
    # Parts of the ResNet that the feature stage leaves as pre-training made them, batch norm included.
    features_frozen: tuple[str, ...] = ()
    # True: in the feature stage an image without a fracture in it, of a scan with one, is negative (simulated
    # truth); False: label propagation, as published.
    has_image_truth: bool = False
    train_share: float = 0.8
    validation_share: float = 0.1


# Every published number (Mao 2025, as read in docs/model.md). β and ε are Adam's, so Adam; 0.1 for the LSTM
# is a start for SGD.
PUBLISHED = TrainingRecipe(
    name="published",
    augmentation=PUBLISHED_AUGMENTATION,
    pretrain=Stage("pretrain", epochs=0, batch=192, learning_rate=0.01),
    features=Stage("features", epochs=400, batch=192, learning_rate=0.01, schedule="plateau"),
    lstm=Stage("lstm", epochs=600, batch=192, learning_rate=0.1, optimiser="sgd", schedule="plateau"),
    head_learning_rate=1e-4,
    final=Stage("final", epochs=50, batch=192, learning_rate=1e-6, schedule="constant"),
)

# Two CPU cores, about an hour, from random weights, on simulated scans with dense truth.
QUICK = TrainingRecipe(
    name="quick",
    augmentation=WIDE_AUGMENTATION,
    pretrain=Stage("pretrain", epochs=1.83, batch=16, learning_rate=1e-3),
    features=Stage("features", epochs=0.4, batch=16, learning_rate=5e-4),
    lstm=Stage("lstm", epochs=30, batch=32, learning_rate=1e-3),
    head_learning_rate=1e-4,
    final=Stage("final", epochs=5, batch=32, learning_rate=1e-6, schedule="constant"),
    features_frozen=("conv1", "bn1", "layer1", "layer2", "layer3"),
    has_image_truth=True,
)

# From a model that already knows what fractures look like in an earlier simulator (`ovf train --start`): gentler
# steps, so that what it knows is bent and not rubbed out.
REFINE = replace(
    QUICK,
    name="refine",
    pretrain=replace(QUICK.pretrain, epochs=1.6, learning_rate=4e-4),
    features=replace(QUICK.features, learning_rate=3e-4),
)

RECIPES: dict[str, TrainingRecipe] = {recipe.name: recipe for recipe in (PUBLISHED, QUICK, REFINE)}
