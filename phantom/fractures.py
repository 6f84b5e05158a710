"""Fractures of Genant grade 1-3 and what only looks like one: changes to intact vertebrae, by seed.

Grades after Genant 1993: grade 1 20-25 %, grade 2 25-40 %, grade 3 more than 40 % of a height lost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from phantom.spine import LEVELS, SchmorlNode, Vertebra
from phantom.spine_ranges import BoneSettings, FractureSettings
from phantom.vertebra import OSTEOPOROTIC

SHAPES = ("wedge", "biconcave", "crush")
# Margins keep a drawn loss clear of its neighbours' limits, so that rounding never changes a grade.
LOSS_OF_GRADE = {1: (0.204, 0.247), 2: (0.253, 0.397), 3: (0.405, 0.62)}
IMITATOR_LOSS = (0.08, 0.19)
# Share of fractured bodies per level in VerSe19 (grades of 153 subjects), smoothed over neighbours.
LEVEL_WEIGHTS = dict(
    zip(LEVELS, (2, 2, 5, 6, 9, 13, 19, 19, 14, 13, 18, 29, 37, 28, 24, 20, 11), strict=True)
)


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
        at = _index(result, name)
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
    """One body with a fracture of the given grade."""
    kind = shape or str(rng.choice(SHAPES, p=settings.shape_weights))
    loss = float(rng.uniform(*LOSS_OF_GRADE[grade]))
    lowered = _lower(rng, body, kind, loss)
    drawn = bool(rng.random() < settings.recent_share)
    recent = drawn if is_recent is None else is_recent
    return replace(
        lowered,
        shape=kind,
        grade=grade,
        cause=OSTEOPOROTIC,
        is_recent=recent,
        lateral_tilt=float(rng.uniform(-0.35, 0.35)),
        band_hu=float(rng.uniform(20, 130)) if recent else float(rng.uniform(-10, 30)),
        endplate_gain=float(rng.uniform(0.85, 1.25)),
    )


def draw_imitators(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings
) -> list[Vertebra]:
    """Changes that are no fractures: low bodies (8-19 %), wedging, pits, lips, thin discs, dense bands."""
    result = list(bodies)
    kinds = [k for k in ("short", "wedging", "nodes", "lips", "discs", "dense") if rng.random() < 0.38]
    for kind in kinds or [str(rng.choice(["short", "wedging", "nodes"]))]:
        result = _IMITATORS[kind](rng, result)
    return result


def _lower(rng: np.random.Generator, body: Vertebra, kind: str, loss: float) -> Vertebra:
    shares = _loss_profile(rng, kind, loss)
    return _with_losses(body, shares, superior_share=float(rng.beta(4, 2)))


def _loss_profile(rng: np.random.Generator, kind: str, loss: float) -> tuple[float, float, float]:
    """Loss of the anterior, middle and posterior height; the largest of the three is `loss`."""
    if kind == "wedge":
        return loss, loss * rng.uniform(0.45, 0.85), loss * rng.uniform(0.0, 0.15)
    if kind == "biconcave":
        return loss * rng.uniform(0.05, 0.45), loss, loss * rng.uniform(0.0, 0.2)
    return loss * rng.uniform(0.88, 1.0), loss, loss * rng.uniform(0.7, 0.95)


def _with_losses(body: Vertebra, shares: tuple[float, float, float], superior_share: float) -> Vertebra:
    cut = [i * s for i, s in zip(body.intact_mm, shares, strict=True)]
    # Start from the intact form, so that a second change to the same body does not add up.
    upper = tuple(0.5 * i - superior_share * c for i, c in zip(body.intact_mm, cut, strict=True))
    lower = tuple(-0.5 * i + (1 - superior_share) * c for i, c in zip(body.intact_mm, cut, strict=True))
    return replace(body, upper_mm=(upper[0], upper[1], upper[2]), lower_mm=(lower[0], lower[1], lower[2]))


def _index(bodies: list[Vertebra], name: str) -> int:
    return next(i for i, b in enumerate(bodies) if b.level == name)


def pick_level(rng: np.random.Generator, names: list[str], close_to: str | None = None) -> str:
    """One of these levels by its odds of a fracture; more likely near `close_to`."""
    weights = np.array([LEVEL_WEIGHTS[n] for n in names], float)
    if close_to is not None:
        distance = np.array([abs(LEVELS.index(n) - LEVELS.index(close_to)) for n in names])
        weights = weights * (0.4 + 2.5 * np.exp(-distance / 1.5))
    return str(rng.choice(names, p=weights / weights.sum()))


def named(body: Vertebra, name: str) -> Vertebra:
    """The body with one more name among its imitators."""
    return replace(body, imitators=tuple(sorted({*body.imitators, name})))


def _sound(bodies: list[Vertebra]) -> list[str]:
    return [b.level for b in bodies if b.label and b.grade == 0]


def _short(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    for _ in range(int(rng.integers(1, 3))):
        at = _index(bodies, pick_level(rng, _sound(bodies)))
        kind = str(rng.choice(SHAPES))
        lowered = _lower(rng, bodies[at], kind, float(rng.uniform(*IMITATOR_LOSS)))
        band = float(rng.uniform(10, 90)) if rng.random() < 0.3 else 0.0
        bodies[at] = named(
            replace(lowered, lateral_tilt=float(rng.uniform(-0.3, 0.3)), band_hu=band), "short"
        )
    return bodies


def _wedging(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    start = LEVELS.index(str(rng.choice(["T5", "T6", "T7", "T10", "T11"])))
    for name in LEVELS[start : start + int(rng.integers(3, 6))]:
        at = _index(bodies, name)
        if bodies[at].grade == 0:
            front = float(rng.uniform(0.07, 0.18))
            lowered = _with_losses(bodies[at], (front, 0.5 * front, 0.0), float(rng.uniform(0.3, 0.7)))
            bodies[at] = named(lowered, "physiological_wedging")
    return bodies


def _nodes(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    start = int(rng.integers(4, 14))
    for name in LEVELS[start : start + int(rng.integers(1, 5))]:
        at = _index(bodies, name)
        body = bodies[at]
        drawn = tuple(_node(rng, body) for _ in range(int(rng.integers(1, 3))))
        bodies[at] = named(replace(body, nodes=drawn), "schmorl_node")
    return bodies


def _node(rng: np.random.Generator, body: Vertebra) -> SchmorlNode:
    depth = body.half_depth_mm
    return SchmorlNode(
        u_mm=float(rng.uniform(-0.45, 0.45) * body.half_width_mm),
        v_mm=float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.5) * depth),
        radius_mm=float(rng.uniform(0.16, 0.3) * depth),
        depth_mm=float(rng.uniform(2.0, 5.5)),
        is_upper=bool(rng.random() < 0.5),
    )


def _lips(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    start, size = int(rng.integers(3, 14)), float(rng.uniform(1.5, 6.0))
    names = LEVELS[start : start + int(rng.integers(2, 7))]
    return [
        named(replace(b, lip_mm=size * float(rng.uniform(0.4, 1.0))), "osteophyte") if b.level in names else b
        for b in bodies
    ]


def _discs(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    for _ in range(int(rng.integers(1, 4))):
        at = _index(bodies, str(rng.choice(LEVELS[3:], p=_disc_weights())))
        body = bodies[at]
        changed = replace(
            body,
            disc_mm=max(1.2, body.disc_mm * float(rng.uniform(0.25, 0.6))),
            has_vacuum=bool(rng.random() < 0.35),
            endplate_gain=float(rng.uniform(1.0, 1.5)),
            lip_mm=max(body.lip_mm, float(rng.uniform(0, 5))),
        )
        bodies[at] = named(changed, "degenerated_disc")
    return bodies


def _disc_weights() -> npt.NDArray[np.float64]:
    weights = np.linspace(1, 4, len(LEVELS) - 3)
    return np.asarray(weights / weights.sum())


def _dense(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    at = _index(bodies, str(rng.choice(LEVELS[3:])))
    bodies[at] = named(
        replace(bodies[at], band_hu=float(rng.choice([-1, 1]) * rng.uniform(25, 90))), "dense_band"
    )
    return bodies


_IMITATORS = {
    "short": _short,
    "wedging": _wedging,
    "nodes": _nodes,
    "lips": _lips,
    "discs": _discs,
    "dense": _dense,
}


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
        result.append(replace(body, trabecular_hu=hu, disc_hu=disc))
    return result
