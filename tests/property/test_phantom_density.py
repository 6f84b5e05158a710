"""Brightness of the bodies, as pixels show it, does not tell who has a fracture."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from phantom.anatomy import draw_patient
from phantom.slabs import render_slab

MAX_AUC = 0.65
SLABS = 100


def _looks(seed: int) -> dict[str, float]:
    """What a reader without eyes for form could measure inside the bodies of one fast slab."""
    slab = render_slab(
        draw_patient(seed, has_fracture=seed % 2 == 0),
        seed=seed,
        pixel_mm=1.5,
        slice_spacing_mm=4.0,
        half_width_mm=12.0,
    )
    seen = [b.label for b in slab.vertebrae if b.is_visible and (slab.vertebra_label_xzy == b.label).any()]
    inside = slab.slab_xzy_hu[slab.vertebra_label_xzy > 0]
    means = [float(slab.slab_xzy_hu[slab.vertebra_label_xzy == label].mean()) for label in seen] or [
        inside.mean()
    ]
    around = slab.slab_xzy_hu[slab.slab_xzy_hu > -200]
    return {
        "mean": float(inside.mean()),
        "spread": float(inside.std()),
        "darkest body": min(means),
        "brightest body": max(means),
        "spread of bodies": float(np.std(means)),
        "mean of all tissue": float(around.mean()),
        "noise": slab.acquisition.noise_hu,
        "thickness": slab.acquisition.thickness_mm,
    }


@pytest.fixture(scope="module")
def looks() -> list[dict[str, float]]:
    return [_looks(seed) for seed in range(SLABS)]


@pytest.mark.parametrize(
    "name",
    [
        "mean",
        "spread",
        "darkest body",
        "brightest body",
        "spread of bodies",
        "mean of all tissue",
        "noise",
        "thickness",
    ],
)
def test_pixels_inside_bodies_do_not_give_the_answer_away(name: str, looks: list[dict[str, float]]) -> None:
    fractured, sound = ([look[name] for look in looks[start::2]] for start in (0, 1))
    share = mannwhitneyu(fractured, sound).statistic / (len(fractured) * len(sound))
    assert max(share, 1 - share) <= MAX_AUC
