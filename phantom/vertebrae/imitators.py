"""What only looks like a fracture: low, wedged, cupped or pitted bodies, lips, thin discs, odd bone. By seed.

Every change leaves its name in `Vertebra.imitators`. Fractured bodies keep their heights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from phantom.vertebrae.fractures import SHAPES, corner_cut, index_of, lowered_body, pick_level, with_losses
from phantom.vertebrae.spine import LEVELS
from phantom.vertebrae.spine_ranges import FractureSettings, SpineSettings
from phantom.vertebrae.vertebra import SchmorlNode, Spot, Vertebra

IMITATOR_LOSS = (0.08, 0.19)  # Genant's grade 1 begins at 0.20
KIND_SHARE = 0.2  # of each kind in a patient who imitates at all; one of the strong kinds is always drawn
# The kinds that look most like a fracture.
STRONG_KINDS = ("short", "cupped", "physiological_wedging", "scheuermann", "schmorl_node", "limbus")


def draw_imitators(
    rng: np.random.Generator, bodies: list[Vertebra], settings: FractureSettings
) -> list[Vertebra]:
    """The bodies with several kinds of imitators, or none; drawn alike whether or not there are fractures.

    Bands are drawn apart and more often: else a dense band would tell of a fracture.
    """
    result = list(bodies)
    has_imitators, has_bands = rng.random(2) < (settings.imitator_share, settings.dense_band_share)
    if has_imitators:
        kinds = [k for k in KINDS if k != "dense_band" and rng.random() < KIND_SHARE]
        if not set(kinds) & set(STRONG_KINDS):
            kinds.append(str(rng.choice(STRONG_KINDS)))
        for kind in kinds:
            result = KINDS[kind](rng, result)
    return KINDS["dense_band"](rng, result) if has_bands else result


def draw_transitional(rng: np.random.Generator, settings: SpineSettings) -> tuple[str, int]:
    """What is transitional ("", "sacralised_l5", "lumbarised_s1") and the pairs of ribs (11-13).

    Levels keep their names: T1-L5 are the same seventeen bodies whatever is drawn.
    """
    at, extra = rng.random(), rng.random()
    ribs = 11 if extra < settings.eleven_ribs_share else 12
    ribs = 13 if extra > 1 - settings.thirteen_ribs_share else ribs
    if at < settings.sacralised_share:
        return "sacralised_l5", ribs
    return "lumbarised_s1" if at > 1 - settings.lumbarised_share else "", ribs


def sacralise(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """L5 squarer and wider, with broad processes and a thin disc below."""
    l5 = bodies[-1]
    changed = replace(
        l5,
        half_width_mm=1.1 * l5.half_width_mm,
        waist=0.3 * l5.waist,
        disc_mm=float(rng.uniform(1.8, 4.0)),
        is_squared=True,
    )
    return [*bodies[:-1], named(changed, "transitional")]


def named(body: Vertebra, name: str) -> Vertebra:
    """The body with one more name among its imitators."""
    return replace(body, imitators=tuple(sorted({*body.imitators, name})))


def _sound(bodies: list[Vertebra]) -> list[str]:
    return [b.level for b in bodies if b.label and not b.cause]


def _rows(rng: np.random.Generator, first: int, last: int, count: tuple[int, int]) -> tuple[str, ...]:
    """Neighbouring levels that begin between two places of LEVELS."""
    start = int(rng.integers(first, last))
    return LEVELS[start : start + int(rng.integers(*count))]


def _each(
    bodies: list[Vertebra], names: tuple[str, ...], change: Callable[[Vertebra], Vertebra]
) -> list[Vertebra]:
    """The bodies, those of these names changed unless they are fractured."""
    return [change(b) if b.level in names and not b.cause else b for b in bodies]


def _short(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    for _ in range(int(rng.integers(1, 3))):
        at = index_of(bodies, pick_level(rng, _sound(bodies)))
        lowered = lowered_body(rng, bodies[at], str(rng.choice(SHAPES)), float(rng.uniform(*IMITATOR_LOSS)))
        band = float(rng.uniform(10, 90)) if rng.random() < 0.3 else 0.0
        changed = replace(lowered, lateral_tilt=float(rng.uniform(-0.3, 0.3)), band_hu=band)
        bodies[at] = named(changed, "short")
    return bodies


def _cupped(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Several bodies with deep dishes, as soft bone has them, each under the limit."""
    names = _rows(rng, 6, 14, (2, 5))

    def change(body: Vertebra) -> Vertebra:
        low = lowered_body(rng, body, "biconcave", float(rng.uniform(*IMITATOR_LOSS)))
        return named(replace(low, dish_power=float(rng.uniform(1.7, 2.6))), "cupped")

    return _each(bodies, names, change)


