"""One simulated patient: every parameter of the anatomy, drawn from a seed; no pixels here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom import body, fractures, organs, spine
from phantom.body import BodyShape, Tissues
from phantom.families import BASE, Family
from phantom.organs import Blob, Tube
from phantom.scan_ranges import COVERAGES
from phantom.spine import ALL_LEVELS, LEVELS, Vertebra

# Levels whose whole body lies in the coverage (chest to the upper abdomen, abdomen from the lung bases).
LEVELS_OF_COVERAGE = {
    "chest": LEVELS[:13],
    "abdomen-pelvis": LEVELS[9:],
    "chest-abdomen-pelvis": LEVELS,
    "spine": LEVELS,
}


@dataclass(frozen=True)
class Anatomy:
    """One patient. `vertebrae` run from C4 to L5; z = 0 is the upper endplate of S1."""

    seed: int
    family: Family
    age_years: float
    sex: str
    coverage: str
    has_fracture: bool
    has_imitator: bool
    has_contrast: bool
    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Vertebra, ...]
    cortex_hu: float
    cortex_mm: float
    wall_share: float
    corner_mm: float
    plate_band_hu: float
    texture_hu: float
    texture_scale: float
    texture_shift: tuple[int, int, int]
    body: BodyShape
    tissues: Tissues
    blobs: tuple[Blob, ...]
    tubes: tuple[Tube, ...]
    table_gap_mm: float
    table_curve: float
    table_depth_mm: float
    table_hu: float

    def vertebra(self, level: str) -> Vertebra:
        """The vertebra of that level."""
        return self.vertebrae[ALL_LEVELS.index(level)]

    @property
    def thoracolumbar(self) -> tuple[Vertebra, ...]:
        """T1-L5, top to bottom."""
        return self.vertebrae[len(ALL_LEVELS) - len(LEVELS) :]


def draw_patient(
    seed: int,
    *,
    has_fracture: bool | None = None,
    coverage: str | None = None,
    family: Family = BASE,
) -> Anatomy:
    """One patient from a seed; the same seed and arguments give the same patient.

    `has_fracture` None draws it (one in four); a fracture always has its worst body inside `coverage`.
    Age hardly depends on it and density only through age, so that neither gives the answer away.
    """
    rng = np.random.default_rng([seed, 0x0F])
    is_female = bool(rng.random() < 0.52)
    covered = coverage or str(rng.choice(COVERAGES, p=family.body.coverage_weights))
    age, is_fractured = _draw_age_and_label(rng, has_fracture)
    has_contrast = bool(rng.random() < family.body.contrast_share)
    bodies, has_imitator = _draw_spine(
        rng,
        family,
        age=age,
        is_female=is_female,
        coverage=covered,
        is_fractured=is_fractured,
        has_contrast=has_contrast,
    )
    sacrum = spine.draw_sacrum(rng, bodies[-1], bodies[-1].centre_xyz_mm[0])
    shape = body.draw_body(rng, family.body, bodies + sacrum, is_female)
    blobs, tubes = organs.draw_organs(
        rng, shape, bodies, has_contrast=has_contrast, is_female=is_female, age_years=age
    )
    return Anatomy(
        seed=seed,
        family=family,
        age_years=age,
        sex="F" if is_female else "M",
        coverage=covered,
        has_fracture=is_fractured,
        has_imitator=has_imitator,
        has_contrast=has_contrast,
        vertebrae=tuple(bodies),
        sacrum=tuple(sacrum),
        cortex_hu=float(rng.uniform(*family.bone.cortex_hu)),
        cortex_mm=float(rng.uniform(*family.bone.cortex_mm)),
        wall_share=float(rng.uniform(0.35, 0.85)),
        corner_mm=float(rng.uniform(*family.bone.corner_mm)),
        plate_band_hu=float(rng.uniform(*family.bone.plate_band_hu)),
        texture_hu=float(rng.uniform(*family.bone.texture_hu)),
        texture_scale=float(rng.uniform(*family.bone.texture_scale)),
        texture_shift=_shift(rng),
        body=shape,
        tissues=body.draw_tissues(rng, has_contrast),
        blobs=blobs,
        tubes=tubes,
        table_gap_mm=float(rng.uniform(1, 30)),
        table_curve=float(rng.choice([0.0, rng.uniform(0.0003, 0.0012)])),
        table_depth_mm=float(rng.uniform(25, 70)),
        table_hu=float(rng.uniform(-300, 250)),
    )


def _shift(rng: np.random.Generator) -> tuple[int, int, int]:
    a, b, c = rng.integers(0, 128, 3)
    return (int(a), int(b), int(c))


def _draw_age_and_label(rng: np.random.Generator, wanted: bool | None) -> tuple[float, bool]:
    """Age 22-95 and whether there is a fracture; its odds rise only mildly with age (AUC near 0.56)."""
    while True:
        age = float(np.clip(rng.normal(66, 13), 22, 95))
        odds = 0.16 + 0.0022 * (age - 22)
        is_fractured = bool(rng.random() < odds)
        if wanted is None or is_fractured == wanted:
            return age, is_fractured


def _draw_spine(
    rng: np.random.Generator,
    family: Family,
    *,
    age: float,
    is_female: bool,
    coverage: str,
    is_fractured: bool,
    has_contrast: bool,
) -> tuple[list[Vertebra], bool]:
    bodies = spine.draw_intact(rng, family.spine, is_female)
    has_imitator = bool(rng.random() < family.fracture.imitator_share)
    if is_fractured:
        visible = set(LEVELS_OF_COVERAGE[coverage])
        bodies = fractures.draw_fractures(rng, bodies, family.fracture, visible)
    if has_imitator:
        bodies = fractures.draw_imitators(rng, bodies, family.fracture)
    gain = 1.06 if has_contrast else 1.0
    bodies = fractures.with_density(rng, bodies, family.bone, age, gain)
    tilts = spine.sagittal_tilts(rng, family.spine)
    return spine.stack(bodies, tilts, spine.coronal_curve(rng, family.spine)), has_imitator


__all__ = ["LEVELS_OF_COVERAGE", "Anatomy", "draw_patient"]
