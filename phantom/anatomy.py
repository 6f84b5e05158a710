"""One simulated patient: every parameter of the anatomy, drawn from a seed; no pixels here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phantom.families import BASE, Family
from phantom.scanner.scan_ranges import COVERAGES
from phantom.torso import body, organs
from phantom.torso.body import BodyShape, Tissues
from phantom.torso.organs import Blob, Tube
from phantom.vertebrae import fractures, hardware, imitators, lesions, spine
from phantom.vertebrae.hardware import MetalPart
from phantom.vertebrae.spine import ALL_LEVELS, LEVELS
from phantom.vertebrae.vertebra import OSTEOPOROTIC, Vertebra

# Levels whose whole body lies in the coverage (chest to the upper abdomen, abdomen from the lung bases).
LEVELS_OF_COVERAGE = {
    "chest": LEVELS[:13],
    "abdomen-pelvis": LEVELS[9:],
    "chest-abdomen-pelvis": LEVELS,
    "spine": LEVELS,
}
# Every part of a patient has a stream of random numbers of its own, so that a later study of the same patient
# (see `progression.py`) draws the same body around a column that has changed.
_STREAMS: tuple[str, ...] = ("person", "shape", "fracture", "imitators", "density", "curve", "sacrum", "body")
_STREAMS += ("organs", "bone", "table", "lesions", "hardware", "later", "transition", "cement")


@dataclass(frozen=True)
class Person:
    """Who a patient is before any anatomy: what a request fixes and what stays the same over the years."""

    seed: int
    family: Family
    age_years: float
    sex: str
    coverage: str
    has_contrast: bool
    has_fracture: bool
    other_causes: bool


@dataclass(frozen=True)
class Anatomy:
    """One patient. `vertebrae` run from C4 to L5; z = 0 is the upper endplate of S1.

    `has_fracture` counts osteoporotic fractures; `has_imitator` says that a body at T1-L5 only looks like one
    (a dense band alone does not).
    `metal` are straight pieces of metal in patient coordinates (see `hardware.MetalPart`): the bone painter
    draws them, the scanner may draw the streaks that they throw.
    """

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
    metal: tuple[MetalPart, ...] = ()
    striation: float = 0.0
    rib_pairs: int = 12
    transitional: str = ""
    other_causes: bool = False

    def vertebra(self, level: str) -> Vertebra:
        """The vertebra of that level."""
        return self.vertebrae[ALL_LEVELS.index(level)]

    @property
    def thoracolumbar(self) -> tuple[Vertebra, ...]:
        """T1-L5, top to bottom."""
        return self.vertebrae[len(ALL_LEVELS) - len(LEVELS) :]

    @property
    def has_other_fracture(self) -> bool:
        """Whether a body at T1-L5 is fractured by trauma or by a metastasis: such a patient has no binary label."""
        return any(v.cause not in ("", OSTEOPOROTIC) for v in self.thoracolumbar)

    @property
    def person(self) -> Person:
        """What this patient was built from."""
        return Person(
            seed=self.seed,
            family=self.family,
            age_years=self.age_years,
            sex=self.sex,
            coverage=self.coverage,
            has_contrast=self.has_contrast,
            has_fracture=self.has_fracture,
            other_causes=self.other_causes,
        )


def stream(seed: int, part: str, *more: int) -> np.random.Generator:
    """The random numbers of one part of a patient."""
    return np.random.default_rng([seed, 0x0F, _STREAMS.index(part), *more])


def draw_patient(
    seed: int,
    *,
    has_fracture: bool | None = None,
    coverage: str | None = None,
    family: Family = BASE,
    other_causes: bool | None = None,
) -> Anatomy:
    """One patient from a seed; the same seed and arguments give the same patient.

    `has_fracture` (osteoporotic) None draws it (one in four); a fracture always has its worst body inside
    `coverage`. Age hardly depends on it and density only through age, so that neither gives the answer away.
    `other_causes` says whether bodies may be fractured by trauma or a metastasis: None means only when
    `has_fracture` was not asked for, because such a patient has no place in a binary label.
    """
    person = _draw_person(seed, has_fracture, coverage, family, other_causes)
    return assemble(person, _draw_bodies(person))


def _draw_person(
    seed: int, has_fracture: bool | None, coverage: str | None, family: Family, other_causes: bool | None
) -> Person:
    rng = stream(seed, "person")
    is_female = bool(rng.random() < 0.52)
    drawn = str(rng.choice(COVERAGES, p=family.body.coverage_weights))
    has_contrast = bool(rng.random() < family.body.contrast_share)
    age, is_fractured = _draw_age_and_label(rng, has_fracture)
    return Person(
        seed=seed,
        family=family,
        age_years=age,
        sex="F" if is_female else "M",
        coverage=coverage or drawn,
        has_contrast=has_contrast,
        has_fracture=is_fractured,
        other_causes=has_fracture is None if other_causes is None else other_causes,
    )


def _draw_age_and_label(rng: np.random.Generator, wanted: bool | None) -> tuple[float, bool]:
    """Age 22-95 and whether there is a fracture; its odds rise only mildly with age (AUC near 0.56)."""
    while True:
        age = float(np.clip(rng.normal(66, 13), 22, 95))
        odds = 0.16 + 0.0022 * (age - 22)
        is_fractured = bool(rng.random() < odds)
        if wanted is None or is_fractured == wanted:
            return age, is_fractured


def _draw_bodies(person: Person) -> list[Vertebra]:
    """C4-L5 with their fractures, imitators and lesions, not yet placed."""
    seed, settings = person.seed, person.family.fracture
    bodies = spine.draw_intact(
        stream(seed, "shape"), person.family.spine, person.sex == "F", person.age_years
    )
    if person.has_fracture:
        visible = set(LEVELS_OF_COVERAGE[person.coverage])
        bodies = fractures.draw_fractures(stream(seed, "fracture"), bodies, settings, visible)
    bodies = imitators.draw_imitators(stream(seed, "imitators"), bodies, settings)
    rng = stream(seed, "lesions")
    bodies = lesions.draw_lesions(
        rng, bodies, settings, age_years=person.age_years, may_collapse=person.other_causes
    )
    rng = stream(seed, "transition")
    if imitators.draw_transitional(rng, person.family.spine)[0] == "sacralised_l5":
        bodies = imitators.sacralise(rng, bodies)
    return hardware.draw_cement(stream(seed, "cement"), bodies, settings)


def assemble(person: Person, unplaced: list[Vertebra]) -> Anatomy:
    """The patient around these vertebrae (C4-L5): places them, then draws all else from the seed's streams."""
    seed, family = person.seed, person.family
    transitional, rib_pairs = imitators.draw_transitional(stream(seed, "transition"), family.spine)
    bodies = _place(person, unplaced)
    sacrum = spine.draw_sacrum(
        stream(seed, "sacrum"),
        bodies[-1],
        bodies[-1].centre_xyz_mm[0],
        is_lumbarised=transitional == "lumbarised_s1",
    )
    bodies, metal = hardware.draw_screws(stream(seed, "hardware"), bodies, family.fracture)
    is_female = person.sex == "F"
    rng = stream(seed, "body")
    shape = body.draw_body(rng, family.body, bodies + sacrum, is_female)
    tissues = body.draw_tissues(rng, person.has_contrast)
    blobs, tubes = organs.draw_organs(
        stream(seed, "organs"),
        shape,
        bodies,
        has_contrast=person.has_contrast,
        is_female=is_female,
        age_years=person.age_years,
    )
    return Anatomy(
        seed=seed,
        family=family,
        age_years=person.age_years,
        sex=person.sex,
        coverage=person.coverage,
        has_fracture=person.has_fracture,
        has_imitator=any(set(b.imitators) - {"dense_band"} for b in bodies if b.label),
        has_contrast=person.has_contrast,
        vertebrae=tuple(bodies),
        sacrum=tuple(sacrum),
        body=shape,
        tissues=tissues,
        blobs=blobs,
        tubes=tubes,
        other_causes=person.other_causes,
        metal=metal,
        rib_pairs=rib_pairs,
        transitional=transitional,
        **_draw_bone(stream(seed, "bone"), family, person.age_years),
        **_draw_table(stream(seed, "table")),
    )


