"""Osteoporotic fractures of Genant grade 1-3: changes to intact vertebrae, by seed.

Grades after Genant 1993: grade 1 20-25 %, grade 2 25-40 %, grade 3 more than 40 % of a height lost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phantom.vertebrae.spine import LEVELS
from phantom.vertebrae.spine_ranges import BoneSettings, FractureSettings
from phantom.vertebrae.vertebra import OSTEOPOROTIC, Cut, Triple, Vertebra

SHAPES = ("wedge", "biconcave", "crush")
# Margins keep a drawn loss clear of its neighbours' limits, so that rounding never changes a grade.
LOSS_OF_GRADE = {1: (0.204, 0.247), 2: (0.253, 0.397), 3: (0.405, 0.62)}
# Fractured bodies of all bodies read, T1-L5, in the grades of VerSe19 (153 subjects, 1460 bodies).
VERSE19_FRACTURED = (3, 3, 8, 5, 7, 9, 14, 13, 13, 9, 15, 28, 47, 39, 31, 29, 15)
VERSE19_READ = (65, 68, 60, 61, 60, 60, 63, 66, 81, 88, 91, 102, 123, 122, 119, 115, 110)


def _level_weights() -> dict[str, float]:
    """Odds of a fracture by level: VerSe19's shares, smoothed over neighbours."""
    share = np.array(VERSE19_FRACTURED) / np.array(VERSE19_READ)
    smooth = np.convolve(np.pad(share, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return dict(zip(LEVELS, smooth.tolist(), strict=True))


LEVEL_WEIGHTS = _level_weights()
# Two thirds of neighbouring pairs of VerSe19's fractures lie side by side: a fracture draws others near.
NEAR_GAIN, NEAR_LEVELS, FAR_SHARE = 2.5, 1.5, 0.4


def grade_of(loss: float) -> int:
    """Genant's grade of a loss of height (a share)."""
    return int(loss >= 0.20) + int(loss >= 0.25) + int(loss > 0.40)


def draw_worst_grade(rng: np.random.Generator, settings: FractureSettings) -> int:
    """A patient's worst grade."""
    return int(rng.choice([1, 2, 3], p=settings.worst_grade_weights))


def draw_fractures(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings, visible: set[str]
) -> list[Vertebra]:
    """Fracture one or more bodies; the worst one lies within the levels the scan will show."""
    worst = draw_worst_grade(rng, settings)
    count = 1 + int(rng.choice(len(settings.extra_fractures), p=settings.extra_fractures))
    first = pick_level(rng, [n for n in LEVELS if n in visible] or list(LEVELS))
    others = [n for n in LEVELS if n != first]
    chosen = [first]
    for _ in range(count - 1):
        near = pick_level(rng, others, close_to=first)
        others.remove(near)
        chosen.append(near)
    result = list(bodies)
    for order, name in enumerate(chosen):
        grade = worst if order == 0 else int(rng.integers(1, worst + 1))
        at = index_of(result, name)
        result[at] = fracture(rng, result[at], grade, settings)
    return result


def fracture(
    rng: np.random.Generator,
    body: Vertebra,
    grade: int,
    settings: FractureSettings,
    *,
    shape: str | None = None,
    is_recent: bool | None = None,
) -> Vertebra:
    """One body with an osteoporotic fracture of the given grade; how recent it is does not depend on the grade."""
    kind = shape or str(rng.choice(SHAPES, p=settings.shape_weights))
    loss = float(rng.uniform(*LOSS_OF_GRADE[grade]))
    drawn = bool(rng.random() < settings.recent_share)
    recent = drawn if is_recent is None else is_recent
    # Height-like imitators give way: the loss of this body is now the fracture's.
    kept = tuple(n for n in body.imitators if n not in ("short", "cupped", "physiological_wedging"))
    lowered = lowered_body(rng, body, kind, loss)
    broken = with_damage(rng, lowered, settings, kind=kind, is_recent=recent)
    return replace(
        broken, shape=kind, grade=grade, cause=OSTEOPOROTIC, is_recent=recent, nodes=(), imitators=kept
    )


def lowered_body(rng: np.random.Generator, body: Vertebra, kind: str, loss: float) -> Vertebra:
    """The body with the largest of its three losses equal to `loss`, in the profile of that shape."""
    shares = _loss_profile(rng, kind, loss)
    superior = float(rng.beta(5, 5) if kind == "biconcave" else rng.beta(4, 2))
    return with_losses(body, shares, superior_share=superior)


def _loss_profile(rng: np.random.Generator, kind: str, loss: float) -> Triple:
    """Loss of the anterior, middle and posterior height; the largest of the three is `loss`."""
    if kind == "wedge":
        return loss, loss * rng.uniform(0.4, 0.92), loss * rng.uniform(0.0, 0.2)
    if kind == "biconcave":
        return loss * rng.uniform(0.05, 0.5), loss, loss * rng.uniform(0.0, 0.3)
    return loss * rng.uniform(0.85, 1.0), loss, loss * rng.uniform(0.65, 0.95)


def with_losses(body: Vertebra, shares: Triple, superior_share: float) -> Vertebra:
    """The body with these shares of its intact heights lost, the upper endplate taking `superior_share` of it."""
    cut = [i * s for i, s in zip(body.intact_mm, shares, strict=True)]
    # Start from the intact form, so that a second change to the same body does not add up.
    upper = tuple(0.5 * i - superior_share * c for i, c in zip(body.intact_mm, cut, strict=True))
    lower = tuple(-0.5 * i + (1 - superior_share) * c for i, c in zip(body.intact_mm, cut, strict=True))
    return replace(body, upper_mm=(upper[0], upper[1], upper[2]), lower_mm=(lower[0], lower[1], lower[2]))


def with_damage(
    rng: np.random.Generator, body: Vertebra, settings: FractureSettings, *, kind: str, is_recent: bool
) -> Vertebra:
    """What a fracture leaves besides lost height: rough endplates, a broken rim, a bulge, a cleft, a band."""
    rough = float(rng.uniform(0.15, 0.75))
    damaged = replace(
        body,
        lateral_tilt=float(rng.uniform(-0.4, 0.4)),
        band_hu=_band_hu(rng, settings, is_recent),
        endplate_gain=float(rng.uniform(0.7, 1.4)),
        relief_mm=(max(body.relief_mm[0], rough), max(body.relief_mm[1], 0.6 * rough)),
        dish_power=float(rng.uniform(1.6, 6.0)),
        dish_skew=(float(rng.uniform(-0.35, 0.35)), float(rng.uniform(-0.35, 0.35))),
        cuts=(),
    )
    if rng.random() < settings.broken_rim_share:
        cut = corner_cut(rng, body, half_mm=0.5, hu=float(rng.uniform(40, 140)))
        damaged = replace(damaged, step_mm=float(rng.uniform(0.8, 3.5)), cuts=(cut,))
    if rng.random() < settings.bulge_share * (1.0 if kind != "biconcave" else 0.4):
        damaged = replace(damaged, bulge_mm=float(rng.uniform(1.0, 5.0)))
    if rng.random() < settings.cleft_share:
        damaged = replace(damaged, cuts=(*damaged.cuts, _cleft(rng, body)))
    return damaged


def _band_hu(rng: np.random.Generator, settings: FractureSettings, is_recent: bool) -> float:
    """Recent: a band of impacted bone, in some hardly seen. Old: mostly none, sclerosed in some."""
    if is_recent:
        return float(rng.uniform(15, 150))
    return float(rng.uniform(20, 110)) if rng.random() < settings.sclerosed_share else 0.0


def corner_cut(rng: np.random.Generator, body: Vertebra, *, half_mm: float, hu: float) -> Cut:
    """A slanting gap behind the upper front corner."""
    off = float(rng.uniform(0.38, 0.62)) * body.half_depth_mm
    slant = float(rng.uniform(0.6, 1.1))
    norm = float(np.hypot(1.0, slant))
    centre = (0.0, -body.half_depth_mm + 0.5 * off, body.upper_mm[0] - 0.5 * off)
    return Cut(centre, (0.7 * body.half_width_mm, off, off), (0.0, 1.0 / norm, -slant / norm), half_mm, hu)


def _cleft(rng: np.random.Generator, body: Vertebra) -> Cut:
    """Gas or fluid in a gap under the upper endplate."""
    under = min(0.45 * body.heights_mm[1], float(rng.uniform(3.5, 6.5)))
    radii = (0.6 * body.half_width_mm, float(rng.uniform(0.4, 0.7)) * body.half_depth_mm, 4.0)
    hu = float(rng.uniform(-700, -200)) if rng.random() < 0.65 else float(rng.uniform(0, 30))
    tilt = float(rng.uniform(-0.2, 0.2))
    norm = float(np.hypot(1.0, tilt))
    centre = (0.0, float(rng.uniform(-0.3, 0.1)) * body.half_depth_mm, body.upper_mm[1] - under)
    return Cut(centre, radii, (0.0, tilt / norm, 1.0 / norm), float(rng.uniform(0.5, 1.4)), hu)


def index_of(bodies: list[Vertebra], name: str) -> int:
    """Place of a level in a list of bodies."""
    return next(i for i, b in enumerate(bodies) if b.level == name)


def pick_level(rng: np.random.Generator, names: list[str], close_to: str | None = None) -> str:
    """One of these levels by its odds of a fracture; more likely near `close_to`."""
    weights = np.array([LEVEL_WEIGHTS[n] for n in names], float)
    if close_to is not None:
        distance = np.array([abs(LEVELS.index(n) - LEVELS.index(close_to)) for n in names])
        weights = weights * (FAR_SHARE + NEAR_GAIN * np.exp(-distance / NEAR_LEVELS))
    return str(rng.choice(names, p=weights / weights.sum()))


def with_density(
    rng: np.random.Generator, bodies: list[Vertebra], settings: BoneSettings, age_years: float, gain: float
) -> list[Vertebra]:
    """Trabecular HU of every body from age alone, so that density says nothing about fractures."""
    mean = settings.trabecular_hu_at_20 + settings.trabecular_hu_per_year * (age_years - 20)
    patient = float(np.clip(mean + rng.normal(0, settings.trabecular_hu_sd), 25, 330))
    result = []
    for i, body in enumerate(bodies):
        level_gain = 1.18 - 0.012 * i  # denser towards the neck
        hu = gain * patient * level_gain * float(rng.normal(1, 0.05))
        disc = float(rng.normal(82, 12))
        result.append(body.changed(trabecular_hu=hu, disc_hu=disc))
    return result
