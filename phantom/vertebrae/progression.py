"""The same patient some years later: older bone, old fractures kept, perhaps a new one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phantom.anatomy import LEVELS_OF_COVERAGE, Anatomy, assemble, stream
from phantom.families import Family
from phantom.vertebrae import fractures
from phantom.vertebrae.vertebra import OSTEOPOROTIC, Vertebra


def later(
    patient: Anatomy,
    years: float,
    *,
    has_new_fracture: bool | None = None,
    coverage: str | None = None,
    has_contrast: bool | None = None,
) -> Anatomy:
    """The same patient `years` (>= 0) later; deterministic by its arguments.

    Old fractures stay and are recent no longer; bone has lost density by age; body and organs are drawn from
    the same numbers around the changed column. `has_new_fracture` None draws it from the yearly risk, True
    makes one (osteoporotic, recent, inside the coverage), False none. `coverage` and `has_contrast` of the
    later study are those of the first unless said otherwise. Raises ValueError when `years` is negative.
    """
    if years < 0:
        raise ValueError("years must not be negative")
    age = patient.age_years + years
    rng = stream(patient.seed, "later", round(100 * age))
    bodies = [_aged(b) for b in patient.vertebrae]
    settings = patient.family.fracture
    risk = settings.risk_per_year_after_one if patient.has_fracture else settings.risk_per_year
    drawn = bool(rng.random() < 1 - (1 - risk) ** years)
    is_new = drawn if has_new_fracture is None else has_new_fracture
    covered = coverage or patient.coverage
    if is_new:
        bodies = _with_new_fracture(rng, bodies, patient.family, set(LEVELS_OF_COVERAGE[covered]))
    person = replace(
        patient.person,
        age_years=age,
        coverage=covered,
        has_contrast=patient.has_contrast if has_contrast is None else has_contrast,
        has_fracture=any(b.cause == OSTEOPOROTIC for b in bodies if b.label),
    )
    return assemble(person, bodies)


def _aged(body: Vertebra) -> Vertebra:
    return replace(body, is_recent=False, band_hu=0.2 * body.band_hu) if body.is_recent else body


def _with_new_fracture(
    rng: np.random.Generator, bodies: list[Vertebra], family: Family, visible: set[str]
) -> list[Vertebra]:
    """One sound body fractured; where none is left the column stays as it is."""
    sound = [b.level for b in bodies if b.level in visible and not b.cause and not b.disturbances]
    if not sound:
        return bodies
    old = next((b.level for b in bodies if b.cause), None)
    name = fractures.pick_level(rng, sound, close_to=old)
    grade = fractures.draw_worst_grade(rng, family.fracture)
    return [
        fractures.fracture(rng, b, grade, family.fracture, is_recent=True) if b.level == name else b
        for b in bodies
    ]
