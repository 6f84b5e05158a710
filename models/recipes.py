"""Training recipes: every number of a training run, as named frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from models.config import SPINE_VIEW, TILES_VIEW, ViewRecipe


@dataclass(frozen=True)
class Stage:
    """One optimisation: which optimiser, how long, how fast."""

    name: str
    epochs: float  # passes over the training images (or scans, for the aggregation); 0 skips the stage
    batch: int
    learning_rate: float
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    # one_cycle: up and down once; plateau: halved when the validation loss stalls; constant.
    schedule: Literal["one_cycle", "plateau", "constant"] = "one_cycle"
    patience_epochs: int = 5  # of `plateau`
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float = 5.0
    real_share: float = 0.0  # of a batch that is drawn from scans made of real ones, where there are any
    wildness: float = 1.0  # share of the recipe's ranges of augmentation that is used


@dataclass(frozen=True)
class Augmentation:
    """Ranges that every training image is changed by; intensities in units of the 0…1 window."""

    rotate_deg: float
    shift_px: float  # to the front or back
    rise_px: float = 0.0  # up or down
    scale: float = 0.0  # ± share, both axes
    stretch: float = 0.0  # ± share, one axis against the other
    gain: float = 0.0
    offset: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    blotch: float = 0.0  # noise of a few pixels' grain
    blur_px: float = 0.0
    slice_blur_px: float = 0.0  # more along the spine, as thick slices do
    coarsen: float = 0.0  # share of images with coarser rows or pixels
    sharpen: float = 0.0  # cortex and edges stronger or weaker
    tone: float = 0.0  # random rising curve from grey to grey
    mix: float = 0.0  # share of images with the background, and with the texture, of another
    field: float = 0.0  # slow change of brightness over the image
    body_offset: float = 0.0  # each body denser or thinner by itself
    cortex: float = 0.0  # share of images with a fainter cortex around the bodies, down to none
    hole_share: float = 0.0  # share of images with something else before or behind the spine
    bend_px: float = 0.0  # the spine bent to the front and back
    aside_px: int = 0  # crops lie so far beside the spine

    def scaled(self, share: float) -> Augmentation:
        """The same changes with that share of every range."""
        return Augmentation(**{name: type(value)(value * share) for name, value in asdict(self).items()})


# "random rotation and horizontal shift" only (Mao 2025; the ranges are unstated and ours).
PUBLISHED_AUGMENTATION = Augmentation(rotate_deg=5.0, shift_px=11.0)
# Far beyond one simulator's look, so that the network holds on to shape.
WIDE_AUGMENTATION = Augmentation(
    rotate_deg=8.0,
    shift_px=8.0,
    rise_px=8.0,
    scale=0.12,
    stretch=0.03,
    gain=0.2,
    offset=0.07,
    gamma=0.25,
    noise=0.05,
    blotch=0.04,
    blur_px=0.9,
)

# Wider still, for looks that nobody has drawn: texture, cortex, contrast, noise, background, resolution.
WILD_AUGMENTATION = replace(
    WIDE_AUGMENTATION,
    rotate_deg=12.0,
    scale=0.15,
    stretch=0.04,
    gain=0.25,
    offset=0.08,
    gamma=0.3,
    noise=0.10,
    blotch=0.09,
    blur_px=1.0,
    slice_blur_px=1.6,
    coarsen=0.2,
    sharpen=0.7,
    tone=0.6,
    mix=0.3,
    field=0.08,
    body_offset=0.12,
    cortex=0.6,
    hole_share=0.25,
    bend_px=6.0,
    aside_px=8,
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
    # After the pre-training on simulated scans: the same, in part on scans made of real ones.
    mixed: tuple[Stage, ...] = ()
    pretrain_crop: tuple[int, int] = (160, 80)
    dense_row_weight: float = 3.0
    dense_cell_weight: float = 10.0
    # Of what only a wide dense head says: where bodies are, and how much height they lost.
    dense_body_weight: float = 2.0
    dense_loss_weight: float = 2.0
    # Weight of the dense truth in the feature stage; 0 is the published weak label alone.
    features_dense_weight: float = 0.0
    # Parts of the ResNet that the feature stage leaves as pre-training made them, batch norm included.
    features_frozen: tuple[str, ...] = ()
    # True: in the feature stage an image without a fracture in it, of a scan with one, is negative (simulated
    # truth); False: label propagation, as published.
    has_image_truth: bool = False
    # Width of the step from sound to fractured in every label, as a share of a height, where losses are known; 0: hard
    # labels.
    soft_label: float = 0.0
    train_share: float = 0.8
    validation_share: float = 0.1
    # Simulated patients for the extractor, for the LSTM (and its validation), for the threshold, and for the test.
    patients: tuple[int, int, int, int] = (3500, 600, 200, 400)
    # Families of phantoms that the extractor sees once more in each round of the deal.
    extra_families: tuple[str, ...] = ()
    # Pairs of twin and sham of each real volume, for the extractor and for the LSTM.
    twin_pairs: tuple[int, int] = (300, 40)
    target_specificity: float = 0.95
    view: ViewRecipe = SPINE_VIEW
    # Dense head with cells of 10 mm that also says bodies and lost heights, and pooling where it is suspicious.
    has_wide_head: bool = False


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
    view=TILES_VIEW,
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

# From random weights or an earlier simulator's extractor: wild looks, heights taught body by body, then half of every
# batch made of real scans.
WIDE = TrainingRecipe(
    name="wide",
    augmentation=WILD_AUGMENTATION,
    pretrain=Stage("pretrain", epochs=2.13, batch=32, learning_rate=6e-4),
    mixed=(
        Stage("mixed", epochs=0.57, batch=32, learning_rate=4e-4, real_share=0.5),
        Stage("mixed-calm", epochs=0.71, batch=32, learning_rate=4e-4, real_share=0.4, wildness=0.6),
    ),
    features=Stage("features", epochs=0.14, batch=24, learning_rate=3e-4, real_share=0.4, wildness=0.6),
    lstm=Stage("lstm", epochs=40, batch=32, learning_rate=1e-3),
    head_learning_rate=1e-4,
    final=Stage("final", epochs=5, batch=32, learning_rate=1e-6, schedule="constant"),
    pretrain_crop=(160, 64),
    features_dense_weight=0.5,
    features_frozen=("conv1", "bn1", "layer1", "layer2", "layer3"),
    has_image_truth=True,
    patients=(3900, 300, 390, 130),
    twin_pairs=(70, 20),
    target_specificity=0.97,
    soft_label=0.02,
    has_wide_head=True,
)

# The shipped model: from one that `wide` or `deepen` has taught (`ovf train --start`), one stage with calmer looks and
# more of the scans that it read worst.
DEEPEN = replace(
    WIDE,
    name="deepen",
    pretrain=replace(WIDE.pretrain, epochs=0),
    mixed=(Stage("deepen", epochs=9.0, batch=32, learning_rate=4e-4, real_share=0.3, wildness=0.6),),
    features=replace(WIDE.features, epochs=0.6),
    patients=(6000, 2000, 1500, 200),
    twin_pairs=(120, 20),
    extra_families=("thick-slices", "thick-slices", "restless", "thin-slices", "diseased-chest"),
    target_specificity=0.96,
)

RECIPES: dict[str, TrainingRecipe] = {
    recipe.name: recipe for recipe in (PUBLISHED, QUICK, REFINE, WIDE, DEEPEN)
}