def _place(person: Person, unplaced: list[Vertebra]) -> list[Vertebra]:
    seed, family = person.seed, person.family
    gain = 1.06 if person.has_contrast else 1.0
    bodies = fractures.with_density(stream(seed, "density"), unplaced, family.bone, person.age_years, gain)
    rng = stream(seed, "curve")
    tilts = spine.sagittal_tilts(rng, family.spine)
    return spine.stack(bodies, tilts, spine.coronal_curve(rng, family.spine))


def _draw_bone(rng: np.random.Generator, family: Family, age_years: float) -> dict[str, Any]:
    """Shell and texture that all bodies of a patient share."""
    settings = family.bone
    a, b, c = rng.integers(0, 128, 3).tolist()
    struts = settings.striation_per_year * (age_years - settings.striation_from_years)
    return {
        "cortex_hu": float(rng.uniform(*settings.cortex_hu)),
        "cortex_mm": float(rng.uniform(*settings.cortex_mm)),
        "wall_share": float(rng.uniform(0.35, 0.85)),
        "corner_mm": float(rng.uniform(*settings.corner_mm)),
        "plate_band_hu": float(rng.uniform(*settings.plate_band_hu)),
        "texture_hu": float(rng.uniform(*settings.texture_hu)),
        "texture_scale": float(rng.uniform(*settings.texture_scale)),
        "texture_shift": (a, b, c),
        "striation": float(np.clip(struts + rng.normal(0, settings.striation_sd), 0, 1)),
    }


def _draw_table(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "table_gap_mm": float(rng.uniform(1, 30)),
        "table_curve": float(rng.choice([0.0, rng.uniform(0.0003, 0.0012)])),
        "table_depth_mm": float(rng.uniform(25, 70)),
        "table_hu": float(rng.uniform(-300, 250)),
    }


__all__ = ["LEVELS_OF_COVERAGE", "Anatomy", "Person", "assemble", "draw_patient"]