def _wedging(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Smooth wedging in a row, at the middle of the chest or where it meets the loins."""
    start = LEVELS.index(str(rng.choice(["T5", "T6", "T7", "T10", "T11"])))
    names = LEVELS[start : start + int(rng.integers(2, 6))]

    def change(body: Vertebra) -> Vertebra:
        front = float(rng.uniform(0.07, 0.18))
        low = with_losses(body, (front, 0.5 * front, 0.0), float(rng.uniform(0.3, 0.7)))
        return named(low, "physiological_wedging")

    return _each(bodies, names, change)


def _scheuermann(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Three or more wedged bodies with rough endplates, nodes in front, thin discs."""
    names = _rows(rng, 4, 10, (3, 7))

    def change(body: Vertebra) -> Vertebra:
        front = float(rng.uniform(0.08, 0.185))
        low = with_losses(
            body, (front, front * float(rng.uniform(0.4, 0.9)), 0.0), float(rng.uniform(0.3, 0.7))
        )
        rough = replace(
            low,
            relief_mm=(float(rng.uniform(0.45, 1.0)), float(rng.uniform(0.45, 1.0))),
            half_depth_mm=low.half_depth_mm * float(rng.uniform(1.0, 1.08)),
            disc_mm=max(1.5, low.disc_mm * float(rng.uniform(0.5, 0.85))),
            nodes=tuple(_node(rng, low) for _ in range(int(rng.integers(0, 3)))),
        )
        return (
            named(named(rough, "scheuermann"), "schmorl_node") if rough.nodes else named(rough, "scheuermann")
        )

    return _each(bodies, names, change)


def _nodes(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    names = _rows(rng, 4, 14, (1, 5))

    def change(body: Vertebra) -> Vertebra:
        drawn = tuple(_node(rng, body) for _ in range(int(rng.integers(1, 3))))
        return named(replace(body, nodes=drawn), "schmorl_node")

    return _each(bodies, names, change)


def _node(rng: np.random.Generator, body: Vertebra) -> SchmorlNode:
    """A pit that leaves the three places of the truth as they are: beside the midline, or between the places."""
    depth = body.half_depth_mm
    radius = float(rng.uniform(0.15, 0.32) * depth)
    if rng.random() < 0.5:
        v = float(rng.choice([-1, 1])) * 0.425 * depth
        u = float(rng.uniform(-0.15, 0.15) * body.half_width_mm)
        radius = min(radius, 0.4 * depth)
    else:
        v = float(rng.uniform(-0.5, 0.5) * depth)
        u = float(rng.choice([-1, 1])) * (radius + float(rng.uniform(0.5, 4.0)))
    return SchmorlNode(
        u_mm=u,
        v_mm=v,
        radius_mm=radius,
        depth_mm=float(rng.uniform(1.5, 5.5)),
        is_upper=bool(rng.random() < 0.5),
    )


def _limbus(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    at = index_of(bodies, str(rng.choice(LEVELS[9:])))
    body = bodies[at]
    if body.cause:
        return bodies
    cut = corner_cut(rng, body, half_mm=float(rng.uniform(0.5, 1.3)), hu=float(rng.uniform(20, 90)))
    bodies[at] = named(replace(body, cuts=(*body.cuts, cut)), "limbus")
    return bodies


def _lips(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    size, names = float(rng.uniform(1.5, 6.0)), _rows(rng, 3, 14, (2, 8))

    def change(body: Vertebra) -> Vertebra:
        lip, back = (size * float(rng.uniform(low, high)) for low, high in ((0.4, 1.0), (0.0, 0.5)))
        return named(replace(body, lip_mm=max(body.lip_mm, lip), back_lip_mm=back), "osteophyte")

    return [change(b) if b.level in names else b for b in bodies]


def _bridges(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Beaks that meet in front of one or more discs."""
    names = _rows(rng, 4, 15, (1, 4))

    def change(body: Vertebra) -> Vertebra:
        size = float(rng.uniform(1.8, 5.5))
        return named(
            replace(body, bridge_mm=size, lip_mm=max(body.lip_mm, 0.5 * size)), "bridging_osteophyte"
        )

    return [change(b) if b.level in names else b for b in bodies]


def _ligament(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """A flowing bridge over four or more bodies in front, or a plate in front of the canal."""
    is_front, size = bool(rng.random() < 0.7), float(rng.uniform(2.0, 6.0))
    names = _rows(rng, 3, 9, (4, 9)) if is_front else _rows(rng, 0, 8, (2, 6))

    def change(body: Vertebra) -> Vertebra:
        if is_front:
            return named(replace(body, bridge_mm=size * float(rng.uniform(0.7, 1.2))), "ossified_ligament")
        return named(replace(body, ossified_mm=float(rng.uniform(1.5, 4.0))), "ossified_ligament")

    return [change(b) if b.level in names else b for b in bodies]


def _discs(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    for _ in range(int(rng.integers(1, 5))):
        at = index_of(bodies, str(rng.choice(LEVELS[3:], p=_disc_weights())))
        body = bodies[at]
        rough = float(rng.uniform(0.2, 0.6))
        changed = replace(
            body,
            disc_mm=max(1.2, body.disc_mm * float(rng.uniform(0.25, 0.6))),
            has_vacuum=bool(rng.random() < 0.4),
            endplate_gain=float(rng.uniform(1.0, 1.8)),
            relief_mm=(max(body.relief_mm[0], rough), body.relief_mm[1]),
            lip_mm=max(body.lip_mm, float(rng.uniform(0, 5))),
        )
        changed = named(changed, "degenerated_disc")
        bodies[at] = named(changed, "vacuum_disc") if changed.has_vacuum else changed
    return bodies


def _disc_weights() -> npt.NDArray[np.float64]:
    weights = np.linspace(1, 4, len(LEVELS) - 3)
    return np.asarray(weights / weights.sum())


def _haemangioma(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Fat between thick upright struts, in a part of the body or in all of it."""
    at = index_of(bodies, str(rng.choice(LEVELS[2:])))
    body = bodies[at]
    b, h = body.half_depth_mm, body.heights_mm[1]
    size = float(rng.uniform(0.4, 1.3))
    spot = Spot(
        centre_mm=(
            float(rng.uniform(-6, 6)),
            float(rng.uniform(-0.3, 0.3) * b),
            float(rng.uniform(-0.2, 0.1) * h),
        ),
        radii_mm=(size * b, size * b, size * 0.6 * h),
        hu=float(rng.uniform(-30, 70)),
        edge=0.25,
        ragged=0.1,
        streak=float(rng.uniform(60, 150)),
    )
    bodies[at] = named(replace(body, spots=(*body.spots, spot)), "haemangioma")
    return bodies


def _dense(rng: np.random.Generator, bodies: list[Vertebra]) -> list[Vertebra]:
    """Dense or, in some, pale bands under an endplate of sound bodies: sclerosis beside worn discs, old infarcts."""
    for _ in range(int(rng.integers(1, 4))):
        at = index_of(bodies, pick_level(rng, _sound(bodies)))
        band = float(rng.choice([-1, 1], p=(0.2, 0.8)) * rng.uniform(20, 150))
        bodies[at] = named(replace(bodies[at], band_hu=band), "dense_band")
    return bodies


KINDS: dict[str, Callable[[np.random.Generator, list[Vertebra]], list[Vertebra]]] = {
    "short": _short,
    "cupped": _cupped,
    "physiological_wedging": _wedging,
    "scheuermann": _scheuermann,
    "schmorl_node": _nodes,
    "limbus": _limbus,
    "osteophyte": _lips,
    "bridging_osteophyte": _bridges,
    "degenerated_disc": _discs,
    "haemangioma": _haemangioma,
    "ossified_ligament": _ligament,
    "dense_band": _dense,
}
