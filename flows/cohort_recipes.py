"""The recipes of a training from a warehouse: as published, and one for two CPU cores. Every number is named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flows.cohort import PUBLISHED_SHARES, SHARES
from flows.errors import SettingsError
from models.config import PUBLISHED_VIEW, SPINE_VIEW, ViewRecipe
from models.recipes import PUBLISHED, QUICK, TrainingRecipe

NAMES = ("quick", "published")
# An hour at 8 images a second; two idle cores do 12 of 224 × 224 in fp32 with all layers learning.
QUICK_IMAGES = 30_000
QUICK_EPOCHS = 12.0
QUICK_RATE = 3e-4


def cohort_recipe(name: str, n_images: int, *, has_model_start: bool) -> TrainingRecipe:
    """The recipe of that name for so many training images. Raises SettingsError for another name.

    `quick`: label propagation alone (a hospital knows no more), the last stage of the ResNet and the heads; all of it
    where the start knows no spines. It ends after 12 passes or 30,000 images, whichever is sooner.
    """
    check_name(name)
    if name == "published":
        return PUBLISHED
    epochs = min(QUICK_EPOCHS, QUICK_IMAGES / max(1, n_images))
    return replace(
        QUICK,
        name="quick",
        pretrain=replace(QUICK.pretrain, epochs=0.0),
        features=replace(QUICK.features, epochs=epochs, learning_rate=QUICK_RATE),
        features_frozen=QUICK.features_frozen if has_model_start else (),
        has_image_truth=False,
    )


def check_name(name: str) -> None:
    """Raises SettingsError for a recipe that no training from a warehouse has."""
    if name not in NAMES:
        raise SettingsError(f"no recipe of that name for a warehouse; there are: {', '.join(NAMES)}")


def shares_of(recipe: str) -> Mapping[str, float]:
    """80/10/10 as published; else a tenth is kept for calibration."""
    return PUBLISHED_SHARES if recipe == "published" else SHARES


def view_of_recipe(recipe: str) -> ViewRecipe:
    """What the model reads unless told otherwise: as published, or tiles of a fixed pixel size along the spine."""
    return PUBLISHED_VIEW if recipe == "published" else SPINE_VIEW
